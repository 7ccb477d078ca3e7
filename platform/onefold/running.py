"""Runs flows from the command line: in this process, reporting to a Prefect server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from onefold.terminal import waiting
from onefold_storage.settings import StorageSettings
from onefold_storage.starting import stay_loaded
from onefold_storage.workspace import Workspace


@contextmanager
def served_flow(
    name: str, sources: Iterable[str] | None = None, *, lands: bool = False
) -> Iterator[Callable[..., dict[str, Any]]]:
    """The flow of that name, and a Prefect server for it; one that this call had to start is ended with it.

    The flow's errors reach the caller as they are; Prefect and Dask need not print them too.
    `lands`: what is valid can be landed, whatever is wrong with the other contracts.

    Raises:
        NotFound: there is no workspace, or none of `sources` in it. BadContract: a declaration is not valid.
    """
    from onefold_flows import server
    from onefold_flows.settings import SILENT, use

    settings = StorageSettings()
    workspace = Workspace.open(settings.workspace_folder)  # clear errors before a server is started
    sound, broken = workspace.sound_contracts()
    if broken and not (lands and sound):
        raise broken[0]
    for source in sources or ():
        workspace.contract(source)
    prefect = server.start(settings.root)
    try:
        with waiting("the Prefect server starts"):
            use(SILENT)
            flow: Callable[..., dict[str, Any]] = getattr(import_module(f"onefold_flows.{name}"), name)  # meanwhile
            stay_loaded()
            prefect.wait()
        with server.without_heartbeats():
            yield flow
    finally:
        prefect.stop()
