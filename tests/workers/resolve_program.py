"""A program that resolves an installation's records and may die on the way; run by `test_resolving_crashes.py`.

Run with the globals `settings` and `die_at`: the object that is about to be put, or the table about to be committed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.objects import Objects
from onefold_storage.settings import StorageSettings
from onefold_workers.stages import resolving


def dies(function: Callable[..., Any], at: str) -> Callable[..., Any]:
    """The method, which kills its process before it writes `at`."""

    def call(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        if name == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(self, name, *args, **kwargs)

    return call


def run(settings: StorageSettings, die_at: str) -> None:
    """Resolve, in this process alone."""
    Lake.commit = dies(Lake.commit, die_at)  # type: ignore[method-assign]
    Objects.put = dies(Objects.put, die_at)  # type: ignore[method-assign]
    resolving.shared_folder = lambda _: nullcontext(None)  # type: ignore[attr-defined]
    resolving.resolve_identities(Installation(settings), [], accept_changes=True)


if "settings" in globals():
    run(globals()["settings"], globals()["die_at"])
