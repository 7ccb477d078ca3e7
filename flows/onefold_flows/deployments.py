"""The deployments of the flows, and the process that runs them: by schedule, or when somebody asks.

`python -m onefold_flows.deployments HOME` registers each flow as `<flow>/<flow>` with the Prefect server and then
carries out its runs, one at a time, each in a process of its own. `prefect deployment run refresh/refresh`, the
schedule and `onefold refresh` run the same function. Flows are named by module, never by path, so that a run finds
them wherever it starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from onefold_flows.background import Background
from onefold_flows.server import PrefectServer
from onefold_flows.settings import FlowsSettings, child_environment, client_environment, use
from onefold_storage.clock import SystemClock
from onefold_storage.errors import BadInput, OnefoldError, Unavailable

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

_NAMES = ("land", "integrate", "train", "score", "publish", "refresh", "maintain", "forecast")
FLOWS = {name: f"onefold_flows.{name}" for name in _NAMES}
"""Module of each flow; the flow object has the flow's name."""
TAG = "onefold"
POLL_SECONDS = 2
NAME = "runner"


@dataclass(frozen=True)
class RunnerProcess:
    """The process that carries out deployment runs, found or starting."""

    process: Background
    server: PrefectServer
    flows: tuple[str, ...]
    started: bool

    def ready(self) -> bool:
        """Whether it has registered its flows and takes runs."""
        return self.process.find() is not None and _marker(self.process).exists()

    def wait(self) -> RunnerProcess:
        """Block until it takes runs.

        Raises:
            Unavailable: it ended, or was not ready within the settings' `prefect_timeout` seconds.
        """
        end = time.monotonic() + self.server.timeout
        while not self.ready():
            if not self.process.find():
                said = self.process.last_words() or "it said nothing"
                raise Unavailable(f"the flow runner ended while starting: {said} (see {self.process.log})")
            if time.monotonic() > end:
                raise Unavailable(
                    f"the flow runner was not ready in {self.server.timeout:g} s; see {self.process.log}"
                )
            time.sleep(0.1)
        return self

    def stop(self, found_too: bool = False) -> bool:
        """End it (before its server) if this call started it, or with `found_too` also a found one."""
        return (self.started or found_too) and self.process.stop(patience=20)


def start(server: PrefectServer, flows: Mapping[str, str] = FLOWS) -> RunnerProcess:
    """Find or start the runner of the server's home; returns at once. It waits for the server by itself."""
    process = Background(NAME, server.home)
    with process.lock():
        started = process.find() is None
        if started:
            _marker(process).unlink(missing_ok=True)
            command = [sys.executable, "-m", __name__, str(server.home), *(f"{k}={v}" for k, v in flows.items())]
            environment = client_environment(server.home, server.api_url)
            process.start(command, child_environment(environment), cwd=Path.cwd(), flows=dict(flows))
    return RunnerProcess(process, server, tuple(flows), started)


def deployment(name: str, module: str, cron: str | None) -> RunnerDeployment:
    """The deployment `<name>/<name>` of the flow object `name` in `module`, with its schedule in UTC, if any."""
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    flow = getattr(import_module(module), name)
    return flow.to_deployment(  # type: ignore[no-any-return]
        name,
        schedules=[Cron(cron, timezone="UTC")] if cron else [],
        paused=False,
        tags=[TAG],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def serve(home: Path, settings: FlowsSettings, flows: Mapping[str, str] = FLOWS) -> None:
    """Register the flows and carry out their runs until the process is told to end.

    Raises:
        BadInput: the settings schedule a flow that does not exist.
    """
    if unknown := set(settings.schedules) - set(flows):
        raise BadInput(
            f"ONEFOLD_SCHEDULES names {', '.join(sorted(unknown))}; the flows are {', '.join(flows)}; correct it"
        )
    from prefect.runner import Runner

    runner = Runner(name=TAG, query_seconds=POLL_SECONDS, limit=1)
    for name, module in flows.items():
        runner.add_deployment(deployment(name, module, settings.schedules.get(name)))
    _forget_missed_runs()
    if settings.runner_metrics:
        # Not by Prefect's own setting: each flow run inherits that, and fails where the port is taken already.
        from prometheus_client import start_http_server

        address, _, port = settings.runner_metrics.rpartition(":")
        start_http_server(int(port), address)
    _marker(Background(NAME, home)).touch()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(runner.start())


def _forget_missed_runs() -> None:
    """Delete scheduled runs whose time passed while nothing ran: one run catches up with all of them."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    due = {"before_": SystemClock().now().isoformat()}
    missed = FlowRunFilter.model_validate(
        {"tags": {"all_": [TAG]}, "state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": due}
    )
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=missed):
            if run.auto_scheduled:
                client.delete_flow_run(run.id)


def _marker(process: Background) -> Path:
    """The file that says the runner takes runs."""
    return process.record.with_suffix(".ready")


def main(arguments: list[str]) -> None:
    """`HOME [FLOW=MODULE …]`: wait for the server, then serve."""
    home, pairs = Path(arguments[0]).absolute(), arguments[1:]
    _marker(Background(NAME, home)).unlink(missing_ok=True)
    settings = FlowsSettings()
    if not settings.prefect_api_url:
        raise BadInput("ONEFOLD_PREFECT_API_URL is not set; the runner must know its server")
    use(client_environment(home, settings.prefect_api_url))
    PrefectServer(settings.prefect_api_url, home, None, False, settings.prefect_timeout).wait()
    serve(home, settings, dict(pair.split("=", 1) for pair in pairs) or FLOWS)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OnefoldError as error:
        sys.exit(str(error))
