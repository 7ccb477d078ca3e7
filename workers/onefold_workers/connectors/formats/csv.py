"""CSV and TSV: a whole block at a time through Arrow's parser; a block with anything odd in it row by row.

Every value is a string (typing is landing's work, by contract); an unquoted empty field is null, a quoted one
(`""`) is an empty string. Blank lines are not rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from onefold_storage.deliveries import BadRow, Batch
from onefold_workers.connectors.formats._csv_header import found, header
from onefold_workers.connectors.formats._csv_rows import Dialect, Row, line_count, rows, whole_rows
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._text import Stretch, below, is_text, stretches, utf8


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The file's rows as strings, in batches of about 4 MB of text.

    Rows with more or fewer fields than the header, with an unclosed quote, longer than `max_row_bytes`, or
    that are not text come as bad rows: `ragged`, `quote`, `too_long`, `encoding`; so does a header line that is
    repeated further down, where files were put one after the other: `header`.

    Raises:
        BadInput: empty file, or a header that is missing, empty, doubled or not text.
    """
    parser: _Parser | None = None
    tail = b""
    text = below(utf8(file.chunks(), options.encoding), options.skip_lines)
    for stretch in stretches(text, options.max_row_bytes, carriage=True):
        data = stretch.data if stretch.too_long else tail + stretch.data
        if parser is None:
            if not data.strip(b"\r\n"):
                continue
            names, data = header(file, options, expected, stretch)
            parser = _Parser(
                file, names.names, names.dialect, options.max_row_bytes, options.skip_lines + names.lines
            )
        if stretch.too_long:
            yield from parser.parse(tail, final=True)
            tail = b""
            yield parser.too_long(stretch)
            continue
        yield from parser.parse(data, final=False)
        tail = parser.rest
    if parser is None:
        raise file.bad("the file is empty; expected a header line and rows")
    yield from parser.parse(tail, final=True)
    if parser.row == 0:
        yield parser.batch(parser.nothing, [], [])


@dataclass
class _Parser:
    """Text to batches; counts rows and lines on the way. `rest`: bytes at the end that are no whole row yet."""

    file: InputFile
    names: list[str]
    dialect: Dialect
    limit: int
    line: int
    row: int = 0
    rest: bytes = field(default=b"")

    @property
    def nothing(self) -> pa.Table:
        """No rows."""
        return pa.table({name: pa.array([], pa.string()) for name in self.names})

    def parse(self, data: bytes, *, final: bool) -> Iterator[Batch]:
        """The whole rows of `data`; what is over stays in `rest`."""
        self.rest = b""
        if not data:
            return
        certain = whole_rows(data, self.dialect)
        if certain is not None:
            whole, newlines = certain
            over = len(data) - whole
            if not over or not (final or over > self.limit):
                table = self._arrow(data[:whole], newlines, 1 << 20)
                if table is not None and self._headers(table) is None:
                    self.rest = data[whole:]
                    if table.num_rows:
                        yield self.batch(table, None, [])
                    self.line += line_count(data[:whole])
                    return
        yield self._slowly(data, final)

    def batch(self, table: pa.Table, ids: list[int] | None, bad: list[BadRow]) -> Batch:
        """A batch whose rows stand at `ids`, or follow each other from the current row on."""
        if ids is None:
            ids_array = pa.array(np.arange(self.row, self.row + table.num_rows, dtype=np.int64))
            self.row += table.num_rows
        else:
            ids_array = pa.array(ids, pa.int64())
        return Batch(table, ids_array, tuple(bad))

    def too_long(self, stretch: Stretch) -> Batch:
        """One line that is too long, as a bad row with the line's beginning."""
        problem = f"expected a row of at most {self.limit} bytes, found {stretch.too_long}; only its start is kept"
        bad = self._bad("too_long", problem, Row(stretch.data, 0, 0))
        self.line += 1
        return self.batch(self.nothing, [], [bad])

    def _bad(self, rule: str, problem: str, row: Row, at: int | None = None) -> BadRow:
        """A bad row; `at` is its number where it was counted before, else it is the next."""
        number = self.row if at is None else at
        message = f"{self.file.name}: row {number + 1} (line {self.line + row.line + 1}): {problem}"
        self.row += at is None
        return BadRow(number, rule, message, row.raw)

    def _headers(self, table: pa.Table) -> pa.Array | None:
        """Which rows say the header once more; None where none does, which the first column mostly tells alone."""
        same: pa.Array | None = None
        for name in self.names:
            told = pc.fill_null(pc.equal(table.column(name), name), False).combine_chunks()
            same = told if same is None else pc.and_(same, told)
            if not pc.any(same, min_count=0).as_py():
                return None
        return same

    def _slowly(self, data: bytes, final: bool) -> Batch:
        """Row by row: which are bad is found here, what the good ones say is still read by Arrow."""
        good: list[Row] = []
        ids: list[int] = []
        bad: list[BadRow] = []
        for row in rows(data, self.dialect, final=final, limit=self.limit):
            if isinstance(row, int):
                self.rest = data[len(data) - row :]
                continue
            if not row.fields:
                bad.append(self._bad("quote", "expected a closing quote, found none", row))
            elif row.fields != len(self.names):
                bad.append(self._bad("ragged", f"expected {len(self.names)} fields, found {row.fields}", row))
            elif not is_text(row.raw):
                bad.append(self._bad("encoding", "expected UTF-8 text, found other bytes", row))
            else:
                good.append(row)
                ids.append(self.row)
                self.row += 1
        raws = [r.raw for r in good]
        table = self._arrow(b"".join(raws), True, sum(map(len, raws)) + 1)
        if table is None or table.num_rows != len(good):
            raise self.file.bad(
                f"rows {ids[0] + 1} to {ids[-1] + 1}: two parsers disagree; this is a defect of onefold"
            )
        repeated = self._headers(table)
        if repeated is not None:
            problem = "expected a row, found the header line again"
            places = np.flatnonzero(repeated.to_numpy(zero_copy_only=False))
            bad.extend(self._bad("header", problem, good[at], ids[at]) for at in places)
            kept = pc.invert(repeated)
            table, ids = table.filter(kept), pa.array(ids, pa.int64()).filter(kept).to_pylist()
            bad.sort(key=lambda b: b.row_id)
        batch = self.batch(table, ids, bad)
        self.line += line_count(data[: len(data) - len(self.rest)])
        return batch

    def _arrow(self, data: bytes, newlines: bool, block: int) -> pa.Table | None:
        """The table, or None where Arrow refuses any row. `block`: bytes a thread takes, and no row may exceed."""
        if not data.strip(b"\r\n"):
            return self.nothing
        quote = self.dialect.quote or False
        try:
            return arrow_csv.read_csv(
                pa.BufferReader(data),
                read_options=arrow_csv.ReadOptions(column_names=self.names, block_size=block),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.dialect.delimiter, quote_char=quote, newlines_in_values=newlines
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(self.names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            return None


FORMAT = Format("csv", ("csv", "tsv", "tab", "txt"), read, found)
