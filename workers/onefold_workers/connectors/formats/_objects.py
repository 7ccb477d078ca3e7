"""Lines that hold one JSON object each, to tables of strings: what NDJSON and JSON files share.

A string stays as it is; numbers and booleans become their JSON text, nested values too; null and a missing key
are both null. Polars reads a block at once; a block in which it refuses a line is looked at line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

from onefold_storage.deliveries import BadRow, Batch

_HALF_PAIR = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")
_ESCAPED_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass
class Objects:
    """Lines to batches; knows the keys seen so far, in the order they were first seen, and counts rows.

    `name`: how errors name the file. `keys`: those the contract promises, to begin with.
    """

    name: str
    keys: dict[str, None] = field(default_factory=dict)
    row: int = 0

    def batch(self, data: bytes, first_line: int) -> Batch:
        """The rows of whole lines; blank lines are none. `first_line`: the file's line that `data` starts with."""
        if not (_ESCAPED_PAIR.search(data) and _HALF_PAIR.search(data)):
            count = _count(data)
            table = self._read(data, count) if count is not None else None
            if table is not None:
                ids = np.arange(self.row, self.row + table.num_rows, dtype=np.int64)
                self.row += table.num_rows
                return Batch(table, pa.array(ids))
        return self._slowly(data, first_line)

    def bad(self, rule: str, problem: str, raw: bytes, line: int) -> BadRow:
        """The row that comes next is a bad one."""
        bad = BadRow(self.row, rule, f"{self.name}: row {self.row} (line {line}): {problem}", raw)
        self.row += 1
        return bad

    def nothing(self, bad: Iterable[BadRow] = ()) -> Batch:
        """No good rows."""
        table = pa.table({key: pa.array([], pa.string()) for key in self.keys})
        return Batch(table, pa.array([], pa.int64()), tuple(bad))

    def _slowly(self, data: bytes, first_line: int) -> Batch:
        good: list[bytes] = []
        ids: list[int] = []
        bad: list[BadRow] = []
        for line, raw in enumerate(data.split(b"\n"), first_line):
            text = raw.strip()
            if not text:
                continue
            problem = _problem(text)
            if problem is None:
                good.append(text)
                ids.append(self.row)
                self.row += 1
            else:
                bad.append(self.bad(*problem, raw, line))
        tables, refused = self._halves(good)
        if refused:
            gone = set(refused)
            for i in refused:
                message = f"{self.name}: row {ids[i]}: expected a JSON object without deep nesting or huge numbers"
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

    def _read(self, data: bytes, count: int) -> pa.Table | None:
        """The table of `count` rows with every key that the lines have; None where Polars refuses a line."""
        if not count:
            return self.nothing().rows
        try:
            frame = self._frame(data)
            if not _complete(frame, data):
                schema = pl.scan_ndjson(data, infer_schema_length=None).collect_schema()
                if new := [key for key in schema if key not in self.keys]:
                    self.keys.update(dict.fromkeys(new))
                    frame = self._frame(data)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return None
        if frame.height != count:
            return None
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        return table.cast(pa.schema([pa.field(key, pa.string()) for key in self.keys]))

    def _frame(self, data: bytes) -> pl.DataFrame:
        return pl.read_ndjson(data, schema=dict.fromkeys(self.keys, pl.String))


def _count(data: bytes) -> int | None:
    """Lines that are not blank; None where that is not plain to see."""
    if b"\n\n" in data or b"\r\n\r" in data or data[:1] in {b"\n", b"\r"}:
        return None
    ends = int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10))
    return ends + (not data.endswith(b"\n"))


def _complete(frame: pl.DataFrame, data: bytes) -> bool:
    """Whether no line has a key that the frame has not, told by counting `":`; False where that cannot tell."""
    pairs = data.count(b'":')
    values = frame.height * frame.width - sum(frame.null_count().row(0))
    if pairs == values:
        return True
    values += data.count(b'":null') + data.count(b'": null')
    if pairs != values:
        inside = frame.select(pl.all().str.count_matches('":', literal=True).sum()).row(0)
        values += sum(inside)
    return bool(pairs == values)


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
