"""Since when a wish holds that comes without a time: its row lands again whenever anything else in it has changed.

A yes that was there from the first day, or stands as before, is of unknown age and lifts no refusal. One that a
source was seen to change to, from a refusal or from silence, holds from then on. A refusal keeps the time it landed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

GRANTED = "GRANTED"
UNKNOWN = pl.lit(0).cast(pl.Datetime("us", "UTC"))
"""The time of what may be of any age: before every other."""


def known_since(wishes: pl.DataFrame, record: Sequence[str], undated: Collection[str]) -> pl.DataFrame:
    """`wishes` with `effective_at` as said above, where `source` is one of `undated`.

    `wishes`: every version, in the order of time, with `state`, `effective_at` and `_gone` (deleted). `record`: the
    columns of one wish of one record.
    """
    if not undated or "source" not in wishes.columns:
        return wishes
    granted = (pl.col("state") == GRANTED) & ~pl.col("_gone")
    concerned = granted & pl.col("source").is_in(list(undated)).fill_null(False)
    before = granted.shift(1).over(record)
    at = (
        pl.when(concerned & before.is_null())
        .then(UNKNOWN)
        .when(concerned & before)
        .then(None)
        .otherwise("effective_at")
    )
    return wishes.with_columns(effective_at=at).with_columns(pl.col("effective_at").forward_fill().over(record))
