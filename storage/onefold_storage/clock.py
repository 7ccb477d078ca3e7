"""The one clock. Nothing else asks for the time.

`now()` is the platform's time: the system's, or the one that `ONEFOLD_NOW` (or the workspace) fixes,
so that data of 2017 can be worked on as it was then. Durations are measured elsewhere, by a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time, always with a time zone."""

    def now(self) -> datetime:
        """The platform's time, in UTC."""
        ...


@dataclass(frozen=True)
class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The machine's time, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands still: for data of another time, and for tests."""

    at: datetime

    def now(self) -> datetime:
        """The fixed time, in UTC."""
        return (self.at if self.at.tzinfo else self.at.replace(tzinfo=UTC)).astimezone(UTC)
