"""CSV and TSV: a whole block at a time through Arrow's parser; a block with anything odd in it row by row.

Every value is a string (typing is landing's work, by contract); an unquoted empty field is null, a quoted one
(`""`) is an empty string. Blank lines are not rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from onefold_storage.deliveries import BadRow, Batch
from onefold_workers.connectors.formats._csv_rows import Dialect, Row, line_count, rows, whole_rows
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._text import Stretch, stretches, utf8

_SNIFFED = 64 << 10
_DELIMITERS = (",", ";", "\t", "|")


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The file's rows as strings, in batches of about 4 MB of text.

    Rows with more or fewer fields than the header, with an unclosed quote, longer than `max_row_bytes`, or
    that are not text come as bad rows: `ragged`, `quote`, `too_long`, `encoding`.

    Raises:
        BadInput: empty file, or a header that is missing, empty, doubled or not text.
    """
    del expected
    parser: _Parser | None = None
    tail = b""
    for stretch in stretches(utf8(file.chunks(), options.encoding), options.max_row_bytes, carriage=True):
        data = stretch.data if stretch.too_long else tail + stretch.data
        if parser is None:
            if not data.strip(b"\r\n"):
                continue
            parser, data = _start(file, options, stretch)
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


def found(file: InputFile, options: FileOptions) -> dict[str, object]:
    """Delimiter and encoding as found in the file's beginning, where they are not the default."""
    chunk = next(file.chunks(), b"")
    head = chunk[: max(_SNIFFED, chunk.find(b"\n") + 1)]
    result: dict[str, object] = {}
    encoding = options.encoding
    if encoding is None and _is_single_byte(b"".join(utf8(iter((chunk,)), None))):
        encoding = "cp1252"
        result["encoding"] = encoding
    delimiter = sniff(b"".join(utf8(iter((head,)), encoding)), file, options)
    if delimiter != ",":
        result["delimiter"] = delimiter
    return result


def sniff(head: bytes, file: InputFile, options: FileOptions) -> str:
    """The delimiter: of those that split the header, the one whose field count most rows share.

    Of equals the one with more fields; a comma where none splits it. A file named .tsv or .tab has tabs.
    """
    if options.delimiter:
        return options.delimiter
    if {".tsv", ".tab"} & {s.lower() for s in file.path.suffixes[-2:]}:
        return "\t"
    best, best_score = ",", (0.0, 1)
    for delimiter in _DELIMITERS:
        dialect = Dialect(delimiter, options.quote)
        found_rows = [r for r in rows(head, dialect, final=True, limit=len(head)) if isinstance(r, Row)]
        counts = Counter(r.fields for r in (found_rows[:-1] if len(found_rows) > 2 else found_rows))
        if not found_rows or found_rows[0].fields < 2:
            continue
        width = found_rows[0].fields
        score = (round(counts[width] / max(1, counts.total()), 1), width)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _start(file: InputFile, options: FileOptions, first: Stretch) -> tuple[_Parser, bytes]:
    """The parser, after the header, and the bytes that follow it."""
    data = first.data
    dialect = Dialect(sniff(data[:_SNIFFED], file, options), options.quote)
    limit = options.max_row_bytes
    if options.header is not None:
        names, line, left = list(options.header), 0, data
    else:
        row = next(islice(rows(data, dialect, final=False, limit=len(data)), 1))
        if first.too_long or isinstance(row, int) or not row.fields:
            raise file.bad("the header line has no end; expected column names and then rows")
        if not _is_text(row.raw) or b"\x00" in row.raw:
            raise file.bad(
                "the header is not UTF-8 text; set the option `encoding` if the file is in another encoding"
            )
        names = [n.strip() for n in next(dialect.reader(iter(row.raw.decode().splitlines(keepends=True))))]
        end = data.index(row.raw) + len(row.raw)
        line, left = line_count(data[:end]), data[end:]
    empty = [str(i) for i, name in enumerate(names, 1) if not name]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if empty:
        raise file.bad(f"header: column {', '.join(empty)} of {len(names)} has no name; every column needs one")
    if twice:
        raise file.bad(f"header: named twice: {', '.join(map(repr, twice))}; every column needs its own name")
    return _Parser(file, names, dialect, limit, line), left


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
                if table is not None:
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

    def _bad(self, rule: str, problem: str, row: Row) -> BadRow:
        message = f"{self.file.name}: row {self.row} (line {self.line + row.line + 1}): {problem}"
        bad = BadRow(self.row, rule, message, row.raw)
        self.row += 1
        return bad

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
            elif not _is_text(row.raw):
                bad.append(self._bad("encoding", "expected UTF-8 text, found other bytes", row))
            else:
                good.append(row)
                ids.append(self.row)
                self.row += 1
        raws = [r.raw for r in good]
        table = self._arrow(b"".join(raws), True, sum(map(len, raws)) + 1)
        if table is None or table.num_rows != len(good):
            raise self.file.bad(f"rows {ids[0]} to {ids[-1]}: two parsers disagree; this is a defect of onefold")
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


def _is_single_byte(data: bytes) -> bool:
    """Whether text looks like a single-byte encoding: more bytes that are no UTF-8 than characters beyond ASCII."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return wrong > 1 and wrong > len(text) - len(text.encode("ascii", "ignore")) - wrong


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


FORMAT = Format("csv", ("csv", "tsv", "tab", "txt"), read, found)
