"""Who answers campaigns."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from onefold_workers.model import Model
from onefold_workers.point_in_time import Tables


def _labels(future: Tables) -> pl.LazyFrame:
    redeemed = future.interactions.filter(pl.col("kind") == "coupon_redeemed").select("golden_id").unique()
    return redeemed.with_columns(label=pl.lit(1.0))


def _response_rate(_: float) -> pl.Expr:
    return pl.col("response_rate")


def _coupons(_: float) -> pl.Expr:
    return pl.col("coupons")


MODEL = Model(
    name="campaign_response",
    doc="Probability that a customer whom campaigns have reached redeems a coupon in the next 56 days.",
    kind="classifier",
    horizon=timedelta(days=56),
    needs=("campaign_sent", "coupon_redeemed"),
    labels=_labels,
    eligible=pl.col("campaigns") > 0,
    baseline=_response_rate,
    baseline_doc="the share of past campaigns that the customer answered",
    rivals={"coupons redeemed so far": _coupons},
)
