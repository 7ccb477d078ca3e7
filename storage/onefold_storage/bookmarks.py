"""Bookmarks: where each source's reader stands. A copy: the lake's commit has the truth."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from onefold_storage.clock import Clock
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import bookmarks


class Bookmarks:
    """The book of bookmarks; values are JSON."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock

    def set(self, source: str, value: Any, package_id: str | None = None) -> None:
        """Keep a source's bookmark, with the package that was committed together with it."""
        with self._access.write() as connection:
            connection.execute(bookmarks.delete().where(bookmarks.c.source == source))
            connection.execute(
                bookmarks.insert().values(source=source, value=value, package_id=package_id, at=self._clock.now())
            )

    def get(self, source: str) -> Any | None:
        """A source's bookmark; None where it has none."""
        with self._access.read() as connection:
            return connection.execute(select(bookmarks.c.value).where(bookmarks.c.source == source)).scalar()
