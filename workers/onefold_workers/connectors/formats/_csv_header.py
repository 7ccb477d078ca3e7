"""What the beginning of a CSV file says: its delimiter, its encoding, its column names."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice, pairwise

from onefold_workers.connectors.formats._csv_rows import Dialect, Row, line_count, rows
from onefold_workers.connectors.formats._format import FileOptions
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._text import Stretch, below, is_text, utf8

_SNIFFED = 64 << 10
_DELIMITERS = (",", ";", "\t", "|")
_PAGES = (b"<!doctype html", b"<html", b"<head>", b"<body")
_LOOKED_AT = 20
_YEAR = re.compile(r"(?:19|20)\d\d")
_DATA = (
    ("an email address", re.compile(r"[^@\s]+@[^@\s]+\.\w+"), False),
    ("a date", re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}(?:[ T].*)?"), True),
    ("a number", re.compile(r"[+-]?\d[\d.,]*"), True),
)
"""What no column is called; and whether it counts only above more of the kind: a table may have a column a month."""


@dataclass(frozen=True)
class Header:
    """Column names, how fields are told apart, and the physical lines that the header took."""

    names: list[str]
    dialect: Dialect
    lines: int


def header(
    file: InputFile, options: FileOptions, expected: tuple[str, ...], first: Stretch
) -> tuple[Header, bytes]:
    """The header, and the bytes of the first stretch that follow it.

    Raises:
        BadInput: it has no end, is no text, is a web page, or a name is missing or doubled; the message names the file.
    """
    data = first.data
    dialect = Dialect(sniff(data[:_SNIFFED], file, options), options.quote)
    if options.header is not None:
        names, line, left = list(options.header), 0, data
    else:
        row = next(islice(rows(data, dialect, final=False, limit=len(data)), 1))
        if first.too_long or isinstance(row, int) or not row.fields:
            raise file.bad("the header line has no end; expected column names and then rows")
        if not is_text(row.raw) or b"\x00" in row.raw:
            raise file.bad(
                "the header is not UTF-8 text; set the option `encoding` if the file is in another encoding"
            )
        if row.raw.lstrip().lower().startswith(_PAGES):
            raise file.bad("is a web page (HTML), not CSV: perhaps what a server answered in the file's place")
        names = [n.strip() for n in _cells(row.raw, dialect)]
        end = data.index(row.raw) + len(row.raw)
        line, left = line_count(data[:end]), data[end:]
    _check_names(file, names, expected)
    return Header(names, dialect, line), left


def _check_names(file: InputFile, names: list[str], expected: tuple[str, ...]) -> None:
    """Only names that the contract promises are told: without a header line, data stands in their place."""
    empty = [str(i) for i, name in enumerate(names, 1) if not name]
    if empty:
        raise file.bad(
            f"header: column {', '.join(empty)} of {len(names)} has no name; every column needs one. If lines stand above "
            "the header, say how many: `skip_lines`, of a draft --option skip_lines=N"
        )
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        places = " and ".join(str(i) for i, name in enumerate(names, 1) if name == twice)
        which = f" ({twice})" if twice in expected else ""
        raise file.bad(
            f"header: columns {places} share a name{which}; every column needs its own. A file "
            "without a header line is given names by the option `header`"
        )


def found(file: InputFile, options: FileOptions) -> dict[str, object]:
    """Delimiter and encoding as found in the file's beginning, where they are not the default.

    Raises:
        BadInput: a row stands where the column names should; the message tells no value of it.
    """
    chunk = next(file.chunks(), b"")
    head = chunk[: max(_SNIFFED, chunk.find(b"\n") + 1)]
    result: dict[str, object] = {}
    encoding = options.encoding
    if encoding is None and _is_single_byte(b"".join(utf8(iter((chunk,)), None))):
        encoding = "cp1252"
        result["encoding"] = encoding
    text = b"".join(below(utf8(iter((head,)), encoding), options.skip_lines))
    delimiter = sniff(text, file, options)
    if options.header is None:
        _check_header(file, text, Dialect(delimiter, options.quote))
    if delimiter != ",":
        result["delimiter"] = delimiter
    return result


def _check_header(file: InputFile, text: bytes, dialect: Dialect) -> None:
    seen = islice(rows(text, dialect, final=True, limit=len(text)), _LOOKED_AT + 1)
    lines = [[c.strip() for c in _cells(r.raw, dialect)] for r in seen if isinstance(r, Row) and r.fields]
    if not lines:
        return
    names, below_it = lines[0], [line for line in lines[1:] if len(line) == len(lines[0])]
    numbered = [int(n) for n in names if n.isdecimal()]
    # Columns that are counted (0, 1, 2) or named by years have numbers for names.
    counted = len(numbered) > 1 and all(b - a == 1 for a, b in pairwise(numbered))
    for at, name in enumerate(names):
        values = [line[at] for line in below_it if line[at]]
        for what, shape, only_above in _DATA:
            if not shape.fullmatch(name) or (only_above and not (values and all(map(shape.fullmatch, values)))):
                continue
            if name.isdecimal() and (counted or _YEAR.fullmatch(name)):
                continue
            raise file.bad(
                f"the first line looks like a row and not like column names (column {at + 1} is {what}). Give a name "
                f'to each of the {len(names)} columns: --option \'header=["id", "email", …]\'; if the line is a '
                "header all the same, --option skip_lines=1 with it"
            )


def _cells(raw: bytes, dialect: Dialect) -> list[str]:
    return next(dialect.reader(iter(raw.decode("utf-8", "replace").splitlines(keepends=True))))


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


def _is_single_byte(data: bytes) -> bool:
    """Whether text looks like a single-byte encoding: more bytes that are no UTF-8 than characters beyond ASCII."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return wrong > 1 and wrong > len(text) - len(text.encode("ascii", "ignore")) - wrong
