"""Compaction: the small files of a table become few, with the same rows.

Streams commit every other second, and each commit is a file. A partition with enough small ones has them written
together, one bin of about `TARGET_BYTES` at a time, each in a commit of its own under the table's lock, so that a
lander waits for one bin at most. Such a commit says that no data changed, carries the fingerprint of the table's
inputs on, and keeps the text of its content (`contents.py`): nothing is computed again because of it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties
from deltalake.transaction import AddAction, RemoveAction

from onefold_storage.clock import SystemClock
from onefold_storage.contents import keep_content
from onefold_storage.errors import Unavailable
from onefold_storage.lake import INPUTS, Lake
from onefold_storage.parts import TARGET_BYTES
from onefold_storage.schema import LINKS

ROWS = 4_000_000
"""A bin is about that large, or of `TARGET_BYTES`; a file of half of either is not small any more."""
FEWEST = 8
"""Small files of a partition from which on it is worth the writing."""
MOST = 500
"""Files of a bin at most."""
_THREADS = 8
KEPT = (LINKS.name,)
"""Written whole each time: there is nothing to put together."""


@dataclass(frozen=True)
class SmallFile:
    """A file of a table that could be written together with others: path, bytes, rows, partition."""

    path: str
    size: int
    rows: int
    partition: tuple[tuple[str, str | None], ...]
    first: str


def bins(lake: Lake, name: str) -> list[list[SmallFile]]:
    """What `compact` would write together: bins of one partition each, packages that follow each other side by side."""
    if name in KEPT:
        return []
    by_partition: dict[tuple[tuple[str, str | None], ...], list[SmallFile]] = {}
    for action in pa.table(lake.handle(name).get_add_actions()).to_pylist():
        small = _small(action)
        if small.size < TARGET_BYTES / 2 and small.rows < ROWS / 2:
            by_partition.setdefault(small.partition, []).append(small)
    found: list[list[SmallFile]] = []
    for _, files in sorted(by_partition.items(), key=lambda item: str(item[0])):
        if len(files) >= FEWEST:
            found += _filled(sorted(files, key=lambda f: (f.first, f.path)))
    return found


def compact(lake: Lake, name: str) -> tuple[int, int]:
    """Write small files together; gives how many there were of those, and how many came of them."""
    before = after = 0
    while True:
        with lake.lock(name):
            waiting = bins(lake, name)
            if not waiting:
                return before, after
            after += _write(lake, name, waiting[0])
            before += len(waiting[0])


def _write(lake: Lake, name: str, files: list[SmallFile]) -> int:
    lake.must_hold(name)
    shape, partition = lake.shape(name), dict(files[0].partition)
    writer = lake.writer(name, shape=shape, partition=partition)
    with ThreadPoolExecutor(_THREADS) as pool:
        for at in range(0, len(files), 2 * _THREADS):
            some = files[at : at + 2 * _THREADS]
            for table in pool.map(lambda small: _read(lake, f"{name}/{small.path}"), some):
                writer.write(table)
    parts = writer.close()
    rows, found = sum(f.rows for f in files), sum(p.rows for p in parts)
    if rows != found:
        raise Unavailable(f"{name}: {found:,} of {rows:,} rows came through a compaction; nothing was changed")
    gone = {f.path for f in files}
    keep_content(lake, name, [*(p for p, _ in lake.standing(name) if p not in gone), *(p.path for p in parts)])
    now = int(SystemClock().now().timestamp() * 1000)  # retention is counted by the machine's clock
    actions: list[AddAction | RemoveAction] = [RemoveAction(f.path, False, now, f.size, partition) for f in files]
    actions += [AddAction(p.path, p.size, p.partition, now, False, p.stats) for p in parts]
    inputs, table = lake.inputs(name), lake.handle(name)
    lake.must_hold(name)
    table.create_write_transaction(
        actions,
        "append",
        shape.schema,
        list(shape.partition_by) or None,
        commit_properties=CommitProperties(custom_metadata={INPUTS: inputs} if inputs else None),
    )
    if lake.objects.local:
        lake.objects.sync(f"{name}/_delta_log/{lake.version(name):020d}.json")
    return len(parts)


def _read(lake: Lake, key: str) -> pa.Table:
    with lake.objects.open(key) as file:
        return pq.ParquetFile(file).read()


def _filled(files: list[SmallFile]) -> list[list[SmallFile]]:
    found: list[list[SmallFile]] = [[]]
    size = rows = 0
    for small in files:
        full = size + small.size > TARGET_BYTES or rows + small.rows > ROWS or len(found[-1]) >= MOST
        if found[-1] and full:
            found.append([])
            size = rows = 0
        found[-1].append(small)
        size, rows = size + small.size, rows + small.rows
    return [b for b in found if len(b) > 1]


def _small(action: dict[str, Any]) -> SmallFile:
    first = (action.get("min") or {}).get("_package_id") or (action.get("min") or {}).get("package_id")
    partition = tuple((action.get("partition") or {}).items())
    return SmallFile(
        str(action["path"]), int(action["size_bytes"]), int(action["num_records"] or 0), partition, str(first or "")
    )
