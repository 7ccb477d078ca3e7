"""What a query's result says, as one hash: the same rows give the same hash, however they were read.

A result comes in pieces of any size, through a driver that gives Python values or one that gives Arrow. So each
column is hashed by itself, as three streams that know no pieces: what kind each value is, how long each text is,
and the values' bytes. A null is only a kind.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from onefold_workers.connectors._values import text_of

_NATURAL: dict[type, tuple[bytes, pa.DataType]] = {
    bool: (b"?", pa.bool_()),
    int: (b"i", pa.int64()),
    float: (b"f", pa.float64()),
    str: (b"s", pa.string()),
    bytes: (b"b", pa.binary()),
    date: (b"D", pa.date32()),
    time: (b"T", pa.time64("us")),
}
_NULL = 0


class Kind:
    """What a value is, for columns whose Arrow type does not say so: numbers and other things that come as text."""

    DECIMAL = b"d"
    OTHER = b"o"


class ResultHash:
    """Hash of a result, column by column. `asked`: what was asked, in words; part of the hash."""

    def __init__(self, asked: str) -> None:
        self._asked = asked
        self._columns: list[tuple[Any, Any, Any]] = []

    def add_array(self, column: int, array: pa.Array, kind: bytes | None = None) -> None:
        """The column's next values. `kind` where the type does not say it."""
        if pa.types.is_null(array.type):
            array = array.cast(pa.string())
        named, array = _plain(array)
        known = np.where(np.asarray(array.is_valid()), ord(kind or named), _NULL).astype(np.uint8)
        kinds, lengths, data = self._streams(column)
        kinds.update(known.tobytes())
        full = array.drop_null()
        if pa.types.is_binary(full.type):
            _, offsets, buffer = full.buffers()
            ends = np.frombuffer(offsets, np.int32)[full.offset : full.offset + len(full) + 1]
            lengths.update(np.diff(ends).tobytes())
            if buffer is not None and len(full):
                data.update(memoryview(buffer)[ends[0] : ends[-1]])
        else:
            data.update(np.ascontiguousarray(full.to_numpy(zero_copy_only=False)).tobytes())

    def add_values(self, column: int, values: Sequence[Any], array: pa.Array | None = None) -> None:
        """The column's next values, as a driver gave them. `array`: the same as Arrow, where it is at hand."""
        found = set(map(type, values)) - {type(None)}
        if len(found) == 1 and array is not None and array.type == _NATURAL.get(next(iter(found)), (b"", None))[1]:
            self.add_array(column, array)
            return
        if not found:
            self.add_array(column, pa.nulls(len(values)))
            return
        runs = [(None, values)] if len(found) == 1 else itertools.groupby(values, type)
        for _, run in runs:
            self._add_run(column, list(run))

    def hexdigest(self, names: Sequence[str]) -> str:
        """SHA-256 of all; `names` of the columns in order."""
        whole = hashlib.sha256(f"{self._asked} {list(names)!r}".encode())
        for streams in self._columns:
            for stream in streams:
                whole.update(stream.digest())
        return whole.hexdigest()

    def _streams(self, column: int) -> tuple[Any, Any, Any]:
        while len(self._columns) <= column:
            self._columns.append((hashlib.sha256(), hashlib.sha256(), hashlib.sha256()))
        return self._columns[column]

    def _add_run(self, column: int, values: list[Any]) -> None:
        """Values of one type, and nulls."""
        kind = next((type(v) for v in values if v is not None), None)
        if kind is None:
            self.add_array(column, pa.nulls(len(values)))
        elif kind is str:
            coded = [None if v is None else v.encode("utf-8", "surrogateescape") for v in values]
            self.add_array(column, pa.array(coded, pa.binary()), b"s")
        elif kind is datetime:
            for zoned, run in itertools.groupby(values, lambda v: v is not None and v.tzinfo is not None):
                self.add_array(column, pa.array(list(run), pa.timestamp("us", "UTC" if zoned else None)))
        elif kind is Decimal:
            self.add_array(column, pa.array(map(decimal_text, values), pa.string()), Kind.DECIMAL)
        elif kind in _NATURAL:
            try:
                self.add_array(column, pa.array(values, _NATURAL[kind][1]))
            except (pa.ArrowException, OverflowError):  # an integer beyond 64 bits
                self._add_text(column, values)
        else:
            self._add_text(column, values)

    def _add_text(self, column: int, values: list[Any]) -> None:
        texts = [None if v is None else str(text_of(v)).encode("utf-8", "surrogateescape") for v in values]
        self.add_array(column, pa.array(texts, pa.binary()), Kind.OTHER)


def decimal_text(value: Decimal | None) -> str | None:
    """A number as its digits, without an exponent; `nan`, `inf` and `-inf`."""
    return None if value is None else format(value, "f").lower().replace("infinity", "inf")


def _plain(array: pa.Array) -> tuple[bytes, pa.Array]:
    """What kind of values an array of a natural type holds, and their bytes as integers, floats or binary."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return (b"s" if pa.types.is_string(kind) else b"b"), array.cast(pa.binary())
    if pa.types.is_boolean(kind):
        return b"?", array.cast(pa.uint8())
    if pa.types.is_floating(kind):
        return b"f", array.cast(pa.float64())
    if pa.types.is_timestamp(kind):
        return (b"z" if kind.tz else b"t"), array.cast(pa.timestamp("us", kind.tz)).view(pa.int64())
    if pa.types.is_date32(kind):
        return b"D", array.view(pa.int32())
    if pa.types.is_time64(kind):
        return b"T", array.view(pa.int64())
    return b"i", array.cast(pa.int64())
