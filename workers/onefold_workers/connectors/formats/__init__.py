"""File formats: one file each, exporting one frozen `FORMAT`."""

from __future__ import annotations

from functools import lru_cache

from onefold_workers.connectors import _discovery
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile

__all__ = ["FileOptions", "Format", "InputFile", "discover"]


@lru_cache(maxsize=1)
def discover() -> dict[str, Format]:
    """Every format by name."""
    return _discovery.exported(__name__, "FORMAT", Format)
