"""Sweeping: files that no table needs any more go, under the locks of everyone who may be writing there.

A part lies uncommitted from its first byte until its table's commit, and full vacuum cannot tell it from a leftover.
So a bronze table is swept under its source's landing lock as well, the failed events source by source likewise, and
every other table under the lock of the flows (held by `maintenance.py`), whose stages alone write parts beforehand.
Who is writing is left alone until the next time. What is younger than the retention stays in any case: readers may
be in the middle of an older version.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from onefold_storage.clock import SystemClock
from onefold_storage.errors import Conflict
from onefold_storage.lake import Lake
from onefold_storage.places import table_of
from onefold_storage.schema import FAILED_EVENTS

PATIENCE = 20.0
"""Seconds to wait for a lander."""
_LOG_ENTRIES = 10
"""Commits since the last checkpoint from which on there is a new one at night; commits write one every twenty."""


@dataclass(frozen=True)
class Swept:
    """What went: objects and their bytes; `busy` where somebody was writing and nothing was looked at."""

    objects: int = 0
    size: int = 0
    busy: bool = False

    def __add__(self, other: Swept) -> Swept:
        return Swept(self.objects + other.objects, self.size + other.size, self.busy or other.busy)


def sweep(
    lake: Lake, name: str, retention: timedelta, *, dry_run: bool = False, patience: float | None = None
) -> Swept:
    """Remove the table's files that no version younger than `retention` needs. Hold the lock of the flows.

    `patience`: seconds to wait for whoever is landing into it.
    """
    done = Swept()
    for landing, within in _writers(lake, name):
        try:
            with _held(lake, [*landing, name], PATIENCE if patience is None else patience):
                done += _expired(lake, name, within, retention, dry_run=dry_run)
        except Conflict:
            done += Swept(busy=True)
    return done


def trim_log(lake: Lake, name: str, *, dry_run: bool = False) -> bool:
    """Write a checkpoint where many commits came since the last, and drop commits older than the log's retention."""
    commits = 0
    for key in reversed(lake.objects.keys(f"{name}/_delta_log")):
        if ".checkpoint." in key:
            break
        commits += key.endswith(".json")
    if commits < _LOG_ENTRIES:
        return False
    if not dry_run:
        with lake.lock(name):
            table = lake.handle(name)
            table.create_checkpoint()
            table.cleanup_metadata()
    return True


def leftovers(lake: Lake, retention: timedelta, *, dry_run: bool = False) -> Swept:
    """Remove parts of tables that never came to be, and puts that were cut off, older than `retention`."""
    before = SystemClock().now() - retention
    done = Swept()
    found = {k: e for k, e in lake.objects.entries("").items() if e.modified < before}
    tables = {t for k in found if (t := table_of(k))}
    absent = {t for t in tables if not lake.exists(t)}
    for name in sorted(absent):
        keys = [k for k in found if table_of(k) == name]
        for landing, _ in _writers(lake, name):
            try:
                with _held(lake, [*landing, name], PATIENCE):
                    if not lake.exists(name):
                        done += _removed(lake, {k: found[k].size for k in keys}, dry_run=dry_run)
            except Conflict:
                done += Swept(busy=True)
    cut = {k: e.size for k, e in found.items() if k.endswith(".tmp")}
    return done + _removed(lake, cut, dry_run=dry_run)


def _writers(lake: Lake, name: str) -> Iterator[tuple[list[str], str]]:
    """The landing locks to hold, and the folder below the table that they guard."""
    if name == FAILED_EVENTS.name:
        for folder in lake.objects.folders(name):
            if folder.startswith("source="):
                yield [f"land:{folder.removeprefix('source=')}"], f"{folder}/"
    elif name.startswith("bronze/"):
        yield [f"land:{name.split('/', 1)[1]}"], ""
    else:
        yield [], ""


@contextmanager
def _held(lake: Lake, names: list[str], patience: float) -> Iterator[None]:
    with ExitStack() as held:
        for name in names:
            held.enter_context(lake.lock(name, patience))
        yield


def _expired(lake: Lake, name: str, within: str, retention: timedelta, *, dry_run: bool) -> Swept:
    hours = int(retention.total_seconds() // 3600)
    table = lake.handle(name)
    paths = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
    keys = {f"{name}/{p}" for p in paths if p.startswith(within)}
    if not keys:
        return Swept()
    sizes = lake.objects.sizes(f"{name}/{within}".rstrip("/"))
    return _removed(lake, {k: sizes[k] for k in keys & sizes.keys()}, dry_run=dry_run)


def _removed(lake: Lake, sizes: dict[str, int], *, dry_run: bool) -> Swept:
    if not dry_run:
        lake.objects.delete_all(sorted(sizes))
    return Swept(len(sizes), sum(sizes.values()))
