"""What people's decisions mean for a run: which pairs of records must and cannot be one customer."""

from __future__ import annotations

import polars as pl

from onefold_storage.evidence import CANNOT, MUST, pins, standing


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
