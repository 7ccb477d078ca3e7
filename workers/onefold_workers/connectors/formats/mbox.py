"""Mailboxes (mbox): mails one after the other, each a row."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from onefold_storage.deliveries import BadRow, Batch
from onefold_workers.connectors._mail import COLUMNS, row
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile

ROWS = 500
_BYTES = 16 << 20
_HEAD = 64 << 10
_PIECE = 1 << 20


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The mails as rows of strings (`_mail.py`). What is no mail comes as a bad row (`mail`), as does a mail
    larger than `max_bytes` (`too_long`), with its first 64 kB.

    Raises:
        BadInput: empty, or its first line does not begin with `From `.
    """
    del expected
    number = held = 0
    rows: list[dict[str, str | None]] = []
    ids: list[int] = []
    bad: list[BadRow] = []
    for raw, size in _mails(file, options.max_bytes):
        where = f"{file.name}: mail {number + 1}"
        if size > options.max_bytes:
            bad.append(BadRow(number, "too_long", f"{where}: expected at most {options.max_bytes} bytes", raw))
        else:
            try:
                rows.append(row(raw))
                ids.append(number)
            except ValueError as error:
                bad.append(BadRow(number, "mail", f"{where}: expected a mail: {error}", raw))
        number += 1
        held += len(raw)
        if len(rows) >= ROWS or held >= _BYTES:
            yield batch(rows, ids, bad)
            rows, ids, bad, held = [], [], [], 0
    if number == 0:
        raise file.bad("the file is empty; expected mails")
    if rows or bad:
        yield batch(rows, ids, bad)


def batch(rows: list[dict[str, str | None]], ids: list[int], bad: list[BadRow]) -> Batch:
    """Mails as a batch."""
    table = pa.table({c: pa.array([r[c] for r in rows], pa.string()) for c in COLUMNS})
    return Batch(table, pa.array(ids, pa.int64()), tuple(bad))


def _mails(file: InputFile, limit: int) -> Iterator[tuple[bytes, int]]:
    """Each mail with its size; one beyond the limit with its head alone."""
    lines: list[bytes] = []
    size = 0
    began = False
    blank = True
    for line, whole in _lines(file):
        if whole and blank and line.startswith(b"From "):
            if began:
                yield b"".join(lines), size
            lines, size, began, blank = [], 0, True, False
            continue
        if not began:
            raise file.bad("is no mailbox: its first line does not begin with 'From '")
        blank = whole and line in (b"\n", b"\r\n")
        size += len(line)
        if size > limit:  # its head alone is kept from here on
            lines = [_head([*lines, line])]
        else:
            lines.append(line[1:] if whole and line.startswith((b">From ", b">>From ")) else line)
    if began:
        yield b"".join(lines), size


def _head(lines: list[bytes]) -> bytes:
    head = b""
    for line in lines:
        head += line[: _HEAD - len(head)]
        if len(head) == _HEAD:
            break
    return head


def _lines(file: InputFile) -> Iterator[tuple[bytes, bool]]:
    """Lines with their ends, and whether each begins one; a line that spans chunks comes in pieces of a chunk."""
    pending = b""
    began = True
    for chunk in file.chunks():
        *ended, rest = (pending + chunk).split(b"\n")
        for line in ended:
            yield line + b"\n", began
            began = True
        pending = rest
        if len(pending) > _PIECE:
            yield pending, began
            pending, began = b"", False
    if pending:
        yield pending, began


FORMAT = Format("mbox", ("mbox", "mbx"), read)
