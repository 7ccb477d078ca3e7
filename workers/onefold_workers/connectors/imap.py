"""Mail folders by IMAP: new mails as rows, the folder left as it was (nothing is marked as seen).

The bookmark is the folder's validity number and the last mail's (RFC 3501, section 2.3.1.1), committed with the mails.
A folder that was numbered anew is read from its beginning; delivery `changes`, with `sha256` as the primary key, then
finds the mails that are known repeated.
"""

from __future__ import annotations

import hashlib
import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import Field

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Batch, Delivery
from onefold_storage.errors import BadInput, Unavailable
from onefold_workers.connectors import _locations
from onefold_workers.connectors._connector import Connector, Options
from onefold_workers.connectors._mail_rows import MailRows

_TIMEOUT_S = 60
_PACKAGE_BYTES = 64 << 20


class ImapOptions(Options):
    """Whose mail. `location` is `imaps://host` (or `imap://host`, without TLS, for this machine alone).

    `attachments`: a row an attachment instead of a row a mail; each is a document.
    `password`: named, as `${NAME}`. `mails`: of one load package. `ca_file`: certificates to trust beside the usual.
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

    Raises:
        BadInput: the server refuses us, no such folder, or one numbered anew whose mails would land twice.
        Unavailable: the server does not answer.
    """
    location = _locations.read(contract.rules.location, f"{contract.id}: onefold.location")
    with _folder(location, options, contract.id) as (server, validity):
        last = int(bookmark["last"]) if bookmark and bookmark["validity"] == validity else 0
        if bookmark and not last and contract.rules.delivery == "append":
            problem = "has numbered its mails anew; with delivery `changes` and the key sha256 none lands twice"
            raise BadInput(f"{contract.id}: the folder {options.folder} {problem}")
        numbers = [n for n in _numbers(server, f"UID {last + 1}:*") if n > last]
        origin = f"imap://{urlsplit(location.value).hostname}/{options.folder}"
        for at in range(0, len(numbers), options.mails):
            some = numbers[at : at + options.mails]
            landed: list[bool] = []
            content = hashlib.sha256(f"{origin} {options.username} {validity} {some}".encode()).hexdigest()
            mark = {"validity": validity, "last": some[-1]}
            yield Delivery(
                content, origin, _batches(server, some, options, origin),
                bookmark=partial(_same, mark), landed=partial(landed.append, True),
            )  # fmt: skip
            if not landed:  # the next bookmark would pass over these
                return


def sample(text: str, _base: Path, rows: int, options: ImapOptions) -> tuple[pa.Table, dict[str, Any]]:
    """The folder's newest mails.

    Raises:
        BadInput, Unavailable: as `deliveries`.
    """
    with _folder(_locations.read(text), options, "location") as (server, _):
        newest = _numbers(server, "ALL")[-min(rows, 200) :]
        return pa.concat_tables([b.rows for b in _batches(server, newest, options, "imap")]), {}


def _same(mark: dict[str, Any]) -> dict[str, Any]:
    return mark


@contextmanager
def _folder(location: _locations.Location, options: ImapOptions, where: str) -> Iterator[tuple[imaplib.IMAP4, int]]:
    url = urlsplit(location.value)
    secret = _locations.secret(options.password, f"{where}: onefold.options.password").value
    shown = f"{url.hostname}{f':{url.port}' if url.port else ''}"
    if url.scheme == "imap" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise BadInput(f"{where}: imap:// sends the password in the open; use imaps://")
    try:
        server: imaplib.IMAP4 = (
            imaplib.IMAP4_SSL(
                str(url.hostname), url.port or 993, timeout=_TIMEOUT_S,
                ssl_context=ssl.create_default_context(cafile=options.ca_file),
            )
            if url.scheme == "imaps"
            else imaplib.IMAP4(str(url.hostname), url.port or 143, timeout=_TIMEOUT_S)
        )  # fmt: skip
    except ssl.SSLError as error:
        raise BadInput(
            f"{shown}: the server's certificate is not trusted ({error.reason}); see `ca_file`"
        ) from None
    except (OSError, imaplib.IMAP4.error) as error:
        raise Unavailable(f"{shown}: the mail server does not answer ({type(error).__name__})") from None
    try:
        try:
            server.login(options.username, secret)
        except imaplib.IMAP4.error:
            raise BadInput(f"{shown}: refuses us; check `username` and `password`") from None
        quoted = '"' + options.folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
        answer, _ = server.select(quoted, readonly=True)
        if answer != "OK":
            raise BadInput(f"{shown}: no folder {options.folder!r}")
        validity = server.response("UIDVALIDITY")[1][0]
        yield server, int(validity or 0)
    except (OSError, imaplib.IMAP4.abort) as error:
        raise Unavailable(f"{shown}: the connection broke ({type(error).__name__})") from None
    except imaplib.IMAP4.error as error:
        raise BadInput(f"{shown}: answered what cannot be read ({type(error).__name__})") from None
    finally:
        try:
            server.logout()
        except (OSError, imaplib.IMAP4.error):
            server.shutdown()


def _numbers(server: imaplib.IMAP4, query: str) -> list[int]:
    _, found = server.uid("SEARCH", query)
    return sorted(int(n) for n in (found[0] or b"").split())


def _batches(server: imaplib.IMAP4, numbers: list[int], options: ImapOptions, origin: str) -> Iterator[Batch]:
    with MailRows(attachments=options.attachments, most=_PACKAGE_BYTES) as rows:
        for number in numbers:
            raw = _body(server, number, f"<0.{options.max_mail_bytes + 1}>")
            rows.add(raw, f"{origin}: mail {number}", size=len(raw), limit=options.max_mail_bytes)
            if rows.full:
                yield rows.take()
        yield rows.take()


def _body(server: imaplib.IMAP4, number: int, part: str) -> bytes:
    """The mail's bytes; empty where it has gone meanwhile."""
    _, answer = server.uid("FETCH", str(number), f"(BODY.PEEK[]{part})")
    return next((item[1] for item in answer if isinstance(item, tuple)), b"")


CONNECTOR = Connector("imap", ImapOptions, ("imap", "imaps"), deliveries, sample)
