"""Runs flows from the command line: in this process, reporting to a Prefect server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from onefold_storage.settings import StorageSettings
from onefold_storage.workspace import Workspace


@contextmanager
def flow_server() -> Iterator[str]:
    """The API address of a Prefect server; one that this call had to start is ended with it."""
    from onefold_flows import server

    settings = StorageSettings()
    Workspace.open(settings.workspace_folder)  # a clear error before a server is started
    prefect = server.start(settings.root)
    try:
        prefect.wait()
        with server.without_heartbeats():
            yield prefect.api_url
    finally:
        prefect.stop()


def load_flow(name: str) -> Callable[..., dict[str, Any]]:
    """The flow of that name. Its errors reach the caller as they are; Prefect need not print them too."""
    flow = getattr(import_module(f"onefold_flows.{name}"), name)
    for logger in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
        for handler in logging.getLogger(logger).handlers + logging.getLogger("prefect").handlers:
            if type(handler).__name__ == "PrefectConsoleHandler":
                handler.setLevel(logging.CRITICAL)
    called: Callable[..., dict[str, Any]] = flow
    return called
