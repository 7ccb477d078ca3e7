"""Cursors: where a page ended, bound to the publication that it was read from.

A publication may withdraw a permission; a list that was begun on an older one is therefore not continued.
"""

from __future__ import annotations

import base64
import binascii

import orjson

from onefold.api.errors import FieldError
from onefold_storage.errors import Conflict


def make(version: str, what: str, place: int) -> str:
    """A cursor behind `place` of a list; `what` tells lists apart."""
    return base64.urlsafe_b64encode(orjson.dumps([version, what, place])).decode().rstrip("=")


def read(cursor: str | None, version: str, what: str) -> int:
    """The place that a cursor stands for; 0 without one.

    Raises:
        FieldError: it is not a cursor of this list. Conflict: something was published since.
    """
    if cursor is None:
        return 0
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        found = None
    if not (isinstance(found, list) and len(found) == 3 and found[1] == what and type(found[2]) is int):
        raise FieldError("cursor", "expected the `next_cursor` of this same list, with the same parameters")
    if not 0 <= found[2] < 2**62:
        raise FieldError("cursor", "expected the `next_cursor` of this same list, with the same parameters")
    if found[0] != version:
        raise Conflict("something was published since the list was begun: start again without a cursor")
    return found[2]
