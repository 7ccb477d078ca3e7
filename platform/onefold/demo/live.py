"""What of the demo is not files: the loyalty app's server, and the scanners' stream with a broker where there is one.

`live` starts what its workspace's contracts need and ends it when it is left; no contract knows a port.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onefold.demo import loyalty_server, stream
from onefold.demo.broker import broker
from onefold.demo.data import EVENTS, MEMBERS
from onefold.demo.doorplate import named_secret
from onefold.demo.stream import SOURCE, Live, Send, Stream
from onefold_flows.background import Background
from onefold_flows.settings import child_environment
from onefold_storage.errors import Conflict, Unavailable
from onefold_storage.scopes import INGEST

if TYPE_CHECKING:
    from onefold_storage.contracts import Contract
    from onefold_storage.installation import Installation

_STARTS_S = 60.0


@dataclass(frozen=True)
class LiveSources:
    """The running sources. `transport`: MQTT or HTTP; `address`: of the broker, with MQTT."""

    installation: Installation
    contract: Contract
    stream: Stream
    address: tuple[str, int] | None

    @property
    def transport(self) -> str:
        """How the scanners send."""
        return "MQTT" if self.address else "HTTP"

    def send_first(self) -> int:
        """Send what has happened before the demo's now and has not landed; gives how many events."""
        events = self.stream.first(self.installation)
        if events and self.address:
            self._subscribe()
            with self._over_mqtt(self.address) as send:
                send(events)
        elif events:
            with _api(self.installation) as base:
                stream.over_http(base, self._key())(events)
        return len(events)

    @contextmanager
    def going_on(self, base: str) -> Iterator[Live]:
        """Send live events, and land them as they come, while entered. `base`: address of the API that serves."""
        events = self.stream.missing(self.installation)
        with ExitStack() as stack:
            send: Send
            if self.address:
                listener = _listener(self.installation)
                stack.callback(listener.stop)
                send = stack.enter_context(self._over_mqtt(self.address))
            else:
                send = stream.over_http(base, self._key())
            live = Live(events, send)
            stack.callback(live.end)
            yield live

    def _over_mqtt(self, address: tuple[str, int]) -> AbstractContextManager[Send]:
        return stream.over_mqtt(address, named_secret(_folder(self.installation) / "broker" / "password"))

    def _subscribe(self) -> None:
        """Let the broker keep from now on what comes for the source: its session begins with its first reading."""
        from onefold_workers.connectors import deliveries
        from onefold_workers.stages.landing import listening

        with suppress(Conflict), listening(self.installation, SOURCE):  # who listens already has a session
            next(deliveries(self.contract, self.installation.settings.workspace_folder), None)

    def _key(self) -> str:
        """A key that sends events of this source alone; the one of an earlier run ends."""
        return fresh_key(self.installation, "demo scanners", (f"{INGEST}:{SOURCE}",))


@contextmanager
def live(installation: Installation) -> Iterator[LiveSources]:
    """Run the demo's servers while entered.

    Raises:
        Unavailable: the broker that the contract names does not start.
    """
    folder = _folder(installation)
    contract = installation.workspace.contract(SOURCE)
    with ExitStack() as stack:
        stack.enter_context(loyalty_server.serving(folder / MEMBERS, folder / "loyalty_app"))
        address = None
        if contract.rules.connector == "mqtt":
            address = stack.enter_context(broker(installation.settings.root, folder / "broker"))
        yield LiveSources(installation, contract, Stream.read(folder / EVENTS), address)


def fresh_key(installation: Installation, name: str, scopes: tuple[str, ...]) -> str:
    """A new key of that name; the one of an earlier run ends."""
    keys = installation.ledger.keys
    for known in keys.list():
        if known.name == name and known.revoked_at is None:
            keys.revoke(known.id)
    _, secret = keys.create(name, scopes, None)
    return secret


def _folder(installation: Installation) -> Path:
    return installation.settings.root / "demo"


def _listener(installation: Installation) -> Background:
    """`onefold listen` for the stream: it lands what comes, all the time."""
    process = Background("listener", installation.settings.root)
    with process.lock():
        if process.find() is None:
            command = [sys.executable, "-P", "-m", "onefold.cli", "listen", SOURCE]
            process.start(command, child_environment({}), cwd=Path.cwd())
    return process


@contextmanager
def _api(installation: Installation) -> Iterator[str]:
    """The API while entered, on a free port: what waits in its log has landed when it is left."""
    import socket

    import uvicorn

    from onefold.api.app import create_app

    listening = socket.create_server(("127.0.0.1", 0))
    settings = uvicorn.Config(create_app(installation.settings), log_level="error", access_log=False)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True, name="API")
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_STARTS_S)
        listening.close()
        if thread.is_alive():
            raise Unavailable("the API that took the scanners' events does not end")
