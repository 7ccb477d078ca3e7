"""Ranked lists: whom a model puts first, among those who may be contacted, with the others counted by reason."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

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
        counts = dict(self._counted(asked))
        allowed = counts.pop("allowed", 0)
        for reason, n in self._closed(asked, objections).items():
            allowed -= n
            counts[reason] = counts.get(reason, 0) + n
        rows = self._rows(asked, objections, after, most + 1) if allowed else []
        return RankedList(rows[:most], len(rows) > most, allowed, dict(sorted(counts.items())))

    def _rows(self, asked: Ranking, objections: Objections, after: int, most: int) -> list[tuple[int, int, float]]:
        forbidden = objections.forbidden(asked.use)
        tables, where, values = self._chosen(asked)
        sql = f"SELECT s.rank, s.customer, s.score {tables} {where} AND s.rank > ? AND {_ALLOWED} ORDER BY s.rank"
        found = self._snapshot.cursor(sql, [*values, after, asked.use.place + 1])
        return list(islice((row for row in found if row[1] not in forbidden), most))

    def _chosen(self, asked: Ranking) -> tuple[str, str, list[float]]:
        """FROM, WHERE and values of the rows that match, whether or not contact is allowed."""
        tables, where, values = (
            "FROM scores AS s",
            "WHERE s.model = ?",
            [float(self._snapshot.models[asked.model][0])],
        )
        if asked.minimum is not None:
            where, values = f"{where} AND s.score >= ?", [*values, asked.minimum]
        if asked.segment is not None:
            number, size = self._snapshot.segments[asked.segment]
            if size * _SMALL < self._snapshot.counts["customers"]:  # few members: find their scores, then sort them
                tables = "FROM members AS m CROSS JOIN scores AS s"
                where = f"{where} AND m.segment = ? AND s.customer = m.customer"
            else:
                member = "SELECT 1 FROM members AS m WHERE m.segment = ? AND m.customer = s.customer"
                where = f"{where} AND EXISTS ({member})"
            values = [*values, float(number)]
        return tables, where, values

    def _count(self, asked: Ranking) -> dict[str, int]:
        tables, where, values = self._chosen(asked)
        sql = f"SELECT substr(s.why, ?, 1), count(*) {tables} {where} GROUP BY 1"
        rows = self._snapshot.query(sql, [asked.use.place + 1, *values])
        return {self._snapshot.reasons[code[0]]: n for code, n in rows}

    def _close(self, asked: Ranking, objections: Objections) -> dict[str, int]:
        """Of those whom the publication allows: how many a live wish closes, by reason."""
        forbidden = objections.forbidden(asked.use)
        tables, where, values = self._chosen(asked)
        closed: dict[str, int] = {}
        for part in chunks(sorted(forbidden)):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT s.customer {tables} {where} AND {_ALLOWED} AND s.customer IN ({marks})"
            for (customer,) in self._snapshot.cursor(sql, [*values, asked.use.place + 1, *part]):
                closed[forbidden[customer]] = closed.get(forbidden[customer], 0) + 1
        return closed


_SMALL = 8  # a segment of less than an eighth of all customers is few
_ALLOWED = "substr(s.why, ?, 1) = x'00'"
