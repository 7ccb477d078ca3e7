"""How much each source grew each day, from the ledger's load packages and the sizes that the tables' logs tell.

A source's bytes of a day are the rows that landed on it times what a row of its bronze table takes, with the documents
that it brought. What silver, gold, publications and logs add is the lake's bytes over bronze's: `spread`; documents are
stored once. Days are UTC; today is not over, and
is left out. Whole days without a package count as none landed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from onefold_storage.documents import brought, sources
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import FAILED_EVENTS


@dataclass(frozen=True)
class Size:
    """A table's newest version: bytes of its objects, their rows and their number."""

    bytes: int
    rows: int
    objects: int


@dataclass(frozen=True)
class SourceGrowth:
    """A source's growth by day, from its first day to yesterday. `documents`: bytes of the objects that it brought."""

    source: str
    size: Size
    first: date
    rows: tuple[int, ...]
    documents: int = 0

    def bytes(self, spread: float) -> list[float]:
        """Bytes of each day; `spread`: those that all tables take for each in bronze."""
        each = (self.size.bytes * spread + self.documents) / self.size.rows if self.size.rows else 0.0
        return [r * each for r in self.rows]


@dataclass(frozen=True)
class Growth:
    """Every source's growth, and the tables' sizes."""

    sources: tuple[SourceGrowth, ...]
    tables: dict[str, Size]
    until: date

    @property
    def spread(self) -> float:
        """Bytes that all tables take for each byte in bronze, 1 where nothing is derived yet."""
        bronze = sum(s.bytes for n, s in self.tables.items() if n.startswith("bronze/"))
        return sum(s.bytes for s in self.tables.values()) / bronze if bronze else 1.0

    def total(self) -> tuple[date, list[float]]:
        """The first day, and the lake's bytes landed on each day since, derived ones among them."""
        if not self.sources:
            return self.until, []
        first = min(s.first for s in self.sources)
        days = [0.0] * ((self.until - first).days + 1)
        for source in self.sources:
            for at, grown in enumerate(source.bytes(self.spread), (source.first - first).days):
                days[at] += grown
        return first, days


def size(lake: Lake, name: str) -> Size:
    """The size of a table's newest version, read from its log."""
    actions = pa.table(lake.handle(name).get_add_actions(flatten=True))
    sizes, rows = actions.column("size_bytes"), actions.column("num_records")
    return Size(sum(sizes.to_pylist()), sum(r or 0 for r in rows.to_pylist()), actions.num_rows)


def growth(installation: Installation) -> Growth:
    """What landed so far, by source and day, up to yesterday of the platform's clock."""
    lake = installation.lake
    tables = {name: size(lake, name) for name in lake.names()}
    until = installation.clock.now().date() - timedelta(days=1)
    found, storing = [], sources(lake.objects)
    for source, days in installation.ledger.packages.landed_by_day().items():
        known = tables.get(f"bronze/{source}")
        first = min(days)
        if known is None or f"bronze/{source}" == FAILED_EVENTS.name or first > until:
            continue
        count = (until - first).days + 1
        rows = tuple(days.get(first + timedelta(days=n), 0) for n in range(count))
        documents = brought(lake.objects, source) if source in storing else 0
        found.append(SourceGrowth(source, known, first, rows, documents))
    return Growth(tuple(found), tables, until)
