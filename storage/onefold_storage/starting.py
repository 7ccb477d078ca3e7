"""How a process of ours starts and ends quickly, and how one that serves then runs evenly.

A command imports some thousand modules: three hundred thousand objects, hardly any of them garbage. Looking through
them again and again while they load, and twice more as the process ends, took a third of a short command's time; and
one look through all of them while a server answers holds every answer up for a tenth of a second and more.
"""

from __future__ import annotations

import gc

_LOADING = (50_000, 20, 20)
"""Objects made and not freed before the collector looks at the young ones; Python's own 700 is for small programs."""
_SERVING = (10_000, 10, 10)
"""As many as are looked through in some milliseconds."""


def start_quickly() -> None:
    """Let the garbage collector look seldom while modules load; called first by what has a process to itself.

    Cycles are still collected, only later.
    """
    gc.set_threshold(*_LOADING)


def stay_loaded() -> None:
    """What has been loaded is looked through no more, not even as the process ends.

    Called before the workspace's own modules are imported: libraries that count what they leak, as DuckDB does, would
    tell of everything that the collector was kept from.
    """
    gc.freeze()


def run_evenly() -> None:
    """From here on the process serves: what has been loaded stays, and the collector looks at little at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SERVING)
