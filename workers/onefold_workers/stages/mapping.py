"""Bronze to silver: each new package's rows become rows of the canonical tables.

How far a source has been mapped stands in the silver table itself, committed with the rows: the transaction
version of `map:<source>:<digest of the mapping>` is the last package's seq. A contract whose mapping changed has a
new digest, and its partition is mapped anew from bronze.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.compute as pc

from onefold_storage.contracts import Contract
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.manifests import committed_seq
from onefold_storage.parts import Part
from onefold_storage.schema import SILVER
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import spread
from onefold_workers.mapping import silver_rows
from onefold_workers.stages.slices import Slice, read_slice, slices


@dataclass(frozen=True)
class MapTask:
    """One slice of a source's bronze table, and the packages in it that are new to each silver table."""

    settings: StorageSettings
    contract: Contract
    slice: Slice
    after: dict[str, int]


def map_sources(installation: Installation, contracts: list[Contract]) -> dict[str, int]:
    """Map what is new and return the rows added to each silver table."""
    added: dict[str, int] = {}
    for contract in contracts:
        for table, rows in _map_source(installation, contract).items():
            added[table] = added.get(table, 0) + rows
    return added


def _map_source(installation: Installation, contract: Contract) -> dict[str, int]:
    lake = installation.lake
    newest = committed_seq(lake, contract.id)
    app = f"map:{contract.id}:{contract.digest[:12]}"
    tables = sorted({f"silver/{m.table}" for m in contract.maps})
    done = {t: lake.transaction(t, app) for t in tables}
    behind = {t: seq for t, seq in done.items() if seq < newest}
    added: dict[str, int] = {}
    if behind and newest:
        beyond = ("_package_id", _after(contract, min(behind.values())))
        fresh = slices(lake, contract.bronze, beyond=beyond)
        tasks = [MapTask(installation.settings, contract, s, behind) for s in fresh]
        results = spread(map_slice, tasks)
        for table, seq in behind.items():
            parts = [p for r in results for p in r.get(table, [])]
            replace = {"source": contract.id} if seq < 0 else False
            with lake.lock(table):
                if lake.transaction(table, app) == seq:
                    lake.commit(table, parts, replace=replace, transaction=(app, newest))
            added[table] = sum(p.rows for p in parts)
    _clear_unmapped(lake, contract, set(tables))
    return added


def map_slice(task: MapTask) -> dict[str, list[Part]]:
    """Map one slice, on a worker."""
    lake = Installation(task.settings).lake
    rows = read_slice(lake, task.slice)
    mapped: dict[str, list[Part]] = {}
    for seq in sorted(set(task.after.values())):
        fresh = rows.filter(pc.greater(rows.column("_package_id"), _after(task.contract, seq)))
        if not fresh.num_rows:
            continue
        for name, table in silver_rows(task.contract, fresh).items():
            if task.after.get(name) == seq and table.num_rows:
                mapped[name] = lake.parts(name, table)
    return mapped


def _after(contract: Contract, seq: int) -> str:
    """A text that is greater than the id of every package up to `seq`, and of none after it."""
    return f"{contract.id}-{max(seq, 0):08d}~"


def _clear_unmapped(lake: Lake, contract: Contract, mapped: set[str]) -> None:
    """Rows that an earlier contract of the source put into a table that it no longer names go."""
    for table in SILVER:
        if table.name in mapped or not lake.exists(table.name):
            continue
        partitions = lake.handle(table.name).partitions([("source", "=", contract.id)])
        if partitions:
            with lake.lock(table.name):
                lake.commit(table.name, [], replace={"source": contract.id})
