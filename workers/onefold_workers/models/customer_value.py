"""What a customer will spend."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from onefold_workers.model import Model
from onefold_workers.point_in_time import Tables


def _labels(future: Tables) -> pl.LazyFrame:
    return future.baskets.group_by("golden_id").agg(label=pl.col("amount").sum())


def _past_spend(days: float) -> pl.Expr:
    return pl.col("spend_90").clip(0) * days / 90


def _usual_spend(days: float) -> pl.Expr:
    """Mean of the paces of 90, 180 and 365 days, and a trifle, so that it is positive for everybody.

    A window that reaches back beyond the first purchase ends there (90 days at least): else the paces of a short
    history, and of all early training cut-offs, would come out too low.
    """
    paces = [pl.col(f"spend_{d}").clip(0) / pl.col("tenure_days").clip(90, d) for d in (90, 180, 365)]
    return ((paces[0] + paces[1] + paces[2]) / 3).clip(1e-4) * days


def _longer(days: float) -> pl.Expr:
    return pl.col("spend_180").clip(0) * days / 180


MODEL = Model(
    name="customer_value",
    doc="Money that a customer who has bought before will spend in the next 90 days, net of returns.",
    kind="regressor",
    horizon=timedelta(days=90),
    needs=("purchase",),
    labels=_labels,
    eligible=pl.col("recency_days").is_not_null(),
    baseline=_past_spend,
    baseline_doc="what they spent in the last 90 days, for the same number of days",
    rivals={
        "what they spent in the last 180 days, for the same number of days": _longer,
        "the mean pace of the last 90, 180 and 365 days": _usual_spend,
    },
    scale=_usual_spend,
    scaled_by="spend_90",
    cutoffs=5,
)
