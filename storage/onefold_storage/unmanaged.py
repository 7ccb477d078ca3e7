"""Unmanaged silos: files that lie where sources drop theirs, and that no data contract reads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from onefold_storage.contracts import Contract
from onefold_storage.errors import OnefoldError, Unavailable
from onefold_storage.faults import told
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
        Unavailable: the landing root is not there, or cannot be listed.
    """
    root = settings.landing
    if root is None:
        return []
    found, read = _looked_at(root, settings, [_pattern(c, settings.workspace_folder) for c in contracts])
    base = root.removeprefix("s3://").rstrip("/")
    for path in read:
        found.pop(path, None)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path, facts in found.items():
        place = PurePosixPath(path[len(base) :].lstrip("/"))
        groups.setdefault((str(place.parent), _kind(place)), []).append(facts)
    listed = [
        Unmanaged(folder, kind, len(rows), sum(int(r.get("size") or 0) for r in rows), _newest(rows))
        for (folder, kind), rows in groups.items()
    ]
    return sorted(listed, key=lambda u: (-u.bytes, u.folder, u.kind))


@told()
def _looked_at(
    root: str, settings: StorageSettings, patterns: list[str]
) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """All objects below the root with their facts, and those that some pattern reads."""
    files = filesystem(root, settings.options_for(root))
    base = root.removeprefix("s3://").rstrip("/")
    there = base.partition("/")[0] if root.startswith("s3://") else base  # a prefix without objects may stand
    if not files.exists(there):
        raise Unavailable(f"{root}: is not there; create it, or correct ONEFOLD_LANDING_URL")
    found: dict[str, dict[str, Any]] = files.find(base, detail=True)
    inside = [p for p in patterns if p.startswith(f"{base}/")]
    return found, {path for pattern in inside for path in files.glob(pattern)}


def _pattern(contract: Contract, base: Path) -> str:
    """What a contract's location may match, as an absolute glob; empty where it is on another system.

    A part of it that is named (`${NAME}`) may be anything.
    """
    location = re.sub(r"\$\{[^}]*\}", "*", contract.rules.location)
    if location.startswith("s3://"):
        return location.removeprefix("s3://")
    path = location.removeprefix("file://")
    return "" if "://" in path or not path else os.path.normpath(base / path)


def told_of(settings: StorageSettings, contracts: Iterable[Contract]) -> tuple[list[dict[str, Any]], str | None]:
    """`unmanaged` as plain facts for a report, with what kept it from looking: that is told, and spoils no report."""
    try:
        found = unmanaged(settings, contracts)
    except OnefoldError as error:
        return [], str(error)
    return [asdict(u) | {"newest": u.newest.isoformat() if u.newest else None} for u in found], None


def _kind(path: PurePosixPath) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _COMPRESSED]
    return suffixes[-1].removeprefix(".") if suffixes else "no extension"


def _newest(rows: list[dict[str, Any]]) -> datetime | None:
    times = [r.get("LastModified") or r.get("mtime") for r in rows]
    known = [t if isinstance(t, datetime) else datetime.fromtimestamp(t, UTC) for t in times if t is not None]
    return max(known, default=None)
