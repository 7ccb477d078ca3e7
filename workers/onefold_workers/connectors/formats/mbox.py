"""Mailboxes (mbox): mails one after the other, each a row."""

from __future__ import annotations

from collections.abc import Iterator

from onefold_storage.deliveries import Batch
from onefold_workers.connectors._mail_rows import MailRows
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile

_BYTES = 16 << 20
_HEAD = 64 << 10
_PIECE = 1 << 20


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
