"""Unmanaged silos: files that lie where sources drop theirs, and that no data contract reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from onefold_storage.contracts import Contract
from onefold_storage.objects import filesystem
from onefold_storage.settings import StorageSettings

_COMPRESSED = {".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz"}


@dataclass(frozen=True)
class Unmanaged:
    """Files of one kind in one folder below the landing root that no contract reads; no file's name is told."""

    folder: str
    kind: str
    objects: int
    bytes: int
    newest: datetime | None


def unmanaged(settings: StorageSettings, contracts: Iterable[Contract]) -> list[Unmanaged]:
    """What no contract reads below `ONEFOLD_LANDING_URL`, largest first; nothing where no such root is set.

    Raises:
        Unavailable: the landing root cannot be listed.
    """
    root = settings.landing
    if root is None:
        return []
    files = filesystem(root, settings.options_for(root))
    base = root.removeprefix("s3://").rstrip("/")
    try:
        found: dict[str, dict[str, Any]] = files.find(base, detail=True)
    except FileNotFoundError:
        return []
    for contract in contracts:
        pattern = _absolute(contract.rules.location, settings.workspace_folder)
        if pattern.startswith(base):
            found = {k: v for k, v in found.items() if k not in set(files.glob(pattern))}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path, facts in found.items():
        place = PurePosixPath(path[len(base) :].lstrip("/"))
        groups.setdefault((str(place.parent), _kind(place)), []).append(facts)
    listed = [
        Unmanaged(folder, kind, len(rows), sum(int(r.get("size") or 0) for r in rows), _newest(rows))
        for (folder, kind), rows in groups.items()
    ]
    return sorted(listed, key=lambda u: (-u.bytes, u.folder, u.kind))


def _absolute(location: str, base: Path) -> str:
    if location.startswith("s3://"):
        return location.removeprefix("s3://")
    path = location.removeprefix("file://")
    return "" if "://" in path else os.path.normpath(base / path)


def _kind(path: PurePosixPath) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _COMPRESSED]
    return suffixes[-1].removeprefix(".") if suffixes else "no extension"


def _newest(rows: list[dict[str, Any]]) -> datetime | None:
    times = [r.get("LastModified") or r.get("mtime") for r in rows]
    known = [t if isinstance(t, datetime) else datetime.fromtimestamp(t, UTC) for t in times if t is not None]
    return max(known, default=None)
