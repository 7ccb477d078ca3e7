"""What every local Dask worker does as it starts: it loads quickly, and leaves Ctrl-C to the command that started it.

A terminal sends Ctrl-C to all processes of a command. Workers that died of it would print their own tracebacks
over the command's one line; they end with the cluster instead.
"""

from __future__ import annotations

import signal
from typing import Any

from onefold_storage.starting import start_quickly


def dask_setup(_worker: Any) -> None:
    """Called by Dask in the worker's process, before it takes tasks."""
    start_quickly()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
