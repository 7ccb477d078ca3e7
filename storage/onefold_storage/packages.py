"""Load packages: what each landed batch held, and the ledger's book of them.

The lake is the truth (`manifests.py`); this book is the copy that is quick to ask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select

from onefold_storage.deliveries import Request
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import load_packages
from onefold_storage.requests import keep

REPLAY = "replay-"
"""What the content of a package of replayed failed events begins with (`replaying.py`)."""


@dataclass(frozen=True)
class Package:
    """A load package. Always: sent = landed + failed + repeated + suppressed.

    `seq` numbers a source's committed packages from 1; `content` identifies what was sent; `status` is
    `committed`, `held` (nothing of it landed, `message` says why) or, only in answers, `repeated`.
    `requests`: those that landed with it under a sender's key; the book gives none back, `requests.py` finds them.
    """

    source: str
    seq: int | None
    content: str
    origin: str
    sent: int
    landed: int
    failed: int
    repeated: int
    suppressed: int
    started_at: datetime
    committed_at: datetime | None
    status: str = "committed"
    message: str | None = None
    requests: tuple[Request, ...] = ()

    @property
    def package_id(self) -> str:
        """Its name: within a source it sorts in the order of landing."""
        place = "held" if self.seq is None else f"{self.seq:08d}"
        return f"{self.source}-{place}-{self.content[:16]}"

    def as_repeated(self) -> Package:
        """What a second sending of the same content comes to: every row is repeated."""
        return replace(self, landed=0, failed=0, suppressed=0, repeated=self.sent, status="repeated")


@dataclass(frozen=True)
class SourceTotals:
    """What a source has brought so far, in rows; held packages count in `held` alone."""

    source: str
    packages: int
    held: int
    sent: int
    landed: int
    failed: int
    repeated: int
    suppressed: int
    last_committed_at: datetime | None


_COUNTS = ("sent", "landed", "failed", "repeated", "suppressed")


class Packages:
    """The book of load packages."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def record(self, package: Package, *, replaces: bool = False) -> None:
        """Keep a package; one that stands with the same id is replaced, and a held one that has landed goes.

        `replaces`: what was held of the same origin goes too, because that is there no more.
        """
        held, c = replace(package, seq=None).package_id, load_packages.c
        with self._access.write() as connection:
            ids = [package.package_id, held]
            connection.execute(load_packages.delete().where(c.package_id.in_(ids)))
            if replaces:
                of_it = (c.source == package.source, c.origin == package.origin, c.status == "held")
                connection.execute(load_packages.delete().where(*of_it))
            values = {c.name: getattr(package, c.name) for c in load_packages.c}
            connection.execute(load_packages.insert().values(**values))
            if package.seq is not None:
                keep(connection, package.source, package.content, package.requests)

    def last_seq(self, source: str) -> int:
        """The last committed package of a source; 0 where there is none."""
        query = select(func.max(load_packages.c.seq)).where(load_packages.c.source == source)
        with self._access.read() as connection:
            return connection.execute(query).scalar() or 0

    def last_sent(self, source: str) -> int:
        """The last committed package that the source sent, replays left out; 0 where there is none."""
        c = load_packages.c
        query = select(func.max(c.seq)).where(c.source == source, ~c.content.startswith(REPLAY, autoescape=True))
        with self._access.read() as connection:
            return connection.execute(query).scalar() or 0

    def find(self, source: str, content: str) -> Package | None:
        """The newest committed package of a source with that content."""
        query = (
            select(load_packages)
            .where(load_packages.c.source == source, load_packages.c.content == content)
            .where(load_packages.c.status == "committed")
            .order_by(load_packages.c.seq.desc())
            .limit(1)
        )
        with self._access.read() as connection:
            row = connection.execute(query).mappings().first()
        return _package(dict(row)) if row else None

    def list(self, source: str | None = None, limit: int = 1000) -> list[Package]:
        """The newest packages first, of one source or of all."""
        query = select(load_packages).order_by(load_packages.c.started_at.desc(), load_packages.c.seq.desc())
        if source:
            query = query.where(load_packages.c.source == source)
        with self._access.read() as connection:
            return [_package(dict(row)) for row in connection.execute(query.limit(limit)).mappings()]

    def totals(self) -> dict[str, SourceTotals]:
        """Sums of the committed packages by source."""
        c = load_packages.c
        done = c.status == "committed"
        counts = [
            func.coalesce(func.sum(column).filter(done), 0).label(column.name)
            for column in (c.sent, c.landed, c.failed, c.repeated, c.suppressed)
        ]
        query = (
            select(
                c.source,
                func.count().filter(done).label("packages"),
                func.count().filter(~done).label("held"),
                *counts,
                func.max(c.committed_at).filter(done).label("last_committed_at"),
            )
            .group_by(c.source)
            .order_by(c.source)
        )
        with self._access.read() as connection:
            rows = connection.execute(query).mappings().all()
        return {r["source"]: _totals(dict(r)) for r in rows}

    def held_back(self) -> dict[str, str]:
        """Why the newest package that is held was held, by source; sources without one are left out."""
        c = load_packages.c
        query = select(c.source, c.message).where(c.status == "held").order_by(c.started_at)
        with self._access.read() as connection:
            return {source: message or "" for source, message in connection.execute(query)}

    def landed_by_day(self) -> dict[str, dict[date, int]]:
        """Rows landed by source and day of the commit (UTC), of the days that had a committed package."""
        c = load_packages.c
        with self._access.read() as connection:
            sqlite = connection.dialect.name == "sqlite"  # which keeps moments as UTC already, without a zone
            day = func.date(c.committed_at if sqlite else func.timezone("UTC", c.committed_at))
            query = (
                select(c.source, day.label("day"), func.sum(c.landed).label("landed"))
                .where(c.status == "committed")
                .group_by(c.source, day)
                .order_by(c.source, day)
            )
            found: dict[str, dict[date, int]] = {}
            for source, on, landed in connection.execute(query):
                found.setdefault(source, {})[date.fromisoformat(str(on))] = int(landed)
        return found


def _totals(row: dict[str, Any]) -> SourceTotals:
    # PostgreSQL sums integers to decimals.
    return SourceTotals(**(row | {k: int(row[k]) for k in _COUNTS}))


def _package(row: dict[str, object]) -> Package:
    return Package(**{k: v for k, v in row.items() if k != "package_id"})  # type: ignore[arg-type]
