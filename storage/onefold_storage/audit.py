"""The audit trail: who did what, to what; append only, and without personal data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from onefold_storage.clock import Clock
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import audit


@dataclass(frozen=True)
class Entry:
    """One line of the trail. `target` is an opaque ID (golden ID, key, package), never a contact point."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str | None
    detail: dict[str, Any] | None


class Audit:
    """The book of deeds."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock

    def add(self, actor: str, action: str, target: str | None = None, detail: dict[str, Any] | None = None) -> None:
        """Write one line: `action` such as `key.create`, `consent.record`, `publication.rollback`."""
        with self._access.write() as connection:
            connection.execute(
                audit.insert().values(
                    at=self._clock.now(), actor=actor, action=action, target=target, detail=detail
                )
            )

    def list(self, action: str | None = None, limit: int = 200) -> list[Entry]:
        """The newest lines first; of one action where given."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if action is not None:
            query = query.where(audit.c.action == action)
        with self._access.read() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query)]
