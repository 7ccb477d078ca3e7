"""The spool: the write-ahead logs of this machine, and the events that wait for their contract to be amended.

    logs/<id>/            one log a process that takes events (`spool_log.py`)
    held/<source>/        events that did not fit the contract as a whole, a segment each, in order; `why.json`

Whoever drains takes each sealed segment, lands every source's events as one delivery whose content is the
segment's, and removes it when all are committed or held. A crash in between lands nothing twice: landing knows the
content. Everything here is on one volume, and may hold personal data until it is committed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from onefold_storage.clock import SystemClock
from onefold_storage.spool_frames import Frame, unpack
from onefold_storage.spool_log import ASIDE, DAMAGED, OPEN, SEALED, Segment, rewrite, sync_folder

_WHY = "why.json"


@dataclass(frozen=True)
class Held:
    """A segment's events of one source that wait for the contract; as a segment of its own."""

    source: str
    segment: Segment


@dataclass(frozen=True)
class Depth:
    """What waits: bytes and segments in logs, age of the oldest in seconds, bytes and reason held by source."""

    bytes: int
    segments: int
    oldest: float
    held: dict[str, int]

    @property
    def total(self) -> int:
        """Bytes of all of it."""
        return self.bytes + sum(self.held.values())


class Spool:
    """The folder of the spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self._held = folder / "held"

    def log_folders(self) -> list[Path]:
        """Every log, oldest first."""
        logs = (p for p in _entries(self.logs) if p.suffix != ASIDE and p.is_dir())
        return sorted(logs, key=lambda p: (p.stat().st_mtime_ns, p.name))

    def depth(self) -> Depth:
        """How much waits, and how long."""
        size = count = 0
        oldest = now = SystemClock().now().timestamp()
        for folder in _entries(self.logs):
            for path in _entries(folder):
                if path.suffix in (OPEN, SEALED) and (facts := _stat(path)) is not None and facts.st_size:
                    size += facts.st_size
                    count += 1
                    oldest = min(oldest, facts.st_mtime)
        held = {p.name: sum(_size(f) for f in _entries(p) if f.suffix == SEALED) for p in _entries(self._held)}
        return Depth(size, count, max(now - oldest, 0.0), {k: v for k, v in held.items() if v})

    def events(self, sources: Collection[str]) -> dict[str, int]:
        """How many events of these sources wait in logs; what is held is not among them, nor a source without any."""
        found: dict[str, int] = {}
        logs = [s for folder in _entries(self.logs) for s in _entries(folder) if s.suffix in (SEALED, OPEN)]
        for frame in (f for log in logs if sources for f in frames_of(log)):
            if frame.source in sources:
                found[frame.source] = found.get(frame.source, 0) + frame.events
        return found

    # events that wait for their contract

    def hold(self, source: str, segment: Segment, frames: Sequence[Frame], why: dict[str, Any]) -> None:
        """Keep a source's events of a segment until its contract is amended; durable when this returns."""
        folder = self._held / source
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self._held)
        name = f"{segment.log}-{segment.number:010d}{SEALED}"
        standing = [h.segment.path for h in self.held(source)]
        if not any(p.name.endswith(f"-{name}") for p in standing):
            last = int(standing[-1].name.split("-", 1)[0]) if standing else 0
            rewrite(folder / f"{last + 1:010d}-{name}", frames)
        self.explain(source, why)

    def held(self, source: str) -> list[Held]:
        """What is held of a source, in order."""
        found = []
        for path in sorted(p for p in _entries(self._held / source) if p.suffix == SEALED):
            _, log, number = path.stem.split("-")
            found.append(Held(source, Segment(log, int(number), path)))
        return found

    def held_sources(self) -> list[str]:
        """Sources of which something is held."""
        return sorted(p.name for p in _entries(self._held) if self.held(p.name))

    def explain(self, source: str, why: dict[str, Any]) -> None:
        """Say why a source is held, for people and for the next process; no personal data."""
        folder = self._held / source
        aside = folder / f"{_WHY}.new"
        aside.write_bytes(orjson.dumps(why))
        os.replace(aside, folder / _WHY)  # noqa: PTH105

    def why(self, source: str) -> dict[str, Any]:
        """Why a source is held; empty where it is not."""
        path = self._held / source / _WHY
        try:
            found: dict[str, Any] = orjson.loads(path.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return found if self.held(source) else {}

    def waiting(self) -> list[Path]:
        """Every file that holds frames: segments, and what is held of them."""
        logs = [s for folder in _entries(self.logs) for s in _entries(folder) if s.suffix in (SEALED, OPEN)]
        return sorted([*logs, *(h.segment.path for s in self.held_sources() for h in self.held(s))])

    def damaged(self) -> list[Path]:
        """Every segment that was damaged, as it was: kept for people."""
        folders = [*_entries(self.logs), *_entries(self._held)]
        return sorted(p for folder in folders for p in _entries(folder) if p.suffix == DAMAGED)


def frames_of(path: Path) -> tuple[Frame, ...]:
    """The frames of a segment's file; none where it is gone."""
    try:
        return unpack(path.read_bytes()).frames
    except FileNotFoundError:
        return ()


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _size(path: Path) -> int:
    facts = _stat(path)
    return facts.st_size if facts else 0
