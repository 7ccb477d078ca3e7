"""Which serving snapshots were built and what became of them; the pointer object says which is current."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select

from onefold_storage.errors import NotFound
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import publications

Fate = Literal["published", "refused", "withdrawn", "pruned"]


@dataclass(frozen=True)
class PublicationEntry:
    """One snapshot: `facts` are its counts, checksum and, where refused, why."""

    version: str
    built_at: datetime
    status: str
    facts: dict[str, Any]


class PublicationLog:
    """The book of publications."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def record(self, version: str, built_at: datetime, status: Fate, facts: dict[str, Any]) -> None:
        """Write a publication, or write it anew."""
        with self._access.write() as connection:
            connection.execute(publications.delete().where(publications.c.version == version))
            connection.execute(
                publications.insert().values(version=version, built_at=built_at, status=status, facts=facts)
            )

    def mark(self, version: str, status: Fate) -> None:
        """Say what became of it.

        Raises:
            NotFound: it was never recorded.
        """
        with self._access.write() as connection:
            done = connection.execute(
                publications.update().where(publications.c.version == version).values(status=status)
            )
        if done.rowcount == 0:
            raise NotFound(f"no publication {version}")

    def any_served(self) -> bool:
        """Whether there ever was a publication, though none may be there any more."""
        query = select(publications.c.version).where(publications.c.status != "refused").limit(1)
        with self._access.read() as connection:
            return connection.execute(query).first() is not None

    def list(self, limit: int = 100) -> list[PublicationEntry]:
        """Publications, newest first."""
        c = publications.c
        query = select(publications).order_by(c.built_at.desc(), c.version.desc()).limit(limit)
        with self._access.read() as connection:
            return [PublicationEntry(**row._mapping) for row in connection.execute(query)]
