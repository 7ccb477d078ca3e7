"""API keys: made, verified, revoked.

A key is `of_<id>_<secret>` with 32 random bytes as its secret. The ledger keeps SHA-256 of the secret: with 256
bits of randomness there is nothing to guess, so a slow password hash would only slow every request. Secrets
are compared in constant time; an unknown id takes the same comparison as a known one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from onefold_storage.clock import Clock
from onefold_storage.errors import BadInput, NotFound, Unauthorised
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import api_keys
from onefold_storage.scopes import INGEST, ONE_SOURCE, SCOPES

_ONE_SOURCE = re.compile(rf"^{INGEST}:[a-z][a-z0-9_]{{0,62}}$")
"""A scope of one source: `ingest:` and its name."""
_FORM = re.compile(r"^of_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$")
_NOBODY = hashlib.sha256(b"no such key").hexdigest()
_REFUSED = "the API key is not valid: unknown, expired or revoked"


@dataclass(frozen=True)
class Key:
    """What is known of a key; never its secret."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def may(self, scope: str) -> bool:
        """Whether the key carries the scope; `admin` carries all."""
        return scope in self.scopes or "admin" in self.scopes

    def may_send(self, source: str) -> bool:
        """Whether the key may send events of this source."""
        return self.may(INGEST) or f"{INGEST}:{source}" in self.scopes


class Keys:
    """The book of keys."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock

    def create(self, name: str, scopes: Iterable[str], lifetime: timedelta | None = None) -> tuple[Key, str]:
        """Make a key, ending after `lifetime` if one is given; its secret is only seen in the second value.

        Raises:
            BadInput: no name, no scope, an unknown scope, or a lifetime that is none.
        """
        wanted = frozenset(scopes)
        unknown = {s for s in wanted - SCOPES.keys() if not _ONE_SOURCE.match(s)}
        if unknown or not wanted:
            found = ", ".join(sorted(unknown)) or "none"
            raise BadInput(f"scopes: expected some of {', '.join(SCOPES)} or {ONE_SOURCE}; found {found}")
        if not name.strip() or len(name) > 200:
            raise BadInput("name: expected 1 to 200 characters that say who uses the key")
        if lifetime is not None and lifetime <= timedelta(0):
            raise BadInput("lifetime: expected more than nothing")
        now = self._clock.now()
        expires_at = now + lifetime if lifetime else None
        key = Key(secrets.token_hex(6), name.strip(), wanted, now, expires_at, None)
        secret = secrets.token_urlsafe(32)
        with self._access.write() as connection:
            connection.execute(
                api_keys.insert().values(
                    id=key.id,
                    name=key.name,
                    hash=_digest(secret),
                    scopes=sorted(wanted),
                    created_at=now,
                    expires_at=expires_at,
                    revoked_at=None,
                )
            )
        return key, f"of_{key.id}_{secret}"

    def verify(self, token: str) -> Key:
        """The key that a token belongs to.

        Raises:
            Unauthorised: malformed, unknown, expired or revoked; the message does not say which.
        """
        form = _FORM.match(token)
        if form is None:
            raise Unauthorised(_REFUSED)
        with self._access.read() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == form[1])).first()
        genuine = hmac.compare_digest(_digest(form[2]), row.hash if row else _NOBODY)
        if row is None or not genuine:
            raise Unauthorised(_REFUSED)
        return self._valid(row)

    def get(self, key_id: str) -> Key:
        """The key with that id, for who has shown its secret before.

        Raises:
            Unauthorised: unknown, expired or revoked.
        """
        with self._access.read() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
        if row is None:
            raise Unauthorised(_REFUSED)
        return self._valid(row)

    def _valid(self, row: Row[Any]) -> Key:
        ended = row.expires_at is not None and row.expires_at <= self._clock.now()
        if row.revoked_at is not None or ended:
            raise Unauthorised(_REFUSED)
        return _key(row)

    def revoke(self, key_id: str) -> None:
        """End a key now; one that has ended stays as it is.

        Raises:
            NotFound: no key has that id.
        """
        c = api_keys.c
        with self._access.write() as connection:
            if connection.execute(select(c.id).where(c.id == key_id)).first() is None:
                raise NotFound(f"no API key with id {key_id}")
            connection.execute(
                api_keys.update().where(c.id == key_id, c.revoked_at.is_(None)).values(revoked_at=self._clock.now())
            )

    def list(self) -> list[Key]:
        """All keys, newest first."""
        with self._access.read() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id)).all()
        return [_key(row) for row in rows]


def _key(row: Row[Any]) -> Key:
    return Key(row.id, row.name, frozenset(row.scopes), row.created_at, row.expires_at, row.revoked_at)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
