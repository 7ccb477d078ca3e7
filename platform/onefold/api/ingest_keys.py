"""Requests under a sender's key that are not committed yet: the same request again gets the receipt of the first.

Everything here happens on the event loop. What is forgotten and comes again is told at the commit.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from onefold_storage.errors import Conflict
from onefold_storage.receipts import Receipt
from onefold_storage.spool_frames import Frame

_MOST = 100_000
OTHER_EVENTS = "the Idempotency-Key was used before, with other events: send these under a key of their own"


@dataclass
class _Named:
    """`number`: of the segment that the request is in; 0 while it is being written."""

    digest: str | None
    written: asyncio.Future[Receipt]
    number: int = 0


class UncommittedKeys:
    """Requests by their source and key. Frames without a key are welcome everywhere, and change nothing."""

    def __init__(self) -> None:
        self._named: dict[tuple[str, str], _Named] = {}

    def first(self, frame: Frame) -> asyncio.Future[Receipt] | None:
        """What the request gets that came first under this key; None where there is none.

        Raises:
            Conflict: it came with other events.
        """
        found = self._named.get((frame.source, frame.key)) if frame.key else None
        if found is not None and found.digest != frame.digest:
            raise Conflict(OTHER_EVENTS)
        return found.written if found else None

    def begin(self, frame: Frame, written: asyncio.Future[Receipt]) -> None:
        """A request that is the first one under its key, and is about to be written."""
        if frame.key:
            self._named[frame.source, frame.key] = _Named(frame.digest, written)

    def keep(self, frame: Frame, number: int) -> None:
        """It is in a segment now; of those that are, the newest are known."""
        if frame.key:
            self._named[frame.source, frame.key].number = number
            while len(self._named) > _MOST and self._named[oldest := next(iter(self._named))].number:
                del self._named[oldest]

    def drop(self, frame: Frame) -> None:
        """It was refused, or had landed before."""
        if frame.key:
            del self._named[frame.source, frame.key]

    def committed(self, number: int) -> None:
        """A segment's requests are committed: the ledger knows them."""
        for name in [k for k, v in self._named.items() if v.number == number]:
            del self._named[name]
