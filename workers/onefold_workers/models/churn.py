"""Who will stop buying."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from onefold_workers.model import Model
from onefold_workers.point_in_time import Tables


def _labels(future: Tables) -> pl.LazyFrame:
    bought = future.baskets.filter(pl.col("visit")).select("golden_id").unique()
    return bought.with_columns(label=pl.lit(0.0))


def _recency(_: float) -> pl.Expr:
    return pl.col("recency_days")


MODEL = Model(
    name="churn",
    doc="Probability that a customer who has bought before buys nothing in the next 28 days.",
    kind="classifier",
    horizon=timedelta(days=28),
    needs=("purchase",),
    labels=_labels,
    otherwise=1.0,
    eligible=pl.col("recency_days").is_not_null(),
    baseline=_recency,
    baseline_doc="the longer ago the last purchase, the likelier",
)
