"""Where reading a source stands between two times: the greatest value of a column, or what was read last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

_KINDS: dict[str, tuple[type, Callable[[str], Any]]] = {
    "datetime": (datetime, datetime.fromisoformat),  # before date, of which it is one
    "date": (date, date.fromisoformat),
    "int": (int, int),
    "float": (float, float),
    "decimal": (Decimal, Decimal),
    "text": (str, str),
}


class Cursor:
    """The greatest value so far, nulls aside. Values of two kinds, or of one that has no order, are refused."""

    def __init__(self, bookmark: Any) -> None:
        self.value: Any = _KINDS[bookmark["type"]][1](bookmark["cursor"]) if bookmark else None

    def since(self, lag: float) -> Any:
        """The value to read from: `lag` before the greatest, in seconds for times, else in its own unit.

        Text has no distance; there the lag is nothing.
        """
        if self.value is None or not lag or isinstance(self.value, str):
            return self.value
        if isinstance(self.value, date):
            return self.value - timedelta(seconds=lag)
        return self.value - type(self.value)(lag)

    def see(self, values: Iterable[Any]) -> None:
        """Look at further values.

        Raises:
            TypeError: they cannot be compared with each other or with the value so far.
        """
        known = [v for v in values if v is not None]
        if known:
            greatest = max(known)
            self.value = greatest if self.value is None else max(self.value, greatest)
            if not isinstance(self.value, tuple(t for t, _ in _KINDS.values())) or isinstance(self.value, bool):
                raise TypeError(type(self.value).__name__)

    def bookmark(self) -> dict[str, str] | None:
        """The value for the next time."""
        if self.value is None:
            return None
        kind = next(k for k, (t, _) in _KINDS.items() if isinstance(self.value, t))
        text = self.value.isoformat() if isinstance(self.value, date) else str(self.value)
        return {"cursor": text, "type": kind}


def chained(bookmark: Any, rows: str) -> dict[str, str]:
    """The bookmark of a source that is read whole and told as changes: `rows` is the hash of what was read.

    What is read may be what was read long ago, and is news then: so `content` hashes all readings before as well,
    and stands only while nothing changes.
    """
    if bookmark and bookmark.get("rows") == rows:
        return {"rows": rows, "content": bookmark["content"]}
    before = bookmark["content"] if bookmark and "content" in bookmark else ""
    return {"rows": rows, "content": hashlib.sha256(f"{before} {rows}".encode()).hexdigest()}
