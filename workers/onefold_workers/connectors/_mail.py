"""One mail as a row: who, when, about what, its text, and what hangs on it. Broken MIME gives what can be read."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import orjson

COLUMNS = (
    "message_id", "sent_at", "from_name", "from_address", "to_addresses", "cc_addresses", "subject", "text",
    "in_reply_to", "attachments", "size", "sha256",
)  # fmt: skip
_parsed = lru_cache(maxsize=64)(policy.default.header_fetch_parse)


class _Remembering(policy.EmailPolicy):
    """The standard policy, which would parse a header anew each time it is looked at: half of a mail's cost."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return _parsed(name, value)


_POLICY = _Remembering()
_MAX_TEXT = 1 << 20
_PARTS = 1000


def row(raw: bytes) -> dict[str, str | None]:
    """The mail as strings: `sent_at` in ISO 8601 (UTC), addresses and `attachments` (name, media type, bytes,
    SHA-256) as JSON, `text` of the plain part, at most a million characters. `sha256` is that of the whole mail.

    Raises:
        ValueError: nothing of it can be read as a mail.
    """
    mail = message_from_bytes(raw, policy=_POLICY)
    if not isinstance(mail, EmailMessage) or not mail.keys():
        raise ValueError("it has no header")
    sender = _addresses(mail, "from")
    return {
        "message_id": _header(mail, "message-id"),
        "sent_at": _moment(_header(mail, "date")),
        "from_name": sender[0][0] or None if sender else None,
        "from_address": sender[0][1] or None if sender else None,
        "to_addresses": _listed(_addresses(mail, "to")),
        "cc_addresses": _listed(_addresses(mail, "cc")),
        "subject": _header(mail, "subject"),
        "text": _text(mail),
        "in_reply_to": _header(mail, "in-reply-to"),
        "attachments": _attachments(mail),
        "size": str(len(raw)),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }


def _header(mail: EmailMessage, name: str) -> str | None:
    try:
        value = mail.get(name)
    except Exception:  # headers that the library cannot parse raise whatever they run into
        return None
    text = " ".join(str(value).split()) if value is not None else ""
    return text.encode("utf-8", "replace").decode() or None


def _addresses(mail: EmailMessage, name: str) -> list[tuple[str, str]]:
    return [a for a in getaddresses([_header(mail, name) or ""]) if a[1]]


def _listed(addresses: list[tuple[str, str]]) -> str | None:
    return orjson.dumps([a for _, a in addresses]).decode() if addresses else None


def _moment(text: str | None) -> str | None:
    try:
        found = parsedate_to_datetime(text) if text else None
        if found is None:
            return None
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return datetime.isoformat(aware.astimezone(UTC))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _text(mail: EmailMessage) -> str | None:
    try:
        body = mail.get_body(("plain", "html"))
        content: Any = body.get_content() if body is not None else None
    except Exception:  # a charset or an encoding that does not exist, parts that end in the middle
        payload = mail.get_payload(decode=True)
        content = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else None
    if not isinstance(content, str):
        return None
    return content[:_MAX_TEXT].encode("utf-8", "replace").decode().strip() or None


def attached(raw: bytes) -> list[tuple[str, str, bytes]]:
    """Name, extension (by the name, else by the declared type) and bytes of each attachment of a mail.

    Empty ones are left out; of broken MIME there is what came before the fault.
    """
    mail = message_from_bytes(raw, policy=_POLICY)
    if not isinstance(mail, EmailMessage):
        return []
    return [(name, _extension(name, kind), data) for name, kind, data in _parts(mail) if data]


def _extension(name: str, kind: str) -> str:
    return (PurePosixPath(name).suffix or mimetypes.guess_extension(kind) or "").lower().removeprefix(".")


def _attachments(mail: EmailMessage) -> str | None:
    found = [
        {"name": name, "media_type": kind, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, kind, data in _parts(mail)
    ]
    return orjson.dumps(found).decode() if found else None


def _parts(mail: EmailMessage) -> Iterator[tuple[str, str, bytes]]:
    """Name, media type and bytes of attachments; a mail within a mail is one as a whole."""
    try:
        for part in islice(mail.iter_attachments(), _PARTS):
            name = (part.get_filename() or "").encode("utf-8", "replace").decode()
            yield name, part.get_content_type(), _payload(part)
    except Exception:  # what came before the broken part stands
        return


def _payload(part: Any) -> bytes:
    if part.get_content_type() == "message/rfc822":
        return bytes(part.get_content().as_bytes())
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
