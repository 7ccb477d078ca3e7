"""What people decided about records, and what it means for a run: which pairs must and cannot be one, which record
keeps which golden ID. Decisions are rows of `identity/evidence`; the latest on a pair counts, and can be taken back.
"""

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


def obeyed(evidence: pl.DataFrame) -> pl.DataFrame:
    """What `resolve` takes as evidence: the pairs that hold, and what the pins come to.

    Records pinned to one golden ID are one customer, those pinned to different ones are not.
    """
    held = standing(evidence).select("left_key", "right_key", "verdict", "decided_at")
    pinned = pins(evidence)
    if pinned.height < 2:
        return held
    two = pinned.join(pinned, how="cross", suffix="_b").filter(pl.col("record_key") < pl.col("record_key_b"))
    implied = two.select(
        left_key="record_key",
        right_key="record_key_b",
        verdict=pl.when(pl.col("golden_id") == pl.col("golden_id_b")).then(pl.lit(MUST)).otherwise(pl.lit(CANNOT)),
        decided_at=pl.lit(evidence["decided_at"].max(), dtype=evidence.schema["decided_at"]),
    )
    return pl.concat([held.join(implied, on=["left_key", "right_key"], how="anti"), implied])
