"""Ranked lists: whom a model puts first, among those who may be contacted, with the others counted by reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
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
    """The ranked lists of one publication.

    What was counted is kept; what wishes close is kept with the wishes. The cache holds the snapshot and never this
    object: a circle would keep a withdrawn publication open until the next garbage collection.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._counted = lru_cache(maxsize=512)(partial(_count, snapshot))

    def page(self, asked: Ranking, objections: Objections, after: int, most: int) -> RankedList:
        """The rows behind rank `after`, at most `most`; who objected since is in none."""
        counts = dict(self._counted(asked))
        allowed = counts.pop(None, 0)
        suppressed = {reason: n for reason, n in counts.items() if reason is not None}
        for reason, n in objections.closed(asked, asked.use, partial(_close, self._snapshot, asked)).items():
            allowed -= n
            suppressed[reason] = suppressed.get(reason, 0) + n
        rows = self._rows(asked, objections, after, most + 1) if allowed else []
        return RankedList(rows[:most], len(rows) > most, allowed, dict(sorted(suppressed.items())))

    def _rows(self, asked: Ranking, objections: Objections, after: int, most: int) -> list[tuple[int, int, float]]:
        forbidden = objections.forbidden(asked.use)
        chosen, values = _chosen(self._snapshot, asked)
        sql = f"SELECT s.rank, s.customer, s.score {chosen} AND s.rank > ? AND {_ALLOWED} ORDER BY s.rank"
        found = self._snapshot.cursor(sql, [*values, after, asked.use.place + 1])
        return list(islice((row for row in found if row[1] not in forbidden), most))


def _chosen(snapshot: Snapshot, asked: Ranking) -> tuple[str, list[float]]:
    """FROM and WHERE of the rows that match, whether or not contact is allowed, and the values to bind."""
    tables, where = "FROM scores AS s", "WHERE s.model = ?"
    values = [float(snapshot.models[asked.model][0])]
    if asked.minimum is not None:
        where, values = f"{where} AND s.score >= ?", [*values, asked.minimum]
    if asked.segment is not None:
        number, size = snapshot.segments[asked.segment]
        if size * _SMALL < snapshot.counts["customers"]:  # few members: find their scores, then sort them
            tables = "FROM members AS m CROSS JOIN scores AS s"
            where = f"{where} AND m.segment = ? AND s.customer = m.customer"
        else:
            member = "SELECT 1 FROM members AS m WHERE m.segment = ? AND m.customer = s.customer"
            where = f"{where} AND EXISTS ({member})"
        values = [*values, float(number)]
    return f"{tables} {where}", values


def _count(snapshot: Snapshot, asked: Ranking) -> dict[str | None, int]:
    """Rows that match, by the reason why not; None for those who may be contacted."""
    chosen, values = _chosen(snapshot, asked)
    sql = f"SELECT substr(s.why, ?, 1), count(*) {chosen} GROUP BY 1"
    rows = snapshot.query(sql, [asked.use.place + 1, *values])
    return {snapshot.reasons.get(code[0]): n for code, n in rows}


def _close(snapshot: Snapshot, asked: Ranking, forbidden: Mapping[int, str]) -> dict[str, int]:
    """Of those whom the publication allows: how many of these customers, whom a live wish closes, by reason."""
    chosen, values = _chosen(snapshot, asked)
    closed: dict[str, int] = {}
    for part in chunks(sorted(forbidden)):
        marks = ", ".join("?" * len(part))
        sql = f"SELECT s.customer {chosen} AND {_ALLOWED} AND s.customer IN ({marks})"
        for (customer,) in snapshot.cursor(sql, [*values, asked.use.place + 1, *part]):
            closed[forbidden[customer]] = closed.get(forbidden[customer], 0) + 1
    return closed


_SMALL = 8  # a segment of less than an eighth of all customers is few
_ALLOWED = "substr(s.why, ?, 1) = x'00'"
