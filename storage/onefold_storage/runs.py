"""Flow runs by stage: when, how it ended, and what it did, for status and lineage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from onefold_storage.clock import Clock
from onefold_storage.errors import NotFound
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import runs


@dataclass(frozen=True)
class Run:
    """One stage of one flow run; `status` is running, done, failed or skipped."""

    run_id: str
    stage: str
    started: datetime
    ended: datetime | None
    status: str
    facts: dict[str, Any]


class Runs:
    """The book of runs. A stage that is started again in the same run begins anew."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock

    def start(self, run_id: str, stage: str) -> None:
        """A stage begins."""
        c = runs.c
        with self._access.write() as connection:
            connection.execute(runs.delete().where(c.run_id == run_id, c.stage == stage))
            connection.execute(
                runs.insert().values(
                    run_id=run_id, stage=stage, started=self._clock.now(), ended=None, status="running", facts={}
                )
            )

    def finish(self, run_id: str, stage: str, status: str = "done", facts: dict[str, Any] | None = None) -> None:
        """A stage ends; `facts` is what it did, without personal data.

        Raises:
            NotFound: the stage was not started.
        """
        c = runs.c
        with self._access.write() as connection:
            done = connection.execute(
                runs.update()
                .where(c.run_id == run_id, c.stage == stage)
                .values(ended=self._clock.now(), status=status, facts=facts or {})
            )
        if done.rowcount == 0:
            raise NotFound(f"run {run_id} has no stage {stage} that was started")

    def list(self, stage: str | None = None, limit: int = 100) -> list[Run]:
        """Runs, newest first; of one stage where given."""
        c = runs.c
        query = select(c.run_id, c.stage, c.started, c.ended, c.status, c.facts).order_by(c.id.desc()).limit(limit)
        if stage is not None:
            query = query.where(c.stage == stage)
        with self._access.read() as connection:
            return [Run(**row._mapping) for row in connection.execute(query)]

    def last(self, stage: str, status: str = "done") -> Run | None:
        """The newest run of a stage that ended so."""
        c = runs.c
        query = (
            select(c.run_id, c.stage, c.started, c.ended, c.status, c.facts)
            .where(c.stage == stage, c.status == status)
            .order_by(c.id.desc())
            .limit(1)
        )
        with self._access.read() as connection:
            row = connection.execute(query).first()
        return Run(**row._mapping) if row else None
