"""Models, one file each."""

from __future__ import annotations

import sys
from pathlib import Path

from onefold_workers import discovery
from onefold_workers.model import Model, NotTrainable

__all__ = ["Model", "NotTrainable", "discover"]


def discover(folder: Path | None = None) -> dict[str, Model]:
    """Every model, built in or of the workspace's `folder` (its `models/`), by name.

    Raises:
        BadContract: a file exports no model, or a name stands twice.
    """
    return discovery.discover("MODEL", Model, sys.modules[__name__], folder)
