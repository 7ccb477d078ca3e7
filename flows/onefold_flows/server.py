"""The Prefect server that flows report to: one that is there already, or one of this machine.

The machine's own (SQLite under `<home>/prefect`, loopback only) takes about eight seconds to a first answer and
three to later ones, so `start` returns at once and `PrefectServer.wait` blocks; work that needs no server goes on
between the two. It lives on after the command, is found again by the next one, and is ended by `stop`.
"""

from __future__ import annotations

import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onefold_flows.background import Background
from onefold_flows.settings import FlowsSettings, child_environment, client_environment, server_environment, use
from onefold_storage.errors import Unavailable

NAME = "prefect"


@dataclass(frozen=True)
class PrefectServer:
    """A server that was found or is starting."""

    api_url: str
    home: Path
    process: Background | None
    """The machine's own process; None for a server that somebody else runs."""
    started: bool
    """Whether this very call started it: then it is this caller's to end."""
    timeout: float

    @property
    def ui_url(self) -> str:
        """Address of the pages that show flow runs."""
        return self.api_url.removesuffix("/api")

    def ready(self) -> bool:
        """Whether it answers now."""
        try:
            with urllib.request.urlopen(f"{self.api_url}/health", timeout=5) as answer:  # noqa: S310 - our own URL
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait(self) -> PrefectServer:
        """Block until it answers.

        Raises:
            Unavailable: it ended, or did not answer within the settings' `prefect_timeout` seconds.
        """
        end = time.monotonic() + self.timeout
        while not self.ready():
            if self.process and not self.process.find():
                raise Unavailable(
                    f"the Prefect server ended while starting: {self.process.last_words() or 'it said nothing'} "
                    f"(see {self.process.log}); start it again, or name a running one in ONEFOLD_PREFECT_API_URL"
                )
            if time.monotonic() > end:
                where = f"see {self.process.log}" if self.process else "check ONEFOLD_PREFECT_API_URL"
                raise Unavailable(f"no Prefect server answered at {self.api_url} in {self.timeout:g} s; {where}")
            time.sleep(0.1)
        return self

    def stop(self, found_too: bool = False) -> bool:
        """End the server if this call started it, or with `found_too` also one that an earlier command left."""
        if self.process is None or not (self.started or found_too):
            return False
        _send_what_is_queued()
        return self.process.stop()


@contextmanager
def without_heartbeats() -> Iterator[None]:
    """Flow runs inside end at once, each a second earlier.

    Prefect's heartbeat thread sleeps in whole seconds and every flow run waits for it at its end (five small runs
    in one took 6.1 s, 1.0 s without). Heartbeats serve automations that look for dead runs; onefold has none, and
    runs again what was cut off. The environment cannot turn them off, so this does, for runs in this process.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def start(home: Path, settings: FlowsSettings | None = None) -> PrefectServer:
    """Find or start the server for `home` and point this process at it; returns at once, before it answers.

    Raises:
        Unavailable: the port that the settings name is taken by another program.
    """
    settings = settings or FlowsSettings()
    home = home.expanduser().absolute()
    process = Background(NAME, home)
    named = (settings.prefect_api_url or "").rstrip("/")
    # The machine's own server may be named too, as in a shell that exported PREFECT_API_URL to use `prefect`.
    if named and named != process.remembered().get("api_url"):
        server = PrefectServer(named, home, None, False, settings.prefect_timeout)
    else:
        with process.lock():
            facts, started = process.find(), False
            if facts is None:
                port = _port(settings.prefect_port, process.remembered().get("port"))
                facts, started = _launch(process, port), True
        server = PrefectServer(str(facts["api_url"]), home, process, started, settings.prefect_timeout)
    use(client_environment(home, server.api_url))
    return server


def _send_what_is_queued() -> None:
    """Logs and events of this process's flow runs, which Prefect sends from the background."""
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()
        EventsWorker.drain_all(timeout=5)


def _launch(process: Background, port: int) -> dict[str, object]:
    (process.home / "prefect").mkdir(exist_ok=True)
    environment = server_environment(process.home, port)
    # What `prefect server start` runs in the end, without the command line's own start before it.
    application = ["--factory", "onefold_flows.prefect_app:create_app"]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "uvicorn", *application, *address, "--log-level", "warning"]
    return process.start(command, child_environment(environment), port=port, api_url=environment["PREFECT_API_URL"])


def _port(wanted: int, remembered: object) -> int:
    """The port that was asked for; else the one of the last start, if free; else a free one."""
    if wanted:
        if not _free(wanted):
            raise Unavailable(f"port {wanted} (ONEFOLD_PREFECT_PORT) is taken by another program; choose another")
        return wanted
    if isinstance(remembered, int) and _free(remembered):
        return remembered
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
