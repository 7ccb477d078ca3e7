"""The embedded Prefect server: started once, found again, quiet, and ended only by who started it."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from onefold_flows import server
from onefold_flows.server import PrefectServer
from onefold_flows.settings import FlowsSettings
from onefold_storage.errors import Unavailable

pytestmark = pytest.mark.needs_prefect

ASK = """
import sys
from pathlib import Path
from onefold_flows import server
found = server.start(Path(sys.argv[1]))
print(found.api_url, found.started, found.ready(), found.stop(), "prefect" in sys.modules)
"""

STOP = """
import sys
from pathlib import Path
from onefold_flows import server
first = server.start(Path(sys.argv[1])).wait()
print(first.started, first.stop(), first.ready())
again = server.start(Path(sys.argv[1]))
print(again.started, again.api_url == first.api_url, again.stop())
"""

RUN = """
import sys
from pathlib import Path
from onefold_flows import server
server.start(Path(sys.argv[1]))
from prefect import flow, get_run_logger, task
import logging, distributed
@task
def double(x):
    get_run_logger().info("told to the server alone")
    return 2 * x
@flow
def quiet():
    get_run_logger().warning("seen by people")
    logging.getLogger("distributed.scheduler").info("a flood")
    return double(21)
print(quiet())
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DASK_"))}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)


def test_another_command_finds_the_same_server_and_does_not_end_it(prefect_server: PrefectServer) -> None:
    said = python(ASK, str(prefect_server.home)).stdout.split()
    assert said == [prefect_server.api_url, "False", "True", "False", "False"]
    assert prefect_server.ready()


def test_it_keeps_its_database_under_home_on_loopback_and_reports_to_nobody(prefect_server: PrefectServer) -> None:
    with urllib.request.urlopen(f"{prefect_server.api_url}/admin/settings") as answer:
        settings = json.load(answer)
    assert settings["server"]["analytics_enabled"] is False
    assert settings["home"] == str(prefect_server.home / "prefect")
    assert settings["server"]["api"]["host"] == "127.0.0.1"
    assert prefect_server.process is not None
    with sqlite3.connect(prefect_server.home / "prefect" / "prefect.db") as database:
        keys = {row[0] for row in database.execute("select key from configuration")}
    assert "TELEMETRY_SESSION" not in keys
    assert prefect_server.api_url.startswith("http://127.0.0.1:")


def test_pages_are_served_and_ask_the_same_server(prefect_server: PrefectServer) -> None:
    with urllib.request.urlopen(f"{prefect_server.ui_url}/ui-settings") as answer:
        assert json.load(answer)["api_url"] == prefect_server.api_url
    with urllib.request.urlopen(prefect_server.ui_url) as page:
        assert b"<html" in page.read().lower()


def test_a_flow_reports_to_the_server_and_does_not_flood_people(prefect_server: PrefectServer) -> None:
    done = python(RUN, str(prefect_server.home))
    assert done.stdout.strip() == "42"
    assert "seen by people" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs() if run.flow_id == client.read_flow_by_name("quiet").id]
        assert [run.state_name for run in runs] == ["Completed"]
        told = {log.message for log in client.read_logs()}
    assert {"told to the server alone", "seen by people"} <= told


def test_flow_runs_without_heartbeats_do_not_wait_for_them(prefect_server: PrefectServer) -> None:
    from prefect import flow

    @flow
    def small() -> int:
        return 1

    def timed() -> float:
        begin = time.perf_counter()
        assert small() == 1
        return time.perf_counter() - begin

    small()
    usual = min(timed() for _ in range(2))
    with server.without_heartbeats():
        assert min(timed() for _ in range(3)) < usual - 0.3


def test_a_stopped_server_starts_again_on_its_port(tmp_path: Path) -> None:
    said = python(STOP, str(tmp_path)).stdout.split()
    assert said == ["True", "True", "False", "True", "True", "True"]


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"port {port} \(ONEFOLD_PREFECT_PORT\) is taken"):
            server.start(tmp_path, FlowsSettings(prefect_api_url=None, prefect_port=port))


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_bytes(b"this is no database" * 100)
    script = (
        "import sys; from pathlib import Path; from onefold_flows import server\n"
        "from onefold_storage.errors import Unavailable\n"
        "try: server.start(Path(sys.argv[1])).wait()\n"
        "except Unavailable as error: print(error)"
    )
    said = python(script, str(tmp_path)).stdout
    assert "the Prefect server ended while starting" in said
    assert str(tmp_path / "logs" / "prefect.log") in said


def test_a_named_server_that_does_not_answer_is_told(tmp_path: Path, free_port) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    named = PrefectServer(url, tmp_path, None, False, timeout=0.3)
    with pytest.raises(Unavailable, match="check ONEFOLD_PREFECT_API_URL"):
        named.wait()
    assert named.stop(found_too=True) is False
