"""Which golden ID answers for another: merged ones go on answering with their survivor."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from onefold_storage.as_of import as_of
from onefold_storage.errors import NotFound
from onefold_storage.lake import Lake
from onefold_storage.schema import HISTORY, LINKS


def survivor(lake: Lake, golden_id: str, at: datetime | None = None) -> tuple[str, frozenset[str]]:
    """The golden ID that answers for this one, and that one with all that were merged into it.

    `at`: as things stood then; now, where it is None. An ID that has records answers for itself, whatever was
    merged before: a split brought it back.

    Raises:
        NotFound: no such golden ID was known; the message tells one that came later from one that never was.
    """
    linked = set(as_of(LINKS.name, lake.scan(LINKS.name), at).select("golden_id").unique().collect()["golden_id"])
    history = as_of(HISTORY.name, lake.scan(HISTORY.name), at).sort("happened_at").collect()
    known = linked | set(history["golden_id"]) | set(history["other_id"].drop_nulls())
    if golden_id not in known:
        if at is not None and _came_later(lake, golden_id):
            raise NotFound(f"{golden_id}: this customer was not there yet at {at:%Y-%m-%d %H:%M:%S} UTC")
        raise NotFound(f"{golden_id}: no customer has or had this golden ID")
    merges = history.filter(pl.col("event") == "merged").select("golden_id", "other_id").rows()
    into = {gone: kept for gone, kept in merges if gone not in linked}
    found = golden_id
    while found in into:
        found = into.pop(found)
    family = {found}
    while more := {gone for gone, kept in merges if kept in family and gone not in family | linked}:
        family |= more
    return found, frozenset(family)


def _came_later(lake: Lake, golden_id: str) -> bool:
    """Whether a golden ID is known at any time."""
    links = lake.scan(LINKS.name).filter(pl.col("golden_id") == golden_id)
    history = lake.scan(HISTORY.name).filter((pl.col("golden_id") == golden_id) | (pl.col("other_id") == golden_id))
    return any(not rows.head(1).collect().is_empty() for rows in (links, history))
