"""A pace that is kept: so many requests, bytes or rows a second at most, by the monotonic clock."""

from __future__ import annotations

import time


class Pace:
    """At most `per_second` units a second; without it as many as there are. Each source has its own.

    What is taken is paid for afterwards, before the next is taken: time in which nothing was asked is no credit, so
    that a source never gets more at once than one piece (a request, a block, a batch).
    """

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self._next = 0.0

    def owed(self) -> float:
        """Seconds until the next may be taken."""
        return max(0.0, self._next - time.monotonic())

    def take(self, units: float = 1) -> None:
        """Take so many, whether they are owed or not."""
        if self.per_second:
            self._next = max(self._next, time.monotonic()) + units / self.per_second

    def wait(self, units: float = 1) -> None:
        """Wait until what was taken is paid for, then take so many."""
        if owed := self.owed():
            time.sleep(owed)
        self.take(units)

    def piece(self, most: int) -> int:
        """How many to take at once: what a second allows, at least one and at most `most`."""
        return max(1, min(most, int(self.per_second))) if self.per_second else most
