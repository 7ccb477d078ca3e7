"""The runner: flows run when somebody asks and by schedule, with a real server and a real small flow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onefold_flows import deployments
from onefold_flows.deployments import RunnerProcess
from onefold_flows.server import PrefectServer
from onefold_flows.settings import FlowsSettings
from onefold_storage.errors import BadInput

pytestmark = [pytest.mark.needs_prefect, pytest.mark.slow]

DOUBLE = '''
import os
from prefect import flow

@flow
def double(x: int = 1) -> int:
    """Doubles."""
    print(2 * x, file=open(os.environ["DOUBLED"], "a"))
    return 2 * x
'''


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the flow writes into, and others' environments name."""
    return tmp_path_factory.mktemp("flows") / "doubled.txt"


@pytest.fixture(scope="module")
def runner(prefect_server: PrefectServer, doubled: Path) -> Iterator[RunnerProcess]:
    folder = doubled.parent
    (folder / "double_flow.py").write_text(DOUBLE)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(folder))
        environment.setenv("DOUBLED", str(doubled))
        environment.setenv("ONEFOLD_SCHEDULES", '{"double": "* * * * *"}')
        running = deployments.start(prefect_server, {"double": "double_flow"})
        yield running.wait()
        running.stop()


def test_a_run_that_is_asked_for_is_carried_out(runner: RunnerProcess, doubled: Path) -> None:
    assert runner.started
    assert runner.ready()
    prefect = str(Path(sys.executable).with_name("prefect"))
    command = [prefect, "deployment", "run", "double/double", "--param", "x=21", "--watch"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "42" in doubled.read_text().split()


def test_the_schedule_makes_runs_and_they_are_carried_out(runner: RunnerProcess) -> None:
    from prefect.client.orchestration import get_client

    end, completed = time.monotonic() + 150, []
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("double/double")
        assert [schedule.schedule.cron for schedule in deployment.schedules] == ["* * * * *"]
        assert deployment.entrypoint == "double_flow.double"
        while not completed and time.monotonic() < end:
            time.sleep(1)
            runs = [run for run in client.read_flow_runs() if run.deployment_id == deployment.id]
            completed = [run for run in runs if run.auto_scheduled and run.state_name == "Completed"]
    assert completed, "no scheduled run was completed within 150 seconds"


def test_a_second_start_finds_the_runner(runner: RunnerProcess) -> None:
    again = deployments.start(runner.server, {"double": "double_flow"})
    assert not again.started
    assert again.stop() is False
    assert runner.ready()


def test_a_runner_of_its_own_needs_only_the_address_of_the_server(
    prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """As docker-compose.yml starts it: with onefold's variable, and none of Prefect's."""
    from prefect.client.orchestration import get_client

    (tmp_path / "lonely_flow.py").write_text(DOUBLE.replace("double", "lonely"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"ONEFOLD_PREFECT_API_URL": prefect_server.api_url, "ONEFOLD_SCHEDULES": "{}"}
    environment["PYTHONPATH"] = str(tmp_path)
    command = [sys.executable, "-m", "onefold_flows.deployments", str(tmp_path), "lonely=lonely_flow"]
    process, end = subprocess.Popen(command, env=environment), time.monotonic() + 60
    try:
        while not (tmp_path / "run" / "runner.ready").exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        with get_client(sync_client=True) as client:
            assert client.read_deployment_by_name("lonely/lonely").schedules == []
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_schedule_for_no_flow_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ONEFOLD_SCHEDULES names treble; the flows are double"):
        deployments.serve(tmp_path, FlowsSettings(schedules={"treble": "* * * * *"}), {"double": "double_flow"})
