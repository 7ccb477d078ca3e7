"""How far a long reading is, told from where it runs to whoever waits for it: counts alone, at most once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from onefold_storage.deliveries import Batch, Delivery

_EVERY_S = 1.0
_current: ContextVar[Reading | None] = ContextVar("onefold_reading", default=None)


class Reading:
    """One source that is read, and then landed."""

    def __init__(self, source: str, tell: Callable[[str], None]) -> None:
        self._source, self._tell = source, tell
        self._counts = {"read": 0, "checked": 0}
        self._next = time.monotonic() + _EVERY_S

    def count(self, what: str, rows: int) -> None:
        """So many rows more."""
        self._counts[what] += rows
        if time.monotonic() >= self._next:
            self._tell(f"{self._source}: {self._counts[what]:,} rows {what}")
            self._next = time.monotonic() + _EVERY_S


def came(rows: int) -> None:
    """A connector that first writes down what comes has so many rows more."""
    reading = _current.get()
    if reading is not None:
        reading.count("read", rows)


@contextmanager
def reading(source: str, tell: Callable[[str], None] | None) -> Iterator[None]:
    """Tell how far the source is that is read and landed inside."""
    token = _current.set(Reading(source, tell) if tell else None)
    try:
        yield
    finally:
        _current.reset(token)


def counted(delivery: Delivery) -> Delivery:
    """The same delivery, whose rows are counted as landing takes them."""
    current = _current.get()
    return replace(delivery, batches=_counted(delivery.batches, current)) if current else delivery


def _counted(batches: Iterator[Batch], current: Reading) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        current.count("checked", batch.rows.num_rows + len(batch.bad))
