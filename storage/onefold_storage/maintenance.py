"""Maintenance: what keeps the lake small and quick without changing what it says.

Small files are written together, files that nothing needs go, logs get checkpoints, replays that were cut off are
finished, publications and working areas beyond the newest are pruned. The lock of the flows is held throughout, so
that no stage reads a version that goes and no erasure is undone; landing goes on meanwhile. Run again, it finds
nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from onefold_storage.compaction import bins, compact
from onefold_storage.documents import sweep_documents
from onefold_storage.errors import NotFound
from onefold_storage.installation import FLOW, Installation
from onefold_storage.lake import Lake
from onefold_storage.publications import ROOT as PUBLICATIONS
from onefold_storage.publications import Publications
from onefold_storage.replaying import finish_all
from onefold_storage.sweeping import Swept, leftovers, sweep, trim_log

RETENTION = timedelta(days=1)
"""Age up to which a file that no newest version needs stays; longer than any flow run or landing."""
PUBLICATIONS_KEPT = 3
_AREA, _SHARES = "work/customers", "work/publication"

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class TableUpkeep:
    """What was done to one table; `busy`: somebody was landing into it, so its old files stay until next time."""

    table: str
    compacted: int
    into: int
    removed: int
    freed: int
    checkpoint: bool
    busy: bool

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.compacted or self.removed or self.checkpoint or self.busy)


@dataclass(frozen=True)
class Upkeep:
    """What maintenance came to: by table, then leftovers of writers that died, bytes freed in all.

    `documents`: objects that no row names any more.
    """

    dry_run: bool
    tables: tuple[TableUpkeep, ...]
    leftovers: int
    areas: int
    publications: int
    replays: int
    freed: int = 0
    busy: tuple[str, ...] = field(default=())
    documents: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As facts for machines; tables where nothing was to do are left out."""
        tables = [asdict(t) for t in self.tables if not t.idle]
        return asdict(self) | {"tables": tables, "busy": list(self.busy)}

    def line(self) -> str:
        """For people."""
        files, into = sum(t.compacted for t in self.tables), sum(t.into for t in self.tables)
        removed = sum(t.removed for t in self.tables) + self.leftovers + self.documents
        would = "would be " if self.dry_run else ""
        told = [f"{files:,} small files {would}written into {into:,}"] if files else []
        told += [f"{removed:,} files {would}removed ({self.freed / 2**20:,.1f} MiB)"] if removed else []
        told += [f"busy: {', '.join(self.busy)}"] if self.busy else []
        return "; ".join(told) or "nothing to do"


def maintain(
    installation: Installation,
    *,
    retention: timedelta = RETENTION,
    dry_run: bool = False,
    on_step: OnStep | None = None,
) -> Upkeep:
    """Maintain the whole lake; with `dry_run` only say what would be done.

    Raises:
        Conflict: a flow or an erasure went on for ten minutes.
    """
    say = on_step or (lambda _: None)
    lake = installation.lake
    with lake.lock(FLOW):
        replays = 0 if dry_run else finish_all(lake)
        if not dry_run:
            installation.law.copy()
            installation.law.fold()
        names = lake.names()
        tables = []
        for number, name in enumerate(names, 1):
            say(f"{name} ({number} of {len(names)})")
            tables.append(_table(lake, name, retention, dry_run=dry_run))
        say("what writers left behind")
        rest = leftovers(lake, retention, dry_run=dry_run)
        say("documents that no row names")
        orphans = sweep_documents(lake, retention, dry_run=dry_run)
        areas = _areas(lake, dry_run=dry_run)
        pruned = _publications(installation, dry_run=dry_run)
    if not dry_run:
        installation.ledger.settle()
    waiting = [n for n, part in (("leftovers", rest), ("documents", orphans)) if part.busy]
    busy = (*(t.table for t in tables if t.busy), *waiting)
    freed = sum(t.freed for t in tables) + rest.size + areas.size + orphans.size
    return Upkeep(
        dry_run, tuple(tables), rest.objects, areas.objects, pruned, replays, freed, busy, orphans.objects
    )


def _table(lake: Lake, name: str, retention: timedelta, *, dry_run: bool) -> TableUpkeep:
    if dry_run:
        waiting = bins(lake, name)
        files, into = sum(map(len, waiting)), len(waiting)
    else:
        files, into = compact(lake, name)
    swept = sweep(lake, name, retention, dry_run=dry_run)
    checkpoint = trim_log(lake, name, dry_run=dry_run)
    return TableUpkeep(name, files, into, swept.objects, swept.size, checkpoint, swept.busy)


def _areas(lake: Lake, *, dry_run: bool) -> Swept:
    """Working areas that no stage goes on with: of older inputs, or of a run that was cut off.

    The latter would hold the same rows twice if the run were begun again after a compaction.
    """
    known = lake.objects.get(f"{_AREA}/current.json")
    current = orjson.loads(known)["version"] if known else None
    done = Swept()
    for area in (*(f"{_AREA}/{v}" for v in lake.objects.folders(_AREA) if v != current), _SHARES):
        sizes = lake.objects.sizes(area)
        done += Swept(len(sizes), sum(sizes.values()))
        if sizes and not dry_run:
            lake.objects.delete_below(area)
    return done


def _publications(installation: Installation, *, dry_run: bool) -> int:
    lake = installation.lake
    publications = Publications(lake.objects, lambda: lake.lock(PUBLICATIONS))
    if dry_run:
        return max(0, len(lake.objects.folders(PUBLICATIONS)) - PUBLICATIONS_KEPT)
    gone = publications.prune(PUBLICATIONS_KEPT)
    for version in gone:
        try:
            installation.ledger.publications.mark(version, "pruned")
        except NotFound:  # an upload that did not end
            continue
    return len(gone)
