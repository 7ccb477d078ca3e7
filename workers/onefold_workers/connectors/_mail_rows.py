"""Mails as batches: a row a mail, or a row an attachment, which is then a document of its own."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import IO

import pyarrow as pa

from onefold_storage.deliveries import BadRow, Batch, Document
from onefold_workers.connectors import _mail
from onefold_workers.media import rows as media_rows
from onefold_workers.media.bounded import Reader

_HEAD = 64 << 10
_MAILS, _ATTACHMENTS = 500, 25
_OF_THE_MAIL = ("message_id", "sent_at", "from_name", "from_address", "to_addresses", "subject")
ATTACHMENT = (*_OF_THE_MAIL, "name", *media_rows.COLUMNS)


class MailRows:
    """Collects mails until a batch is full. Rows and bad mails are counted from 0; a context, for its reader.

    `attachments`: each attachment is a row, with what is known of its mail; mails without any make none.
    `most`: bytes of mails from which on a batch is full.
    """

    def __init__(self, *, attachments: bool, most: int) -> None:
        self._attachments, self._most = attachments, most
        self._reader = Reader()
        self._next = 0
        self._clear()

    def __enter__(self) -> MailRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._reader.__exit__(kind, error, at)

    def add(self, raw: bytes, where: str, *, size: int, limit: int) -> None:
        """A mail; one that is larger than `limit` bytes, or no mail at all, becomes a bad row."""
        self._held += len(raw)
        if size > limit:
            self._refuse("too_long", f"{where}: expected at most {limit} bytes", raw[:_HEAD])
            return
        try:
            row = _mail.row(raw)
        except ValueError as error:
            self._refuse("mail", f"{where}: expected a mail: {error}", raw)
            return
        if not self._attachments:
            self._keep(row)
            return
        for name, extension, data in _mail.attached(raw):
            self._attachment(row, name, extension, data)

    @property
    def full(self) -> bool:
        """Whether it is time to take the batch."""
        return len(self._rows) >= (_ATTACHMENTS if self._attachments else _MAILS) or self._held >= self._most

    @property
    def any(self) -> bool:
        """Whether there is a row or a bad one."""
        return bool(self._rows or self._bad)

    def take(self) -> Batch:
        """What was collected since the last time."""
        columns = ATTACHMENT if self._attachments else _mail.COLUMNS
        table = pa.table({c: pa.array([r[c] for r in self._rows], pa.string()) for c in columns})
        made = Batch(table, pa.array(self._ids, pa.int64()), tuple(self._bad), documents=tuple(self._documents))
        self._clear()
        return made

    def _clear(self) -> None:
        self._rows: list[dict[str, str | None]] = []
        self._ids: list[int] = []
        self._bad: list[BadRow] = []
        self._documents: list[Document] = []
        self._held = 0

    def _keep(self, row: dict[str, str | None]) -> None:
        self._rows.append(row)
        self._ids.append(self._next)
        self._next += 1

    def _refuse(self, rule: str, message: str, raw: bytes) -> None:
        self._bad.append(BadRow(self._next, rule, message, raw))
        self._next += 1

    def _attachment(self, mail: dict[str, str | None], name: str, extension: str, data: bytes) -> None:
        file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the document reads it later
        file.write(data)
        file.flush()
        facts = self._reader.facts(file, extension)
        sha256 = hashlib.sha256(data).hexdigest()
        self._documents.append(Document(self._next, sha256, len(data), partial(_opened, file)))
        of_mail = {c: mail[c] for c in _OF_THE_MAIL}
        self._keep(of_mail | {"name": name or None} | media_rows.row(facts, sha256, len(data)))


@contextmanager
def _opened(file: IO[bytes]) -> Iterator[IO[bytes]]:
    file.seek(0)
    yield file
