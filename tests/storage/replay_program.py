"""A program that replays a source's failed events and kills itself on the way; run by `test_replaying.py`.

Run with the globals `home`, `text` (the contract) and `die_at`: a kind of step, and what its name begins with.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onefold_storage import contracts, replaying
from onefold_storage.failed import Chosen
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.objects import Objects
from onefold_storage.packages import Packages
from onefold_storage.settings import StorageSettings


def dies(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function, which kills the process instead where its second argument begins so."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not name or str(args[1]).startswith(name):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


def run(home: str, text: str, die_at: tuple[str, str]) -> None:
    """Replay everything that is open, until the point comes."""
    what, name = die_at
    installation = Installation(StorageSettings(home=Path(home), now=datetime(2018, 1, 1, tzinfo=UTC)))
    contract = contracts.parse(text, "people.yaml")
    installation.lander.reconcile(contract.id)
    places: dict[str, tuple[Any, str]] = {
        "put": (Objects, "put"),
        "delete": (Objects, "delete"),
        "commit": (Lake, "commit"),
        "rewrite": (replaying, "rewrite"),
        "record": (Packages, "record"),
    }
    owner, attribute = places[what]
    setattr(owner, attribute, dies(getattr(owner, attribute), name))
    replaying.replay(installation, contract, Chosen())


if "home" in globals():
    run(globals()["home"], globals()["text"], globals()["die_at"])
