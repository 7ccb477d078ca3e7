"""`onefold listen`: lands streams all the time, each source in a thread of its own, until Ctrl-C."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from onefold.terminal import err
from onefold_storage.errors import BadInput, Conflict, HeldBack, OnefoldError

if TYPE_CHECKING:
    from onefold_storage.contracts import Contract
    from onefold_storage.settings import StorageSettings
    from onefold_storage.workspace import Workspace

_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_LOOKS_S = 0.5


def listen(
    sources: Annotated[list[str] | None, typer.Argument(help="Ids of sources; all streams when left out.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Land what is there, and end.")] = False,
) -> None:
    """Land streams (MQTT) as they come. What cannot be landed stays at its source, and is tried again."""
    from onefold_storage.settings import StorageSettings
    from onefold_storage.workspace import Workspace
    from onefold_workers.connectors import discover

    settings = StorageSettings()
    workspace = Workspace.open(settings.workspace_folder)
    known = discover(workspace.folder / "connectors")
    live = [c for c in workspace.sound_contracts()[0] if (k := known.get(c.rules.connector)) and k.live]
    chosen = [workspace.contract(s) for s in sources] if sources else live
    other = [c.id for c in chosen if c not in live]
    if other or not chosen:
        raise BadInput(f"{', '.join(other) or 'no source'}: no stream; `onefold land` lands what is no stream")
    listener = _Listener(settings, workspace, once)
    threads = [threading.Thread(target=listener.follow, args=(c,), name=c.id) for c in chosen]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            threads[0].join(_LOOKS_S)  # an interrupt may have reached another thread: look up now and then
            threads = [t for t in threads if t.is_alive()] or threads
    finally:
        listener.ends.set()
    if listener.held:
        raise HeldBack("\n".join(listener.held))


@dataclass
class _Listener:
    """What the threads share. `held`: errors of a listener that lands what is there `once`."""

    settings: StorageSettings
    workspace: Workspace
    once: bool
    ends: threading.Event = field(default_factory=threading.Event)
    held: list[str] = field(default_factory=list)

    def follow(self, contract: Contract) -> None:
        """Land one stream until the end; one that another process reads is waited for."""
        from onefold_storage.installation import Installation
        from onefold_workers.stages.landing import listening

        said = ""
        with ExitStack() as stack:
            while not self.ends.is_set():
                try:
                    stack.enter_context(listening(Installation(self.settings), contract.id))
                except OnefoldError as error:
                    busy = isinstance(error, Conflict)
                    told = "another process is listening to it" if busy else str(error)
                    if told != said:
                        err.print(escape(f"{contract.id}: {told}"))
                    said = told
                    if self.once:
                        self.held.extend([] if busy else [told])
                        return
                    self.ends.wait(_WAIT_S)
                else:
                    self._land(contract)
                    return

    def _land(self, contract: Contract) -> None:
        from onefold_workers.stages.landing import land_source

        wait = _WAIT_S
        while not self.ends.is_set():
            landed = land_source(self.settings, contract, self.workspace.folder, listens=True)
            for package in landed.packages:
                err.print(escape(f"{contract.id}: {package.landed:,} landed, {package.failed:,} failed"))
            if landed.away:
                err.print(escape(landed.away))
            for error in () if self.once else landed.errors:
                err.print(escape(f"{contract.id}: {error}"))
            problems = bool(landed.errors or landed.away)
            wait = min(wait * 2, _LONGEST_WAIT_S) if problems else _WAIT_S
            if self.once:
                self.held.extend(landed.errors)
                return
            self.ends.wait(wait if problems or not landed.packages else 0)
