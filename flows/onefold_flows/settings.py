"""Settings of the flows floor: which Prefect server to use, and when flows run by themselves.

Read from the environment (`ONEFOLD_…`) and nowhere else. Prefect itself is configured by environment variables;
the ones that onefold sets are made here, so that they are the same in this process and in those that it starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class FlowsSettings(BaseSettings):
    """Where flows report to, and their schedules."""

    model_config = SettingsConfigDict(env_prefix="ONEFOLD_", extra="ignore", frozen=True, populate_by_name=True)

    prefect_api_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("ONEFOLD_PREFECT_API_URL", "PREFECT_API_URL"),
        description="address of a Prefect server that is there already; without it one is started on this machine",
    )
    prefect_port: int = Field(
        default=0, ge=0, le=65535, description="port of the started Prefect server; 0 takes a free one and keeps it"
    )
    prefect_timeout: float = Field(default=180, gt=0, description="seconds to wait for a Prefect server to answer")
    runner_metrics: str | None = Field(
        default=None,
        pattern=r"^[\w.-]+:\d{1,5}$",
        description="address and port at which the flow runner tells Prometheus how it is; else it does not",
    )
    schedules: dict[str, str] = Field(
        default={"maintain": "0 3 * * *", "forecast": "50 3 * * *", "refresh": "30 4 * * *"},
        description="when flows run by themselves: JSON of flow name to cron expression (UTC), `{}` for never",
    )


QUIET = {
    # Nothing phones home, in each of the ways Prefect has.
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # People see warnings; flow and task logs of any level still go to the server, which shows them by run.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_CLI_COLORS": "false",
    "DASK_LOGGING__DISTRIBUTED": "warning",
}

SILENT = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
"""For a process whose flows report to a person: errors are raised to it, and the server keeps every log."""


def client_environment(home: Path, api_url: str) -> dict[str, str]:
    """Variables for a process that runs flows: which server, and where Prefect keeps its files."""
    return {
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    }


def server_environment(home: Path, port: int) -> dict[str, str]:
    """Variables for the Prefect server of this machine: SQLite under `home`, loopback, no more than is used."""
    folder = home / "prefect"
    api_url = f"http://127.0.0.1:{port}/api"
    return client_environment(home, api_url) | {
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        # The pages' files are prepared here and not in the installed package, which may be read-only.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "ui"),
        "PREFECT_UI_API_URL": api_url,
        # onefold uses no blocks; registering Prefect's own costs half a second at each start.
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT__SERVER_FINAL": "1",
    }


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: this one's with `extra`, and without another server's credentials."""
    foreign = {"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE"}
    mine = {name: value for name, value in os.environ.items() if name not in foreign}
    return QUIET | mine | dict(extra)


def stay_quiet() -> None:
    """Apply `QUIET` where the environment does not say otherwise; must run before Prefect is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def use(environment: Mapping[str, str]) -> None:
    """Apply the variables to this process, also when Prefect is imported already."""
    os.environ.update(environment)
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context
        from prefect.logging.configuration import setup_logging

        refresh_global_settings_context()
        setup_logging()
