"""Lines that hold one JSON object each, to tables of strings: what NDJSON and JSON files share.

A string stays as it is; numbers and booleans become their JSON text, nested values too; null and a missing key
are both null. Arrow or Polars reads a block at once; a block in which it refuses a line is looked at line by line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

from onefold_storage.deliveries import BadRow, Batch
from onefold_workers.connectors.formats._quick_objects import QuickObjects

# In the text of nested values Polars 2.1 leaves backslashes, control characters and quotes in keys as they are.
_MISWRITTEN = re.compile(rb'\\u00(?:[01]|5[cC])|\\[\\tbf]|\\.[^"\\]*(?:\\.[^"\\]*)*"\s*:')
_ESCAPED_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")


@dataclass
class Objects:
    """Lines to batches; knows the keys seen so far, in the order they were first seen, and counts rows.

    `name`: how errors name the file. `keys`: those the contract promises, to begin with. `row`: the next row's
    place in the file, from 0. `line`: the next line's, from 1.
    """

    name: str
    keys: dict[str, None] = field(default_factory=dict)
    row: int = 0
    line: int = 1
    _quick: QuickObjects = field(default_factory=QuickObjects)

    def batch(self, data: bytes) -> Batch:
        """The rows of whole lines; blank lines are none."""
        lines = int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10)) + (not data.endswith(b"\n"))
        table = self._quick.read(data, tuple(self.keys), lines)
        if table is None and not _has_half_pair(data):
            table = self._read(_rewritten(data), lines)
        if table is None:
            batch = self._slowly(data)
        else:
            ids = np.arange(self.row, self.row + table.num_rows, dtype=np.int64)
            self.row += table.num_rows
            batch = Batch(table, pa.array(ids))
        self.line += lines
        return batch

    def too_long(self, head: bytes, size: int, limit: int) -> Batch:
        """A line that was too long to be kept, as a bad row."""
        problem = f"expected a row of at most {limit} bytes, found {size}; only its start is kept"
        batch = self.nothing([self._bad("too_long", problem, head, self.line)])
        self.line += 1
        return batch

    def _bad(self, rule: str, problem: str, raw: bytes, line: int) -> BadRow:
        bad = BadRow(self.row, rule, f"{self.name}: row {self.row + 1} (line {line}): {problem}", raw)
        self.row += 1
        return bad

    def nothing(self, bad: Iterable[BadRow] = ()) -> Batch:
        """No good rows."""
        table = pa.table({key: pa.array([], pa.string()) for key in self.keys})
        return Batch(table, pa.array([], pa.int64()), tuple(bad))

    def _slowly(self, data: bytes) -> Batch:
        good: list[bytes] = []
        ids: list[int] = []
        bad: list[BadRow] = []
        for line, raw in enumerate(data.split(b"\n"), self.line):
            text = raw.strip()
            if not text:
                continue
            problem = _problem(text)
            if problem is None:
                good.append(_rewritten(text))
                ids.append(self.row)
                self.row += 1
            else:
                bad.append(self._bad(*problem, raw, line))
        tables, refused = self._halves(good)
        if refused:
            gone = set(refused)
            for i in refused:
                message = (
                    f"{self.name}: row {ids[i] + 1}: expected a JSON object without deep nesting or huge numbers"
                )
                bad.append(BadRow(ids[i], "json", message, good[i]))
            ids = [row for i, row in enumerate(ids) if i not in gone]
            bad.sort(key=lambda b: b.row_id)
        if not tables:
            return self.nothing(bad)
        table = pa.concat_tables(tables, promote_options="default")
        return Batch(table, pa.array(ids, pa.int64()), tuple(bad))

    def _halves(self, lines: list[bytes]) -> tuple[list[pa.Table], list[int]]:
        """Tables of the lines Polars reads, and the places of those it refuses, found by halving."""
        tables: list[pa.Table] = []
        refused: list[int] = []
        work = [(0, len(lines))] if lines else []
        while work:
            start, stop = work.pop()
            table = self._read(b"\n".join(lines[start:stop]), stop - start)
            if table is not None:
                tables.append(table)
            elif stop - start == 1:
                refused.append(start)
            else:
                middle = (start + stop) // 2
                work += [(middle, stop), (start, middle)]
        return tables, refused

    def _read(self, data: bytes, lines: int) -> pa.Table | None:
        """The table of the lines with every key that they have; None where Polars refuses a line."""
        frame = self._frame(data)
        if frame is not None and not _complete(frame, data) and self._meet(data):
            frame = self._frame(data)
        if frame is None or (frame.height != lines and frame.height != _filled(data)):
            return None
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        return table.cast(pa.schema([pa.field(key, pa.string()) for key in self.keys]))

    def _meet(self, data: bytes) -> bool:
        """Take up the keys of the lines; whether any is new."""
        before = len(self.keys)
        for line in data.split(b"\n"):
            with suppress(orjson.JSONDecodeError):
                self.keys.update(dict.fromkeys(orjson.loads(line)))
        return len(self.keys) > before

    def _frame(self, data: bytes) -> pl.DataFrame | None:
        try:
            return pl.read_ndjson(data, schema=dict.fromkeys(self.keys, pl.String))
        except (pl.exceptions.ComputeError, pl.exceptions.PanicException):
            return None


def _filled(data: bytes) -> int:
    """Lines that are not blank."""
    return sum(1 for line in data.split(b"\n") if line.strip())


def _has_half_pair(data: bytes) -> bool:
    """Whether half of a surrogate pair is escaped somewhere: no character, which Polars would make a NUL."""
    return bool(b"\\" in data and _ESCAPED_PAIR.search(data) and _HALF_PAIR.search(data))


def _rewritten(data: bytes) -> bytes:
    """The lines, of which those whose nested values Polars would write wrong hold them as strings."""
    if b"\\" not in data or not _MISWRITTEN.search(data):
        return data
    return b"\n".join(_unnested(n) if _MISWRITTEN.search(n) else n for n in data.split(b"\n"))


def _unnested(text: bytes) -> bytes:
    """The line with each nested value as a string that holds its JSON text, in the style of Polars."""
    if b"[" not in text and text.count(b"{") < 2:
        return text
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):  # Polars refuses such a line too
        return text
    if not isinstance(row, dict) or not any(isinstance(v, dict | list) for v in row.values()):
        return text
    flat = {k: json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v for k, v in row.items()}
    return json.dumps(flat, ensure_ascii=False).encode()


def _complete(frame: pl.DataFrame, data: bytes) -> bool:
    """Whether no line has a key that the frame has not (but for nulls), told by counting `":`; False in doubt."""
    pairs = data.count(b'":')
    if not frame.width:
        return pairs == 0
    values = frame.height * frame.width - sum(frame.null_count().row(0))
    if pairs == values:
        return True
    values += data.count(b'":null') + data.count(b'": null')
    if pairs != values:  # pairs inside of nested values, of which the nulls were counted already
        values += _found(frame, '":') - _found(frame, '":null') - _found(frame, '": null')
    return bool(pairs == values)


def _found(frame: pl.DataFrame, text: str) -> int:
    return int(sum(frame.select(pl.all().str.count_matches(text, literal=True).sum()).row(0)))


def _problem(text: bytes) -> tuple[str, str] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            text.decode()
        except UnicodeDecodeError:
            return "encoding", "expected UTF-8 text, found other bytes"
        return "json", "expected a JSON object, found text that is not JSON"
    if not isinstance(value, dict):
        return "json", f"expected a JSON object, found {_NAMES[type(value)]}"
    return None


_NAMES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}
