"""Browser sessions: a signed cookie that names the key and its own end; the key itself never leaves the sign-in.

The signature is the installation's keyed hash, so every replica knows it; each request looks the key up again, so a
revoked key ends its sessions.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import Request
from fastapi.responses import Response

from onefold.api.context import Context
from onefold_storage.clock import SystemClock
from onefold_storage.errors import Forbidden, Unauthorised
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.keys import Key

COOKIE: Final = "onefold_session"
_KIND = "session"


def issue(hashed: KeyedHash, key_id: str, until: datetime) -> str:
    """A cookie's value for a key, until a moment."""
    said = f"{key_id}.{int(until.timestamp())}.{secrets.token_hex(8)}"
    return f"{said}.{hashed.of(_KIND, said)}"


def read(hashed: KeyedHash, value: str, now: datetime) -> str:
    """The id of the key that a cookie's value is for.

    Raises:
        Unauthorised: not signed here, or ended.
    """
    said, _, signature = value.rpartition(".")
    parts = said.split(".")
    genuine = hmac.compare_digest(hashed.of(_KIND, said).encode(), signature.encode("utf-8", "replace"))
    if not genuine or len(parts) != 3 or datetime.fromtimestamp(int(parts[1]), UTC) <= now:
        raise Unauthorised("your session has ended: sign in again")
    return parts[0]


def begin(response: Response, request: Request, shared: Context, key: Key) -> None:
    """Sign a browser in."""
    life = timedelta(hours=shared.settings.api_session_hours)
    value = issue(shared.hashed, key.id, SystemClock().now() + life)
    response.set_cookie(
        COOKIE,
        value,
        max_age=int(life.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=shared.settings.api_secure_cookies or request.url.scheme == "https",
        path="/",
    )


def end(response: Response) -> None:
    """Sign a browser out."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def signed_in(request: Request, shared: Context) -> Key | None:
    """The key that the browser signed in with; None where it did not.

    Raises:
        Unauthorised: the session or its key has ended.
    """
    value = request.cookies.get(COOKIE)
    if not value:
        return None
    return shared.ledger.keys.get(read(shared.hashed, value, SystemClock().now()))


def own_form(request: Request) -> None:
    """Check that a form was sent from a page of this origin: no other site may sign a browser in, or act for it.

    Raises:
        Forbidden: it was not.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if (site is not None and site not in ("same-origin", "none")) or (origin is not None and origin != own):
        raise Forbidden("the form was sent from another site: open the page here and send it again")
