"""Tables as of a moment, answered from rows and their validity; never from Delta versions, which are vacuumed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from onefold_storage.errors import BadInput
from onefold_storage.schema import (
    DECLARATIONS,
    EVIDENCE,
    HISTORY,
    HISTORY_EDGES,
    HOUSEHOLDS,
    LINKS,
    OVERRIDES,
    SILVER,
)

_SILVER = {t.name for t in SILVER}
_VALID = {LINKS.name, HOUSEHOLDS.name}
_HAPPENED = {
    HISTORY.name: "happened_at",
    HISTORY_EDGES.name: "happened_at",
    EVIDENCE.name: "decided_at",
    OVERRIDES.name: "decided_at",
}
KEEPS_VALIDITY = (*sorted(_SILVER), *sorted(_VALID), *_HAPPENED, DECLARATIONS.name)
"""Tables whose rows say from when they hold."""


def moment(when: str | date | datetime) -> datetime:
    """A moment in UTC. A day stands for its end, a time without a zone is UTC.

    Raises:
        BadInput: the text is no ISO 8601 date or time.
    """
    if isinstance(when, str):
        try:
            when = date.fromisoformat(when) if len(when) == 10 else datetime.fromisoformat(when)
        except ValueError:
            raise BadInput(
                "as of: expected an ISO 8601 date or time such as 2017-06-30, found something else"
            ) from None
    if not isinstance(when, datetime):
        when = datetime.combine(when, time(), UTC) + timedelta(days=1, microseconds=-1)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)


def as_of(name: str, rows: pl.LazyFrame, at: datetime | None) -> pl.LazyFrame:
    """The rows of a table that held at a moment; now, where it is None.

    Silver: of each record the last version that had taken effect, deleted ones left out. Links and households: those
    valid then. History, evidence and overrides: what had happened. Declarations: the last version of each, removed
    ones left out.

    Raises:
        BadInput: the table keeps no validity.
    """
    if name in _SILVER:
        known = rows if at is None else rows.filter(pl.col("effective_at") <= at)
        ordered = known.sort("effective_at", "package_id", "row_id")
        return ordered.unique("record_key", keep="last", maintain_order=True).filter(~pl.col("deleted"))
    if name in _VALID:
        if at is None:
            return rows.filter(pl.col("valid_to").is_null())
        return rows.filter(pl.col("valid_from") <= at, pl.col("valid_to").is_null() | (pl.col("valid_to") > at))
    if name in _HAPPENED:
        return rows if at is None else rows.filter(pl.col(_HAPPENED[name]) <= at)
    if name == DECLARATIONS.name:
        known = rows if at is None else rows.filter(pl.col("registered_at") <= at)
        last = known.sort("version").unique(["kind", "name"], keep="last", maintain_order=True)
        return last.filter(pl.col("content").is_not_null())
    can = ", ".join(KEEPS_VALIDITY)
    raise BadInput(f"{name}: keeps no validity by row, so it cannot be read as of a date; {can} can")
