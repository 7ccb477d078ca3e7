"""The floor's settings: quiet by default, before Prefect is imported, and never with another server's key."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from onefold_flows.settings import FlowsSettings, child_environment, server_environment

ASK = """
import onefold_flows
import sys
assert "prefect" not in sys.modules
from prefect.analytics import is_telemetry_enabled
from prefect.settings import get_current_settings
print(is_telemetry_enabled(), get_current_settings().server.analytics_enabled)
import logging, distributed
print(logging.getLogger("distributed").level == logging.WARNING)
"""


def bare_environment() -> dict[str, str]:
    left_out = ("PREFECT_", "DASK_", "DO_NOT_TRACK", "CI", "ONEFOLD_", "GITHUB_")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


@pytest.mark.needs_prefect
def test_importing_the_floor_turns_telemetry_and_floods_off_before_prefect_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=bare_environment(), capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["False", "False", "True"]


def test_children_do_not_get_the_key_of_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    monkeypatch.setenv("ONEFOLD_LAKE_URL", "file:///somewhere")
    environment = child_environment({"PREFECT_API_URL": "http://127.0.0.1:1/api"})
    assert "PREFECT_API_KEY" not in environment
    assert environment["ONEFOLD_LAKE_URL"] == "file:///somewhere"
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert environment["DO_NOT_TRACK"] == "1"


def test_prefects_own_variable_names_the_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEFOLD_PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    assert FlowsSettings().prefect_api_url == "http://prefect:4200/api"
    monkeypatch.setenv("ONEFOLD_PREFECT_API_URL", "http://other:4200/api")
    assert FlowsSettings().prefect_api_url == "http://other:4200/api"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PREFECT_PORT", "70000"), ("PREFECT_TIMEOUT", "0"), ("SCHEDULES", "daily"), ("SCHEDULES", '["refresh"]')],
)
def test_a_wrong_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ONEFOLD_{name}", value)
    with pytest.raises((ValidationError, ValueError), match=name.lower()):
        FlowsSettings()


def test_the_server_of_this_machine_listens_on_loopback_alone(tmp_path) -> None:
    environment = server_environment(tmp_path, 4711)
    assert environment["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4711/api"
    assert str(tmp_path) in environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
