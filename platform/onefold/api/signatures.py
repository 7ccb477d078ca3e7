"""Signatures of webhooks: HMAC with SHA-256 over the bytes that came, in the styles of those who send most.

Compared in constant time. A signature with a time in it is refused when it is too old or from the future, so that
what somebody recorded cannot be sent again later.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from onefold_storage.sending import Signature

_LONGEST = 2_048
_MOST = 8


def signed(given: str | None, body: bytes, rule: Signature, secrets: Sequence[bytes], now: datetime) -> bool:
    """Whether `given`, the value of the rule's header, is a signature of the body by one of the secrets."""
    if not given or len(given) > _LONGEST or not all(secrets):
        return False
    if rule.style == "timestamped":
        return _timestamped(given, body, rule, secrets, now)
    if not given.startswith(rule.prefix):
        return False
    found = _digest(given.removeprefix(rule.prefix).strip(), rule.style)
    return _any([found], body, secrets)


def _timestamped(given: str, body: bytes, rule: Signature, secrets: Sequence[bytes], now: datetime) -> bool:
    parts = [part.strip().partition("=") for part in given.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:
        return False
    if abs(now.timestamp() - int(times[0])) > rule.tolerance_s:
        return False
    found = [_digest(value, "hex") for name, _, value in parts if name == "v1"]
    return _any(found[:_MOST], times[0].encode() + b"." + body, secrets)


def _digest(text: str, style: str) -> bytes:
    """The bytes of a signature; none where it is not written so."""
    try:
        return base64.b64decode(text, validate=True) if style == "base64" else bytes.fromhex(text)
    except ValueError:
        return b""


def _any(found: Sequence[bytes], message: bytes, secrets: Sequence[bytes]) -> bool:
    """Whether one of the signatures is right; all are looked at, whichever it is."""
    right = [hmac.new(secret, message, hashlib.sha256).digest() for secret in secrets]
    return sum(hmac.compare_digest(f, r) for f in found for r in right) > 0
