"""What ADBC's drivers give, as the values and types that the databases' own drivers give."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from onefold_workers.connectors._result_hash import Kind
from onefold_workers.connectors._values import arrow_column

Column = tuple[pa.Array, bytes | None, Any]
"""The array, and what is hashed: its kind (None: the type says it) and an array, or the values themselves."""


class NotSame(Exception):  # noqa: N818 - no error: there is another way
    """Read this way, rows might not be those that they are the other way."""


@dataclass(frozen=True)
class Piece:
    """Some rows, and for each column what is hashed of it."""

    table: pa.Table
    hashed: list[tuple[bytes | None, Any]]


_STORED = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}


def with_nulls(table: pa.Table, names: Sequence[str], marked: Sequence[str]) -> pa.Table:
    """The table's first columns by their names, null where the columns after them, one for each of `marked`, say so."""
    columns = dict(zip(names, table.columns, strict=False))
    for name, mark in zip(marked, table.columns[len(names) :], strict=True):
        columns[name] = pc.if_else(pc.equal(mark, 1), pa.scalar(None, columns[name].type), columns[name])
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def from_sqlite(table: pa.Table, stored: dict[str, str | None], types: dict[str, pa.DataType | None]) -> Piece:
    """`stored`: each column's one storage class, None where all is null; `types`: what the columns promise.

    Raises:
        NotSame: a column holds another class than it promises, or text that is not UTF-8.
    """
    found: list[Column] = []
    for name in table.column_names:
        array, expected, kind = table.column(name).combine_chunks(), types.get(name), stored[name]
        natural = _STORED[kind] if kind else None
        if array.null_count == len(array):
            array = pa.nulls(len(array), expected or pa.string())
        elif natural != array.type or (expected is not None and expected != natural):
            raise NotSame(f"{name}: another type than promised")
        found.append(_checked(array))
    return _piece(table, found)


def from_postgres(table: pa.Table, types: dict[str, pa.DataType | None]) -> Piece:
    """`types`: what the columns promise.

    Raises:
        NotSame: a column of a type, or a value, that the drivers see with different eyes.
    """
    found: list[Column] = []
    for field in table.schema:
        kind = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
        reader = _READERS.get(kind, _as(pa.string()) if field.type == pa.string() and kind != "char" else None)
        if reader is None:
            raise NotSame(f"{field.name}: {kind}")
        array = table.column(field.name).combine_chunks()
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if array.null_count == len(array):
            array = pa.nulls(len(array), types.get(field.name) or pa.string())
            found.append((array, None, array))
        else:
            found.append(reader(array, types.get(field.name)))
    return _piece(table, found)


def _piece(table: pa.Table, found: list[Column]) -> Piece:
    names = table.column_names
    if len(set(names)) < len(names):
        raise NotSame("two columns share a name")
    return Piece(pa.Table.from_arrays([c[0] for c in found], names=names), [(c[1], c[2]) for c in found])


def _checked(array: pa.Array) -> Column:
    if pa.types.is_string(array.type):
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            raise NotSame("text that is not UTF-8") from None
    return array, None, array


def _as(kind: pa.DataType) -> Callable[[pa.Array, pa.DataType | None], Column]:
    def read(array: pa.Array, expected: pa.DataType | None) -> Column:
        if expected is not None and expected != kind:
            raise NotSame(f"{kind} where {expected} was promised")
        return _checked(array.cast(kind))

    return read


def _short_float(array: pa.Array, expected: pa.DataType | None) -> Column:
    """The shortest number that is this one, as the database writes it: 0.1, not 0.10000000149."""
    return _as(pa.float64())(array.cast(pa.string()).cast(pa.float64()), expected)


def _within(kind: pa.DataType, first: Any, last: Any) -> Callable[[pa.Array, pa.DataType | None], Column]:
    """Times that Python knows too; others become text the other way."""

    def read(array: pa.Array, expected: pa.DataType | None) -> Column:
        ends = pc.min_max(array.cast(kind))
        low, high = (ends[k].cast(pa.int64() if kind.bit_width == 64 else pa.int32()) for k in ("min", "max"))
        lowest, highest = (pa.scalar(v, kind).cast(low.type).as_py() for v in (first, last))
        if low.as_py() < lowest or high.as_py() > highest:
            raise NotSame("a time beyond what Python knows")
        return _as(kind)(array, expected)

    return read


def _number(array: pa.Array, expected: pa.DataType | None) -> Column:
    try:
        if expected is not None:
            return array.cast(expected), Kind.DECIMAL, array
    except pa.ArrowInvalid:  # not a number
        pass
    values = [None if v is None else Decimal(v) for v in array.to_pylist()]
    return arrow_column(values, expected), Kind.DECIMAL, array


def _json(array: pa.Array, expected: pa.DataType | None) -> Column:
    values = [None if v is None else json.loads(v) for v in array.to_pylist()]
    return arrow_column(values, expected), None, values


def _uuid(array: pa.Array, _expected: pa.DataType | None) -> Column:
    digits = cast("pl.Series", pl.from_arrow(array.cast(pa.binary()))).bin.encode("hex")
    ends = [0, 8, 12, 16, 20, 32]
    parts = [digits.str.slice(a, b - a) for a, b in itertools.pairwise(ends)]
    text = pl.select(pl.concat_str(parts, separator="-")).to_series().to_arrow().cast(pa.string())
    return text, Kind.OTHER, text


_FIRST, _LAST = datetime(1, 1, 3), datetime(9999, 12, 29)
_READERS: dict[str, Callable[[pa.Array, pa.DataType | None], Column]] = {
    "int2": _as(pa.int64()),
    "int4": _as(pa.int64()),
    "int8": _as(pa.int64()),
    "float4": _short_float,
    "float8": _as(pa.float64()),
    "numeric": _number,
    "bool": _as(pa.bool_()),
    "text": _as(pa.string()),
    "varchar": _as(pa.string()),
    "bpchar": _as(pa.string()),
    "bytea": _as(pa.binary()),
    "date": _within(pa.date32(), date(1, 1, 3), date(9999, 12, 29)),
    "timestamp": _within(pa.timestamp("us"), _FIRST, _LAST),
    "timestamptz": _within(pa.timestamp("us", "UTC"), _FIRST, _LAST),
    "json": _json,
    "jsonb": _json,
    "uuid": _uuid,
}
