"""Mailboxes (mbox): mails one after the other, each a row."""

from __future__ import annotations

from collections.abc import Iterator

from onefold_storage.deliveries import Batch
from onefold_workers.connectors._mail_rows import MailRows
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile

_BYTES = 16 << 20


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The mails, or their attachments, as rows of strings (`_mail_rows.py`). What is no mail comes as a bad row
    (`mail`), as does a mail larger than `max_bytes` (`too_long`), with its first 64 kB.

    Raises:
        BadInput: empty, or its first line does not begin with `From `.
    """
    del expected
    number = 0
    with MailRows(attachments=options.attachments, most=_BYTES) as rows:
        for number, (raw, size) in enumerate(_mails(file, options.max_bytes), 1):
            rows.add(raw, f"{file.name}: mail {number}", size=size, limit=options.max_bytes)
            if rows.full:
                yield rows.take()
        if number == 0:
            raise file.bad("the file is empty; expected mails")
        if rows.any:
            yield rows.take()


def _mails(file: InputFile, limit: int) -> Iterator[tuple[bytes, int]]:
    """Each mail with its size; one beyond the limit with its head alone."""
    lines: list[bytes] = []
    size = 0
    began = False
    blank = True
    for line in _lines(file, limit):
        if blank and line.startswith(b"From "):
            if began:
                yield b"".join(lines) if size <= limit else b"".join(lines)[: 64 << 10], size
            lines, size, began, blank = [], 0, True, False
            continue
        if not began:
            raise file.bad("is no mailbox: its first line does not begin with 'From '")
        blank = line in (b"\n", b"\r\n")
        size += len(line)
        if size <= limit or len(lines) < 1000:
            lines.append(line[1:] if line.startswith((b">From ", b">>From ")) else line)
    if began:
        yield b"".join(lines) if size <= limit else b"".join(lines)[: 64 << 10], size


def _lines(file: InputFile, limit: int) -> Iterator[bytes]:
    """Lines with their ends; one without an end within `limit` bytes is cut there, so that memory is bounded."""
    pending = b""
    for chunk in file.chunks():
        *whole, pending = (pending + chunk).split(b"\n")
        yield from (line + b"\n" for line in whole)
        if len(pending) > limit:
            yield pending
            pending = b""
    if pending:
        yield pending


FORMAT = Format("mbox", ("mbox", "mbx"), read)
