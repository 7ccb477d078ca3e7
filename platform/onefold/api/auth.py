"""Who asks, and whether they may: a key from the header, and the scope that a route needs."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections import OrderedDict
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from onefold.api.context import Shared
from onefold.api.errors import NAME, FieldError
from onefold_storage.errors import Forbidden, Unauthorised
from onefold_storage.keys import Key, Keys
from onefold_storage.scopes import SCOPES, lacking

_TRUSTED_SECONDS = 1.0
_MOST = 1_024

_bearer = HTTPBearer(auto_error=False, scheme_name="Bearer key", description="`Authorization: Bearer of_…`")
_header = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="Key header", description="`X-API-Key: of_…`"
)


class KeyRing:
    """Keys that were verified within the last second, by their token's hash; a revoked one ends within it."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[Key, float]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, token: str) -> Key | None:
        """The key of a token that was verified within the last second."""
        found = self._known.get(_digest(token))
        return found[0] if found is not None and found[1] > time.monotonic() else None

    def verify(self, keys: Keys, token: str) -> Key:
        """The key that a token belongs to.

        Raises:
            Unauthorised: it is not valid.
        """
        if (found := self.known(token)) is not None:
            return found
        digest, now = _digest(token), time.monotonic()
        key = keys.verify(token)
        with self._lock:
            self._known[digest] = (key, now + _TRUSTED_SECONDS)
            self._known.move_to_end(digest)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return key


def tokens(headers: Headers) -> str:
    """The token of a request's headers, for routes that do without dependencies.

    Raises:
        Unauthorised: none, or two different ones.
    """
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return _one({bearer.strip() if scheme.lower() == "bearer" else None, headers.get("x-api-key")})


def write_key(headers: Headers, body: str | None = None) -> str | None:
    """The key as tracking SDKs send it: the user name of basic auth, or `writeKey` in the body; or as all others do.

    None where there is none.

    Raises:
        Unauthorised: two different ones.
    """
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    basic = None
    if scheme.lower() == "basic":
        try:
            basic = base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
        except ValueError:
            raise Unauthorised("Authorization: expected basic auth with the key as its user name") from None
    given = {basic, rest.strip() if scheme.lower() == "bearer" else None, headers.get("x-api-key"), body}
    return _one(given) if any(given) else None


def _one(given: set[str | None]) -> str:
    tokens = {t for t in given if t}
    if len(tokens) != 1:
        said = "two different API keys were sent: send one" if tokens else "an API key is needed"
        raise Unauthorised(f"{said}; as `Authorization: Bearer …` or `X-API-Key: …`")
    return tokens.pop()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def caller(
    request: Request,
    shared: Shared,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    header: Annotated[str | None, Security(_header)] = None,
) -> Key:
    """The key that the request shows.

    Raises:
        Unauthorised: none, two different ones, or one that is not valid.
    """
    token = _one({bearer.credentials if bearer else None, header})
    ring: KeyRing = request.app.state.keys
    key = ring.verify(shared.ledger.keys, token)
    request.state.actor = key.id
    return key


def needs(scope: str) -> Any:
    """A dependency: the caller's key, which carries the scope; what the caller asks for is then looked at.

    Raises:
        Forbidden: it does not.
        FieldError: a query parameter is none of the route's.
    """
    assert scope in SCOPES, scope

    def checked(request: Request, key: Annotated[Key, Depends(caller)]) -> Key:
        if not key.may(scope):
            raise Forbidden(lacking(scope))
        _refuse_unknown(request)
        return key

    return Depends(checked)


def _refuse_unknown(request: Request) -> None:
    """A filter that is misspelt would be no filter: the answer would hold more than was asked for."""
    known = {p.alias for p in request.scope["route"].dependant.query_params}
    unknown = request.query_params.keys() - known
    if unknown:
        name = min(unknown)
        raise FieldError(
            name if NAME.match(name) else "?",
            f"no such query parameter; there are {', '.join(sorted(known)) or 'none'}",
        )
