"""`onefold listen`: lands streams all the time, each source in a thread of its own, until Ctrl-C."""

from __future__ import annotations

import threading
from typing import Annotated

import typer
from rich.markup import escape

from onefold.terminal import err
from onefold_storage.errors import BadInput, HeldBack

_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_LOOKS_S = 0.5


def listen(
    sources: Annotated[list[str] | None, typer.Argument(help="Ids of sources; all streams when left out.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Land what is there, and end.")] = False,
) -> None:
    """Land streams (MQTT) as they come. What cannot be landed stays at its source, and is tried again."""
    from onefold_storage.contracts import Contract
    from onefold_storage.settings import StorageSettings
    from onefold_storage.workspace import Workspace
    from onefold_workers.connectors import discover
    from onefold_workers.stages.landing import land_source

    settings = StorageSettings()
    workspace = Workspace.open(settings.workspace_folder)
    known = discover(workspace.folder / "connectors")
    live = [c for c in workspace.sound_contracts()[0] if (k := known.get(c.rules.connector)) and k.live]
    chosen = [workspace.contract(s) for s in sources] if sources else live
    other = [c.id for c in chosen if c not in live]
    if other or not chosen:
        raise BadInput(f"{', '.join(other) or 'no source'}: no stream; `onefold land` lands what is no stream")
    ends = threading.Event()
    held: list[str] = []

    def follow(contract: Contract) -> None:
        wait = _WAIT_S
        while not ends.is_set():
            landed = land_source(settings, contract, workspace.folder)
            for package in landed.packages:
                err.print(escape(f"{contract.id}: {package.landed:,} landed, {package.failed:,} failed"))
            if landed.away:
                err.print(escape(landed.away))
            for error in () if once else landed.errors:
                err.print(escape(f"{contract.id}: {error}"))
            problems = bool(landed.errors or landed.away)
            wait = min(wait * 2, _LONGEST_WAIT_S) if problems else _WAIT_S
            if once:
                held.extend(landed.errors)
                return
            ends.wait(wait if problems or not landed.packages else 0)

    threads = [threading.Thread(target=follow, args=(c,), name=c.id) for c in chosen]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            threads[0].join(_LOOKS_S)  # an interrupt may have reached another thread: look up now and then
            threads = [t for t in threads if t.is_alive()] or threads
    finally:
        ends.set()
    if held:
        raise HeldBack("\n".join(held))
