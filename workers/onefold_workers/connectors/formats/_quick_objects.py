"""Lines of JSON objects through Arrow's reader: quicker than the careful way, for lines that are written as most are.

Arrow is told what each key holds, from the beginning of the lines: text, whole numbers or booleans. A block in which
anything is different (another type, a fraction, a nested value, a new key, text that is not UTF-8, a line that is no
object) is not read at all, and goes the careful way of `_objects.py`. So both give the same, which a property test
holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

_HEAD = 64 << 10
_PATIENCE = 3
"""Blocks in a row that may be refused, before Arrow is asked no more."""
_PLAIN = (pa.string(), pa.int64(), pa.bool_())


@dataclass
class QuickObjects:
    """Reads blocks of lines; knows what the keys held so far."""

    _kinds: dict[str, pa.DataType] = field(default_factory=dict)
    _refused: int = 0

    def read(self, data: bytes, keys: tuple[str, ...], lines: int) -> pa.Table | None:
        """The lines' values as text, a column a key; None where that takes the careful way."""
        if self._refused >= _PATIENCE or not keys:
            return None
        if self._kinds.keys() != set(keys):
            self._kinds = _kinds(data, keys)
        table = self._read(data, keys, lines)
        self._refused = 0 if table is not None else self._refused + 1
        if table is None:
            self._kinds = {}
        return table

    def _read(self, data: bytes, keys: tuple[str, ...], lines: int) -> pa.Table | None:
        if not self._kinds or (b"\\" in data and b"\\u" in data) or not _one_a_line(data):
            return None
        schema = pa.schema([(key, self._kinds[key]) for key in keys])
        try:
            table = _parsed(
                data, arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
            )
            for batch in table.to_batches():
                batch.validate(full=True)  # Arrow does not look whether text is UTF-8
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return None
        if table.num_rows != lines or _has_negative_zero(table, data):
            return None
        return table.cast(pa.schema([(key, pa.string()) for key in keys]))


def _kinds(data: bytes, keys: tuple[str, ...]) -> dict[str, pa.DataType]:
    """What each key holds in the first lines; nothing where one holds what Arrow would not give back as it came."""
    end = data.find(b"\n", min(_HEAD, len(data) - 1))
    try:
        schema = _parsed(data[: end + 1 or None], arrow_json.ParseOptions()).schema
        found = {f.name: pa.string() if _is_text(f.type) else f.type for f in schema}
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return {}
    kinds = {key: found.get(key, pa.string()) for key in keys}
    return kinds if all(kind in _PLAIN for kind in kinds.values()) else {}


def _parsed(data: bytes, options: arrow_json.ParseOptions) -> pa.Table:
    """One block, one thread: several files may be read at once."""
    read = arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    return arrow_json.read_json(pa.BufferReader(data), read_options=read, parse_options=options)


def _has_negative_zero(table: pa.Table, data: bytes) -> bool:
    """Whether a whole number may have been written as -0, which is not how Arrow writes it."""
    numbers = [c for c in table.columns if pa.types.is_integer(c.type)]
    return any(pc.any(pc.equal(c, 0)).as_py() for c in numbers) and b"-0" in data


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_null(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _one_a_line(data: bytes) -> bool:
    """Whether every line begins with `{` and ends with `}`: then no object spans two, and as many rows are lines."""
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == 10)
    if not len(ends) or ends[-1] != len(text) - 1:
        ends = np.append(ends, len(text))
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (starts >= ends).any():
        return False
    return bool((text[starts] == ord("{")).all() and (text[ends - 1] == ord("}")).all())
