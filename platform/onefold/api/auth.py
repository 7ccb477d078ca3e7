"""Who asks, and whether they may: a key from the header, and the scope that a route needs."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from onefold.api.context import Shared
from onefold_storage.errors import Forbidden, Unauthorised
from onefold_storage.keys import SCOPES, Key, Keys

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

    def verify(self, keys: Keys, token: str) -> Key:
        """The key that a token belongs to.

        Raises:
            Unauthorised: it is not valid.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        now = time.monotonic()
        found = self._known.get(digest)
        if found is not None and found[1] > now:
            return found[0]
        key = keys.verify(token)
        with self._lock:
            self._known[digest] = (key, now + _TRUSTED_SECONDS)
            self._known.move_to_end(digest)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return key


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
    tokens = {t for t in (bearer.credentials if bearer else None, header) if t}
    if len(tokens) != 1:
        said = "two different API keys were sent: send one" if tokens else "an API key is needed"
        raise Unauthorised(f"{said}; as `Authorization: Bearer …` or `X-API-Key: …`")
    ring: KeyRing = request.app.state.keys
    key = ring.verify(shared.ledger.keys, tokens.pop())
    request.state.actor = key.id
    return key


def needs(scope: str) -> Any:
    """A dependency: the caller's key, which carries the scope.

    Raises:
        Forbidden: it does not.
    """
    assert scope in SCOPES, scope

    def checked(key: Annotated[Key, Depends(caller)]) -> Key:
        if not key.may(scope):
            raise Forbidden(f"this API key has no scope `{scope}` ({SCOPES[scope]})")
        return key

    return Depends(checked)
