"""Since when a wish holds that comes without a time: its row lands again whenever anything else in it has changed.

A yes that was there from the first day, or stands as before, is of unknown age and lifts no refusal; nor does one whose
row had vanished and is back, as after an export that lacked it. One that a source was seen to change to, from a refusal,
holds from then on. A refusal keeps the time it landed.
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
    said, yes = ~pl.col("_gone"), pl.col("state") == GRANTED
    concerned = said & yes & pl.col("source").is_in(list(undated)).fill_null(False)
    before = pl.when(said).then(yes).forward_fill().shift(1).over(record)
    at = (
        pl.when(concerned & before.is_null())
        .then(UNKNOWN)
        .when(said & ~(concerned & before))
        .then("effective_at")
        .otherwise(None)  # as the yes before it
    )
    found = wishes.with_columns(_at=at)
    kept = pl.when(said).then(pl.col("_at").forward_fill().over(record)).otherwise("effective_at")
    return found.with_columns(effective_at=kept).drop("_at")
