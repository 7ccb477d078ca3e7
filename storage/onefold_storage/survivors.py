"""Which golden ID answers for another: merged ones go on answering with their survivor. The one place that says so."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from onefold_storage.as_of import as_of
from onefold_storage.errors import NotFound
from onefold_storage.lake import Lake
from onefold_storage.schema import HISTORY, LINKS

_EVENT = ("golden_id", "event", "other_id", "happened_at")


def survivors(history: pl.DataFrame, living: pl.Series) -> pl.DataFrame:
    """golden_id, survivor, sorted: who answers for each ID that was merged away, however long the chain of merges.

    `history`: rows of `identity/history`, of all IDs or of some that hang together. `living`: golden IDs that have
    records, which answer for themselves. Of several merges of an ID the last one counts, and none after which it came
    back. Whoever stands at the end of a chain need not be living: it may have been erased.
    """
    back = pl.when(event="split").then("other_id").when(event="created").then("golden_id")
    revived = history.group_by(golden_id=back).agg(back=pl.col("happened_at").max()).drop_nulls("golden_id")
    last = history.filter(pl.col("other_id").is_not_null(), event="merged").sort("happened_at", maintain_order=True)
    step = (
        last.unique("golden_id", keep="last", maintain_order=True)
        .filter(~pl.col("golden_id").is_in(living.unique().implode()))
        .join(revived, on="golden_id", how="left")
        .filter(pl.col("back").is_null() | (pl.col("back") <= pl.col("happened_at")))
        .select("golden_id", survivor="other_id")
    )
    for _ in range(step.height.bit_length() + 1):  # each round doubles the length of chains that are resolved
        onward = step.select(survivor="golden_id", next="survivor")
        moved = step.join(onward, on="survivor", how="left")
        if moved["next"].null_count() == moved.height:
            break
        step = moved.select("golden_id", survivor=pl.coalesce("next", "survivor"))
    return step.sort("golden_id")


def survivor(lake: Lake, golden_id: str, at: datetime | None = None) -> tuple[str, frozenset[str]]:
    """The golden ID that answers for this one, and that one with all for which it answers.

    `at`: as things stood then; now, where it is None. Only what is told of the ID and of those that it hangs together
    with by merges is read.

    Raises:
        NotFound: no such golden ID was known; the message tells one that came later from one that never was.
    """
    events, kin = _kin(as_of(HISTORY.name, lake.scan(HISTORY.name), at), golden_id)
    links = as_of(LINKS.name, lake.scan(LINKS.name), at).filter(pl.col("golden_id").is_in(kin.implode()))
    living = links.select("golden_id").unique().collect()["golden_id"]
    if not events.height and not living.len():
        if at is not None and _came_later(lake, golden_id):
            raise NotFound(f"{golden_id}: this customer was not there yet at {at:%Y-%m-%d %H:%M:%S} UTC")
        raise NotFound(f"{golden_id}: no customer has or had this golden ID")
    answers = survivors(events, living)
    found = dict(answers.iter_rows()).get(golden_id, golden_id)
    return found, frozenset({found, *answers.filter(survivor=found)["golden_id"]})


def _kin(history: pl.LazyFrame, golden_id: str) -> tuple[pl.DataFrame, pl.Series]:
    """What is told of an ID and of all that hang together with it by merges, and those IDs: a round each step away."""
    rounds: list[pl.DataFrame] = []
    kin, new = {golden_id}, {golden_id}
    while new:
        of = pl.Series(sorted(new), dtype=pl.String).implode()
        told = history.filter(pl.col("golden_id").is_in(of) | pl.col("other_id").is_in(of)).select(_EVENT).collect()
        merges = told.filter(event="merged")
        rounds.append(told)
        new = {*merges["golden_id"], *merges["other_id"].drop_nulls()} - kin
        kin |= new
    return pl.concat(rounds).unique(), pl.Series(sorted(kin), dtype=pl.String)


def _came_later(lake: Lake, golden_id: str) -> bool:
    """Whether a golden ID is known at any time."""
    links = lake.scan(LINKS.name).filter(pl.col("golden_id") == golden_id)
    history = lake.scan(HISTORY.name).filter((pl.col("golden_id") == golden_id) | (pl.col("other_id") == golden_id))
    return any(not rows.head(1).collect().is_empty() for rows in (links, history))
