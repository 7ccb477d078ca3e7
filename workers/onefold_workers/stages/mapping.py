"""Bronze to silver: each new package's rows become rows of the canonical tables.

How far a source has been mapped stands in the silver table itself, committed with the rows: the transaction
version of `map:<source>:<digest of the mapping>` is the last package's seq. A contract whose mapping changed has a
new digest, and its partition is mapped anew from bronze. Packages land at any time: what is newer than that seq is left
to the next run, though its rows are in bronze already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson
import pyarrow.compute as pc

from onefold_storage.contracts import Contract
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.manifests import committed_seq
from onefold_storage.parts import Part
from onefold_storage.schema import INTERACTIONS, SILVER
from onefold_storage.settings import StorageSettings
from onefold_storage.status import UNTIMED
from onefold_workers.cluster import spread
from onefold_workers.mapping import silver_rows, untimed
from onefold_workers.stages.slices import Slice, read_slice, slices


@dataclass(frozen=True)
class MapTask:
    """One slice of a source's bronze table, and the packages in it that are new to each silver table: those whose seq is
    greater than the table's in `after`, and `upto` at most."""

    settings: StorageSettings
    contract: Contract
    slice: Slice
    after: dict[str, int]
    upto: int


@dataclass(frozen=True)
class _Backlog:
    """How far each silver table of one source lags behind its packages: `behind` is the last seq mapped, or -1."""

    contract: Contract
    newest: int
    behind: dict[str, int]

    @property
    def app(self) -> str:
        return f"map:{self.contract.id}:{self.contract.digest[:12]}"


@dataclass(frozen=True)
class Mapped:
    """What mapping came to. `added`: rows by silver table. `untimed`: rows by source that are no interactions, because
    the time that they are said to have happened at is absent or cannot be read."""

    added: dict[str, int]
    untimed: dict[str, int]


def map_sources(installation: Installation, contracts: list[Contract]) -> Mapped:
    """Map what is new, all sources' slices side by side."""
    lake = installation.lake
    backlogs = [b for c in contracts if (b := _backlog(lake, c)).behind]
    tasks = [t for b in backlogs for t in _tasks(installation, b)]
    results = spread(map_slice, tasks)
    added: dict[str, int] = {}
    untimed_of: dict[str, int] = {}
    for backlog in backlogs:
        mapped = [r for t, r in zip(tasks, results, strict=True) if t.contract.id == backlog.contract.id]
        if without := sum(count for _, count in mapped):
            untimed_of[backlog.contract.id] = without
        for table, seq in backlog.behind.items():
            parts = [p for r, _ in mapped for p in r.get(table, [])]
            _commit(lake, backlog, table, seq, parts)
            added[table] = added.get(table, 0) + sum(p.rows for p in parts)
        _clear_unmapped(lake, backlog.contract)
    _remember(lake, backlogs, untimed_of)
    return Mapped(added, untimed_of)


def _remember(lake: Lake, backlogs: list[_Backlog], untimed_of: dict[str, int]) -> None:
    """Add to what `onefold status` tells of each source's untimed rows; another mapping counts anew."""
    timed = [b for b in backlogs if INTERACTIONS.name in b.behind]
    before = orjson.loads(lake.objects.get(UNTIMED) or b"{}")
    known = dict(before)
    for backlog in timed:
        was = known.get(backlog.contract.id, {})
        rows = untimed_of.get(backlog.contract.id, 0) + (was["rows"] if was.get("mapping") == backlog.app else 0)
        known[backlog.contract.id] = {"mapping": backlog.app, "rows": rows}
    if known != before:
        lake.objects.put(UNTIMED, orjson.dumps(known))


def _tables(contract: Contract) -> list[str]:
    return sorted({f"silver/{m.table}" for m in contract.maps})


def _backlog(lake: Lake, contract: Contract) -> _Backlog:
    backlog = _Backlog(contract, committed_seq(lake, contract.id), {})
    done = {t: lake.transaction(t, backlog.app) for t in _tables(contract)}
    return replace(backlog, behind={t: seq for t, seq in done.items() if max(seq, 0) < backlog.newest})


def _tasks(installation: Installation, backlog: _Backlog) -> list[MapTask]:
    beyond = ("_package_id", _after(backlog.contract, min(backlog.behind.values())))
    fresh = slices(installation.lake, backlog.contract.bronze, beyond=beyond)
    return [MapTask(installation.settings, backlog.contract, s, backlog.behind, backlog.newest) for s in fresh]


def _commit(lake: Lake, backlog: _Backlog, table: str, seq: int, parts: list[Part]) -> None:
    """Append what is new; a mapping that starts from the beginning replaces what the source had there."""
    whole = {"source": backlog.contract.id} if seq < 0 else False
    with lake.lock(table):
        if lake.transaction(table, backlog.app) == seq:
            lake.commit(table, parts, replace=whole, transaction=(backlog.app, backlog.newest))


def map_slice(task: MapTask) -> tuple[dict[str, list[Part]], int]:
    """Map one slice, on a worker: parts by table, and how many rows are untimed (see `Mapped`)."""
    lake = Installation(task.settings).lake
    rows = read_slice(lake, task.slice)
    rows = rows.filter(pc.less(rows.column("_package_id"), _after(task.contract, task.upto)))
    mapped: dict[str, list[Part]] = {}
    without = 0
    for seq in sorted(set(task.after.values())):
        fresh = rows.filter(pc.greater(rows.column("_package_id"), _after(task.contract, seq)))
        if not fresh.num_rows:
            continue
        for name, table in silver_rows(task.contract, fresh).items():
            if task.after.get(name) == seq and table.num_rows:
                mapped[name] = lake.parts(name, table)
        if task.after.get(INTERACTIONS.name) == seq:
            without += untimed(task.contract, fresh)
    return mapped, without


def _after(contract: Contract, seq: int) -> str:
    """A text that is greater than the id of every package up to `seq`, and of none after it."""
    return f"{contract.id}-{max(seq, 0):08d}~"


def _clear_unmapped(lake: Lake, contract: Contract) -> None:
    """Rows that an earlier contract of the source put into a table that it no longer names go."""
    mapped = _tables(contract)
    for table in SILVER:
        if table.name in mapped or not lake.exists(table.name):
            continue
        partitions = lake.handle(table.name).partitions([("source", "=", contract.id)])
        if partitions:
            with lake.lock(table.name):
                lake.commit(table.name, [], replace={"source": contract.id})
