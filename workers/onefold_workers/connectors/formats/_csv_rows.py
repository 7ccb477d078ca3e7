"""Where the rows of CSV text begin and end: by counting quotes where that is certain, else by Python's reader.

Arrow's parser and Python's `csv` (not strict) share one state machine: a quote opens a field only at its start,
`""` inside is a quote, what follows a closing quote is plain text, and CR, LF or CRLF end a row. So rows found
by one are rows to the other.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

_RETRIES = 64


@dataclass(frozen=True)
class Dialect:
    """How fields are told apart: one ASCII character each; `quote` may be empty."""

    delimiter: str = ","
    quote: str = '"'

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """Python's reader over text lines that keep their ends."""
        # The limit is the process's; rows are bounded by `max_row_bytes` before they come here.
        csv.field_size_limit((1 << 31) - 1)
        if not self.quote:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote)


@dataclass(frozen=True)
class Row:
    """One row as it came: its bytes, its number of fields, the index of its first line.

    `fields` is 0 where a quote opened in the row never closes.
    """

    raw: bytes
    fields: int
    line: int


def whole_rows(data: bytes, dialect: Dialect) -> tuple[int, bool] | None:
    """How many bytes of `data` are whole rows, and whether line ends may stand inside quotes.

    None where counting quotes cannot tell: a quote stands in the middle of a plain field, or ends are lone CRs.
    """
    if not dialect.quote or dialect.quote.encode() not in data:
        return len(data), False
    text = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(text == ord(dialect.quote))
    opening = quotes[0::2]
    before = text[np.maximum(opening, 1) - 1]
    follows = np.zeros(len(opening), bool)
    follows[1:] = quotes[1::2][: len(opening) - 1] == opening[1:] - 1
    at_start = (before == ord(dialect.delimiter)) | (before == 10) | (before == 13) | (opening == 0) | follows
    if not at_start.all():
        return None
    if b"\n" not in data:
        return None
    ends = np.flatnonzero(text == 10)
    outside = np.searchsorted(quotes, ends) % 2 == 0
    spanning = b"\r" in data or not bool(outside.all())
    if len(quotes) % 2 == 0:
        return len(data), spanning
    return int(ends[outside][-1]) + 1 if outside.any() else 0, spanning


def rows(data: bytes, dialect: Dialect, *, final: bool, limit: int) -> Iterator[Row | int]:
    """The rows of `data`, one by one; blank lines are none. Last may come an int: bytes that are no whole row yet.

    A quote that never closes (at the end of the file, or for more than `limit` bytes) spoils only its own line:
    the next line starts a new row. Retrying is bounded, so that hostile text costs no more than a few passes;
    after that each line is taken by itself.
    """
    lines = data.splitlines(keepends=True)
    at = tries = 0
    left = len(data)
    while at < len(lines):
        feed = _Feed(lines, at, len(lines) if tries < _RETRIES else at + 1)
        for fields in dialect.reader(feed):
            if feed.asked_beyond:
                break
            raw = lines[at] if feed.at == at + 1 else b"".join(lines[at : feed.at])
            left -= len(raw)
            if fields:
                yield Row(raw, len(fields), at)
            at = feed.at
        else:
            at = feed.at
            continue
        if not final and left <= limit and tries < _RETRIES:
            yield left
            return
        tries += 1
        left -= len(lines[at])
        yield Row(lines[at], 0, at)
        at += 1


class _Feed(Iterator[str]):
    """Gives lines to a reader and knows whether it asked for more than there are (its row was not complete).

    Bytes go as Latin-1, which keeps every byte and every ASCII character.
    """

    def __init__(self, lines: list[bytes], at: int, stop: int) -> None:
        self.lines, self.at, self.stop, self.asked_beyond = lines, at, stop, False

    def __next__(self) -> str:
        if self.at >= self.stop:
            self.asked_beyond = True
            raise StopIteration
        self.at += 1
        return self.lines[self.at - 1].decode("latin-1")


def line_count(data: bytes) -> int:
    """Physical lines in `data`, for messages."""
    ends: Literal[10, 13] = 10 if b"\n" in data else 13
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ends))
