"""What to offer a customer next."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from onefold_workers.model import Model
from onefold_workers.point_in_time import Tables


def _labels(future: Tables) -> pl.LazyFrame:
    return (
        future.lines.drop_nulls("category").select("golden_id", "category").unique().with_columns(label=pl.lit(1.0))
    )


def _popularity(_: float) -> pl.Expr:
    return pl.col("popularity_28")


def _own_habit(_: float) -> pl.Expr:
    return pl.col("bought_365") + pl.col("popularity_90") / 1000


MODEL = Model(
    name="next_best_offer",
    doc="Categories that a customer will buy in the next 28 days, those they know and those that are new to them.",
    kind="ranker",
    horizon=timedelta(days=28),
    needs=("purchase",),
    labels=_labels,
    eligible=pl.col("purchases_365") > 0,
    baseline=_popularity,
    baseline_doc="what most customers bought in the last 28 days",
    rivals={"what the customer bought most often in the last 365 days, then by popularity": _own_habit},
    cutoffs=1,
    sample=5_000,
)
