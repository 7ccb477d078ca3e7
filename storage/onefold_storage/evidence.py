"""Which of people's decisions hold: the latest on a pair of records, and on a record's golden ID, counts."""

from __future__ import annotations

import polars as pl

MUST, CANNOT, WITHDRAWN = "must_link", "cannot_link", "withdrawn"
PINNED, UNPINNED = "pinned", "unpinned"


def standing(evidence: pl.DataFrame) -> pl.DataFrame:
    """The decisions on pairs that hold: the last row of each pair of records, in either order, none taken back.

    Columns as in the table, with `left_key` < `right_key`.
    """
    low, high = pl.min_horizontal("left_key", "right_key"), pl.max_horizontal("left_key", "right_key")
    pairs = evidence.filter(
        pl.col("verdict").is_in([MUST, CANNOT, WITHDRAWN]) & (pl.col("left_key") != pl.col("right_key"))
    )
    ordered = pairs.with_columns(left_key=low, right_key=high).sort("decided_at", maintain_order=True)
    last = ordered.unique(["left_key", "right_key"], keep="last", maintain_order=True)
    return last.filter(pl.col("verdict") != WITHDRAWN).sort("left_key", "right_key")


def pins(evidence: pl.DataFrame) -> pl.DataFrame:
    """record_key, golden_id: the records whose customer is to have this golden ID."""
    said = evidence.filter(pl.col("verdict").is_in([PINNED, UNPINNED])).sort("decided_at", maintain_order=True)
    last = said.unique("left_key", keep="last", maintain_order=True).filter(pl.col("verdict") == PINNED)
    return last.select(record_key="left_key", golden_id="right_key").sort("record_key")
