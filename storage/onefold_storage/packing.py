"""Packing: the good rows of a package, stamped with where they came from, into parts of its bronze table.

Several threads may write at once: each takes a part that nobody else is writing, so a large package comes to as many
parts as threads, and a small one to one.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from onefold_storage.lake import Lake
from onefold_storage.packages import Package
from onefold_storage.parts import Part, PartWriter
from onefold_storage.schema import TIMESTAMP
from onefold_storage.shapes import TableShape


class Packer:
    """Writes the rows of one package."""

    def __init__(self, lake: Lake, table: str, shape: TableShape, package: Package) -> None:
        self._lake, self._table, self._shape = lake, table, shape
        self._id = pa.scalar(package.package_id, pa.string())
        self._at = pa.scalar(package.started_at, TIMESTAMP)
        self._free: deque[PartWriter] = deque()

    def write(self, rows: pa.Table, *, deleted: bool = False) -> None:
        """Write rows of the contract's columns, `_row_id` and `_extra`; with nothing to write no part is made."""
        n = rows.num_rows
        if not n:
            return
        stamps = {
            "_package_id": pa.repeat(self._id, n),
            "_landed_at": pa.repeat(self._at, n),
            "_deleted": pa.repeat(deleted, n),
        }
        columns = {c: rows.column(c) for c in rows.column_names if c not in stamps} | stamps
        writer = self._taken()
        writer.write(pa.table(columns))
        self._free.append(writer)

    def close(self) -> list[Part]:
        """Finish every part, each durable, and return them."""
        writers = list(self._free)
        if len(writers) < 2:
            return [part for writer in writers for part in writer.close()]
        with ThreadPoolExecutor(len(writers)) as pool:
            return [part for parts in pool.map(PartWriter.close, writers) for part in parts]

    def _taken(self) -> PartWriter:
        try:
            return self._free.pop()
        except IndexError:
            return self._lake.writer(self._table, shape=self._shape)
