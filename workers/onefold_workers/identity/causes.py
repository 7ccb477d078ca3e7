"""Why golden IDs merged and split: the edges and decisions that run across each merge and each split."""

from __future__ import annotations

import polars as pl

from onefold_storage.evidence import CANNOT, MUST
from onefold_storage.schema import HISTORY, HISTORY_EDGES

MOST = 10
"""Edges kept of one event, the heaviest first."""
_SHAPE = pl.Schema(HISTORY_EDGES.arrow)
_EVENT = ["event", "golden_id", "other_id"]


def with_causes(
    history: pl.DataFrame,
    before: pl.DataFrame,
    after: pl.DataFrame,
    edges: pl.DataFrame,
    decisions: pl.DataFrame,
    cause: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events with their cause, and the rows of `identity/history_edges` behind them.

    `before`, `after`: record_key, golden_id of the links that held and that hold. `edges`: as `identity/edges`.
    `decisions`: left_key, right_key, verdict of those in force. `cause`: what is said of an event that no decision
    runs across. A merge has the edges that now hold the merged ID's records to others of the survivor's; a split
    those that were not enough, and the decisions that it cannot be one.
    """
    events = history.filter(pl.col("event") != "created").select(*_EVENT, "happened_at")
    if not events.height:
        return history.with_columns(cause=pl.lit(cause)), pl.DataFrame(schema=_SHAPE)
    touched = pl.concat([events["golden_id"], events["other_id"]]).unique()
    moves = after.rename({"golden_id": "new"}).join(
        before.rename({"golden_id": "old"}), on="record_key", how="left"
    )
    moves = moves.filter(pl.col("new").is_in(touched.implode()) | pl.col("old").is_in(touched.implode()))
    said = decisions.select("left_key", "right_key", match_weight=pl.lit(None, dtype=pl.Float64), rule="verdict")
    pairs = pl.concat([edges.select("left_key", "right_key", "match_weight", "rule"), said])
    for side in ("left", "right"):
        named = moves.rename({"record_key": f"{side}_key", "old": f"{side}_old", "new": f"{side}_new"})
        pairs = pairs.join(named, on=f"{side}_key", how="inner")
    behind = pl.concat([_merges(pairs, events), _splits(pairs, events)])
    first = behind.sort(
        [*_EVENT, "match_weight", "left_key", "right_key"],
        descending=[False] * 3 + [True, False, False],
        nulls_last=False,
    )
    first = first.group_by(_EVENT, maintain_order=True).head(MOST)
    decided = behind.filter(pl.col("rule").is_in([MUST, CANNOT])).select(_EVENT).unique()
    caused = history.join(
        decided.with_columns(_by=pl.lit(value=True)), on=_EVENT, how="left", maintain_order="left"
    )
    told = pl.when("_by").then(pl.lit("decision")).otherwise(pl.lit(cause))
    return caused.with_columns(cause=told).select(*HISTORY.arrow.names), first.select(*_SHAPE)


def _merges(pairs: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Pairs across a merge: one of the merged ID's and one that was not, or a new record and one of the survivor's."""
    merged = events.filter(pl.col("event") == "merged")
    within = pairs.filter((pl.col("left_new") == pl.col("right_new")) & (pl.col("rule") != CANNOT))
    across = within.join(merged, left_on="left_new", right_on="other_id", how="inner").rename(
        {"left_new": "other_id"}
    )
    gone, kept = pl.col("golden_id"), pl.col("other_id")
    left, right = pl.col("left_old").fill_null(""), pl.col("right_old").fill_null("")
    bridged = ((left == "") & (right == kept)) | ((right == "") & (left == kept))
    return across.filter(((left == gone) != (right == gone)) | bridged).select(*_SHAPE)


def _splits(pairs: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Pairs of records that were one customer's and are not any more: one stays, one leaves for the event's other ID."""
    split = events.filter(pl.col("event") == "split")
    parted = pairs.filter((pl.col("left_old") == pl.col("right_old")) & (pl.col("left_new") != pl.col("right_new")))
    parted = parted.filter(pl.col("rule") != MUST)
    across = parted.join(split, left_on="left_old", right_on="golden_id", how="inner").rename(
        {"left_old": "golden_id"}
    )
    other = pl.col("other_id")
    return across.filter((pl.col("left_new") == other) != (pl.col("right_new") == other)).select(*_SHAPE)
