"""Mail folders by IMAP: new mails as rows, the folder left as it was (nothing is marked as seen).

The bookmark is the folder's validity number and the last mail's (RFC 3501, section 2.3.1.1), committed with the mails.
A folder that was numbered anew is read from its beginning; delivery `changes`, with `sha256` as the primary key, then
finds the mails that are known repeated. Delivery `snapshot` reads the folder whole each time that it changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import Field

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Batch, Delivery
from onefold_storage.errors import BadContract, BadInput
from onefold_workers.connectors import _locations, _mail
from onefold_workers.connectors._connector import Connector
from onefold_workers.connectors._imap_folder import Folder
from onefold_workers.connectors._mail_rows import ATTACHMENT, MailRows
from onefold_workers.connectors._paced import PacedOptions

_LOOKED_AT = 200
_PACKAGE_BYTES = 64 << 20


class ImapOptions(PacedOptions):
    """Whose mail. `location` is `imaps://host` (or `imap://host`, without TLS, for this machine alone).

    `attachments`: a row an attachment instead of a row a mail; each is a document.
    `password`: named, as `${NAME}`. `mails`: of one load package. `ca_file`: certificates to trust beside the usual.
    `requests_per_second`, `bytes_per_second`: how fast the server may be asked.
    """

    username: str
    password: str
    folder: str = "INBOX"
    attachments: bool = False
    mails: int = Field(default=500, ge=1, le=10_000)
    max_mail_bytes: int = Field(default=32 << 20, ge=1)
    ca_file: str | None = None


def deliveries(contract: Contract, _base: Path, options: ImapOptions, bookmark: Any) -> Iterator[Delivery]:
    """One delivery for every `mails` new mails; none where there are none. Rows as of mailboxes (`_mail.py`).

    Of a snapshot one delivery with all mails that are there, so that those which are not have vanished.

    Raises:
        BadContract: a column that mails do not have.
        BadInput: the server refuses us, no such folder, or one numbered anew whose mails would land twice.
        Unavailable: the server does not answer.
    """
    location, origin = _asked(contract, options)
    whole = contract.rules.delivery == "snapshot"
    with Folder.open(location, options, contract.id) as folder:
        validity = folder.validity
        last = int(bookmark["last"]) if bookmark and not whole and bookmark["validity"] == validity else 0
        if bookmark and not last and contract.rules.delivery == "append":
            problem = "has numbered its mails anew; with delivery `changes` and the key sha256 none lands twice"
            raise BadInput(f"{contract.id}: the folder {options.folder} {problem}")
        numbers = folder.numbers(last)
        mails = max(1, len(numbers)) if whole else options.mails
        for at in range(0, len(numbers) or int(whole), mails):
            some = numbers[at : at + mails]
            landed: list[bool] = []
            content = hashlib.sha256(f"{origin} {options.username} {validity} {some}".encode()).hexdigest()
            mark = {"validity": validity, "last": some[-1] if some else 0}
            yield Delivery(
                content, origin, _batches(folder, some, options, origin),
                bookmark=partial(_same, mark), landed=partial(landed.append, True),
            )  # fmt: skip
            if not landed:  # the next bookmark would pass over these
                return


def first(contract: Contract, _base: Path, options: ImapOptions, rows: int) -> Iterator[Delivery]:
    """One delivery with the folder's newest mails, at most two hundred.

    Raises:
        BadContract, BadInput, Unavailable: as `deliveries`.
    """
    location, origin = _asked(contract, options)
    with Folder.open(location, options, contract.id) as folder:
        newest = folder.numbers()[-min(rows, _LOOKED_AT) :]
        yield Delivery(origin, origin, _batches(folder, newest, options, origin))


def sample(text: str, _base: Path, rows: int, options: ImapOptions) -> tuple[pa.Table, dict[str, Any]]:
    """The folder's newest mails.

    Raises:
        BadInput, Unavailable: as `deliveries`.
    """
    with Folder.open(_locations.read(text), options, "location") as folder:
        newest = folder.numbers()[-min(rows, _LOOKED_AT) :]
        return pa.concat_tables([b.rows for b in _batches(folder, newest, options, "imap")]), {}


def _asked(contract: Contract, options: ImapOptions) -> tuple[_locations.Location, str]:
    """Where the folder is, and how it is called."""
    known = tuple(dict.fromkeys(_mail.COLUMNS + ATTACHMENT))
    if unknown := [c.name for c in contract.columns if c.name not in known]:
        raise BadContract(
            f"{contract.id}: schema: mails have no column {', '.join(unknown)}; they have {', '.join(known)}"
        )
    location = _locations.read(contract.rules.location, f"{contract.id}: onefold.location")
    return location, f"imap://{urlsplit(location.value).hostname}/{options.folder}"


def _same(mark: dict[str, Any]) -> dict[str, Any]:
    return mark


def _batches(folder: Folder, numbers: list[int], options: ImapOptions, origin: str) -> Iterator[Batch]:
    with MailRows(attachments=options.attachments, most=_PACKAGE_BYTES) as rows:
        for number, raw in folder.mails(numbers):
            rows.add(raw, f"{origin}: mail {number}", size=len(raw), limit=options.max_mail_bytes)
            if rows.full:
                yield rows.take()
        yield rows.take()


CONNECTOR = Connector("imap", ImapOptions, ("imap", "imaps"), deliveries, sample, first=first)
