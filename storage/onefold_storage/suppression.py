"""The suppression list: keyed hashes of identifiers that may not land again after an erasure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, select

from onefold_storage.clock import Clock
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import suppression_list

_CHUNK = 500  # bound parameters a statement


@dataclass(frozen=True)
class Suppressed:
    """One identifier: its keyed hash (`KeyedHash.of(kind, value)`), kind, and scheme of an external ID.

    `mark`: its `sieve.mark`. One entry without a mark makes landing hash every identifier that comes.
    """

    hash: str
    kind: str
    scheme: str | None = None
    mark: int | None = None


@dataclass(frozen=True)
class Listed:
    """What stands on the list: hashes, and the marks of all of them; None where one has no mark."""

    hashes: frozenset[str]
    marks: tuple[int, ...] | None


class SuppressionList:
    """The book of who may not land again."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock

    def add(self, entries: Iterable[Suppressed], reason: str) -> int:
        """Put identifiers on the list; those that stand on it stay as they are. Gives how many are new."""
        wanted = {e.hash: e for e in entries}
        added = 0
        with self._access.write() as connection:
            for hashes in _chunks(sorted(wanted)):
                column = suppression_list.c.hash
                known = set(connection.execute(select(column).where(column.in_(hashes))).scalars())
                rows = [
                    {**asdict(wanted[h]), "added_at": self._clock.now(), "reason": reason}
                    for h in hashes
                    if h not in known
                ]
                if rows:
                    connection.execute(suppression_list.insert(), rows)
                added += len(rows)
        return added

    def hashes(self) -> frozenset[str]:
        """Every hash on the list, for a check in memory."""
        with self._access.read() as connection:
            return frozenset(connection.execute(select(suppression_list.c.hash)).scalars())

    def state(self) -> tuple[Any, ...]:
        """Which ledger it is, and sums that differ once anything was added: quick to ask."""
        c = suppression_list.c
        sums = (func.count(), func.count(c.mark), func.sum(c.mark), func.max(c.added_at))
        query = select(*sums, func.min(c.hash), func.max(c.hash))
        with self._access.read() as connection:
            return (str(connection.engine.url), *connection.execute(query).one())

    def listed(self) -> Listed:
        """Everything on the list."""
        c = suppression_list.c
        with self._access.read() as connection:
            rows = connection.execute(select(c.hash, c.mark)).all()
        marks = tuple(mark for _, mark in rows if mark is not None)
        return Listed(frozenset(h for h, _ in rows), marks if len(marks) == len(rows) else None)

    def contains(self, hashes: Iterable[str]) -> frozenset[str]:
        """Which of these hashes are on the list."""
        found: set[str] = set()
        column = suppression_list.c.hash
        with self._access.read() as connection:
            for chunk in _chunks(sorted(set(hashes))):
                found |= set(connection.execute(select(column).where(column.in_(chunk))).scalars())
        return frozenset(found)


def _chunks(values: list[str]) -> Iterable[list[str]]:
    return (values[i : i + _CHUNK] for i in range(0, len(values), _CHUNK))
