"""Ranked lists: whom a model puts first, among those who may be contacted, with the others counted by reason."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from onefold.serving.objections import Objections
from onefold.serving.snapshot import Snapshot, Use, chunks


@dataclass(frozen=True)
class Ranking:
    """What is asked: a model's list for one data use and channel, from a score up, within a segment."""

    model: str
    use: Use
    minimum: float | None = None
    segment: str | None = None


@dataclass(frozen=True)
class RankedList:
    """`rows`: (rank, customer, score), best first; `more`: others follow; `suppressed`: customers by reason."""

    rows: list[tuple[int, int, float]]
    more: bool
    allowed: int
    suppressed: dict[str, int]


class Lists:
    """The ranked lists of one publication."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._counted = lru_cache(maxsize=512)(self._count)
        self._closed = lru_cache(maxsize=512)(self._close)

    def page(self, asked: Ranking, objections: Objections, after: int, most: int) -> RankedList:
        """The rows behind rank `after`, at most `most`; who objected since is in none."""
        forbidden = objections.forbidden(asked.use)
        where, values = self._where(asked)
        sql = f"SELECT rank, customer, score FROM scores AS s {where} AND rank > ? AND {_ALLOWED} ORDER BY rank"  # noqa: S608 - made of constants
        rows: list[tuple[int, int, float]] = []
        more = False
        for row in self._snapshot.cursor(sql, [*values, after, asked.use.place + 1]):
            if row[1] in forbidden:
                continue
            if len(rows) == most:
                more = True
                break
            rows.append(row)
        counts = dict(self._counted(asked))
        allowed = counts.pop("allowed", 0)
        for reason, n in self._closed(asked, objections).items():
            allowed -= n
            counts[reason] = counts.get(reason, 0) + n
        return RankedList(rows, more, allowed, dict(sorted(counts.items())))

    def _where(self, asked: Ranking) -> tuple[str, list[float]]:
        where, values = "WHERE s.model = ?", [float(self._snapshot.models[asked.model][0])]
        if asked.minimum is not None:
            where, values = f"{where} AND s.score >= ?", [*values, asked.minimum]
        if asked.segment is not None:
            member = "EXISTS (SELECT 1 FROM members AS m WHERE m.segment = ? AND m.customer = s.customer)"
            where, values = f"{where} AND {member}", [*values, float(self._snapshot.segments[asked.segment][0])]
        return where, values

    def _count(self, asked: Ranking) -> dict[str, int]:
        where, values = self._where(asked)
        sql = f"SELECT substr(s.why, ?, 1), count(*) FROM scores AS s {where} GROUP BY 1"  # noqa: S608
        rows = self._snapshot.query(sql, [asked.use.place + 1, *values])
        return {self._snapshot.reasons[code[0]]: n for code, n in rows}

    def _close(self, asked: Ranking, objections: Objections) -> dict[str, int]:
        """Of those whom the publication allows: how many a live wish closes, by reason."""
        forbidden = objections.forbidden(asked.use)
        where, values = self._where(asked)
        closed: dict[str, int] = {}
        for part in chunks(sorted(forbidden)):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT customer FROM scores AS s {where} AND {_ALLOWED} AND s.customer IN ({marks})"  # noqa: S608
            for (customer,) in self._snapshot.cursor(sql, [*values, asked.use.place + 1, *part]):
                closed[forbidden[customer]] = closed.get(forbidden[customer], 0) + 1
        return closed


_ALLOWED = "substr(s.why, ?, 1) = x'00'"
