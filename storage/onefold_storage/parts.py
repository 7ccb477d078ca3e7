"""Parts: Parquet files that a worker wrote and nobody has committed yet.

A part is invisible until a committer puts it into a table's log (`lake.py`); one that is never committed is
swept by maintenance. Personal columns carry no statistics, neither in the file's footer nor in the log.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onefold_storage.errors import BadInput, Unavailable
from onefold_storage.faults import told
from onefold_storage.objects import Objects

_ROW_GROUP = 131_072
_GROUP_BYTES = 64 << 20
_TARGET_ROWS = 4_000_000
TARGET_BYTES = 64 << 20
"""A part is in memory until it is whole, so that it can be sent again."""
_SAMPLE = 8192
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Part:
    """One Parquet file below its table's root."""

    path: str
    size: int
    rows: int
    partition: dict[str, str | None] = field(default_factory=dict)
    stats: str = "{}"


class PartWriter:
    """Writes one partition of a table as parts of some 64 MiB each, of which one is in memory, beside a row group of
    131,072 rows, or fewer where they are wide.

    `schema`: the files' columns, without partition columns. `statistics`: columns that may have some.
    """

    def __init__(
        self,
        objects: Objects,
        table: str,
        schema: pa.Schema,
        *,
        statistics: Iterable[str] = (),
        partition: dict[str, str | None] | None = None,
        name: str = "part",
    ) -> None:
        self._objects, self._table, self._schema = objects, table, schema
        self._statistics = [c for c in statistics if c in schema.names]
        self._partition = partition or {}
        self._name = name
        self._parts: list[Part] = []
        self._file = pa.BufferOutputStream()
        self._writer: pq.ParquetWriter | None = None
        self._rows = 0
        self._bounds: dict[str, list[Any]] = {}
        self._waiting: list[pa.Table] = []
        self._waits = self._bytes = 0

    @told()
    def write(self, rows: pa.Table) -> None:
        """Append rows, which must have the schema's columns; other types are cast safely."""
        rows = conform(rows, self._schema, self._table)
        if not rows.num_rows:
            return
        self._waiting.append(rows)
        self._waits += rows.num_rows
        self._bytes += rows.nbytes
        if self._waits >= _ROW_GROUP or self._bytes >= _GROUP_BYTES:
            self._flush()
        if self._rows >= _TARGET_ROWS or (self._writer and self._file.tell() >= TARGET_BYTES):
            self._close()

    @told()
    def close(self) -> list[Part]:
        """Finish the last file and return every part, each durable."""
        self._close()
        return self._parts

    def _flush(self) -> None:
        """Write the waiting rows as row groups: small batches would make small groups, which read slowly."""
        if not self._waits:
            return
        rows = pa.concat_tables(self._waiting)
        if self._writer is None:
            self._open(rows)
        assert self._writer is not None
        self._writer.write_table(rows, row_group_size=_ROW_GROUP)
        self._note(rows)
        self._rows += rows.num_rows
        self._waiting, self._waits, self._bytes = [], 0, 0

    def _open(self, rows: pa.Table) -> None:
        self._file = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            compression_level=1,
            write_statistics=self._statistics or False,
            store_schema=True,
            **encodings(rows),
        )
        self._rows, self._bounds = 0, {}

    def _note(self, rows: pa.Table) -> None:
        for name in self._statistics:
            column = rows.column(name)
            if _bounded(column.type):
                low, high = pc.min_max(column).as_py().values()
                known = self._bounds.setdefault(name, [None, None, 0])
                known[0] = low if known[0] is None else min(known[0], low if low is not None else known[0])
                known[1] = high if known[1] is None else max(known[1], high if high is not None else known[1])
                known[2] += column.null_count

    def _close(self) -> None:
        self._flush()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        data = self._file.getvalue()
        path = self._put(data)
        stats = {
            "numRecords": self._rows,
            "minValues": {k: _plain(v[0]) for k, v in self._bounds.items() if v[0] is not None},
            "maxValues": {k: _plain(v[1]) for k, v in self._bounds.items() if v[1] is not None},
            "nullCount": {k: v[2] for k, v in self._bounds.items()},
        }
        self._parts.append(Part(path, data.size, self._rows, self._partition, json.dumps(stats)))

    def _put(self, data: pa.Buffer) -> str:
        """Make a part durable, and say where it is below the table."""
        path = self._path()
        try:
            self._objects.send(f"{self._table}/{path}", data)
        except Unavailable:
            path = self._path()
            self._objects.put(f"{self._table}/{path}", data.to_pybytes())
        return path

    def _path(self) -> str:
        folders = [f"{k}={_segment(v)}" for k, v in self._partition.items()]
        return "/".join([*folders, f"{self._name}-{uuid.uuid4().hex}.zstd.parquet"])


def encodings(rows: pa.Table) -> dict[str, Any]:
    """How the columns of a file are best encoded, told from its first rows, as arguments of `ParquetWriter`.

    A dictionary of values that hardly repeat costs as much time as all the rest and saves nothing, so columns of
    which most sampled values differ go without; whole numbers and times among them as differences. With nested
    columns, whose leaves have other names, Arrow's defaults stand.
    """
    if any(pa.types.is_nested(f.type) for f in rows.schema):
        return {}
    repeating = [f.name for f in rows.schema if _repeats(rows.column(f.name))]
    deltas = [f.name for f in rows.schema if f.name not in repeating and _counts(f.type)]
    return {"use_dictionary": repeating, "column_encoding": dict.fromkeys(deltas, "DELTA_BINARY_PACKED")}


def _repeats(column: pa.ChunkedArray) -> bool:
    some = column.slice(0, _SAMPLE)
    filled = len(some) - some.null_count
    return bool(filled < 64 or pc.count_distinct(some).as_py() * 2 <= filled)


def _counts(kind: pa.DataType) -> bool:
    return bool(pa.types.is_int64(kind) or pa.types.is_timestamp(kind) or pa.types.is_date32(kind))


def conform(rows: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """Bring rows to exactly `schema`: order, safe casts, absent columns as null.

    Raises:
        BadInput: a column that the schema does not know, or a value that does not fit; names table and column.
    """
    unknown = [n for n in rows.column_names if n not in schema.names]
    if unknown:
        raise BadInput(f"{where}: has no column {', '.join(unknown)}; it has {', '.join(schema.names)}")
    columns = []
    for f in schema:
        if f.name not in rows.column_names:
            columns.append(pa.nulls(rows.num_rows, f.type))
            continue
        column = rows.column(f.name)
        try:
            columns.append(column if column.type == f.type else column.cast(f.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise BadInput(f"{where}.{f.name}: expected {f.type}, found {column.type} that does not fit") from error
    return pa.Table.from_arrays(columns, schema=schema)


def _bounded(kind: pa.DataType) -> bool:
    numbers = pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_string(kind)
    return bool(numbers or pa.types.is_timestamp(kind))


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return value


def _segment(value: str | None) -> str:
    if value is None:
        return "__HIVE_DEFAULT_PARTITION__"
    return value if _PLAIN.fullmatch(value) else quote(value, safe="")
