"""Campaigns a customer was reached by, and what they redeemed."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from onefold_workers.feature_view import Feature, FeatureView
from onefold_workers.point_in_time import Tables


def _compute(tables: Tables, cutoff: datetime) -> pl.LazyFrame:
    days = (pl.lit(cutoff) - pl.col("effective_at")).dt.total_seconds() / 86400
    sent, redeemed = pl.col("kind") == "campaign_sent", pl.col("kind") == "coupon_redeemed"
    age = pl.col("days")
    campaign = pl.coalesce("related_key", "item_key")
    rows = tables.interactions.filter(sent | redeemed).with_columns(days=days, campaign=campaign)
    frame = rows.group_by("golden_id").agg(
        campaigns=sent.sum(),
        campaigns_28=(sent & (age <= 28)).sum(),
        campaigns_56=(sent & (age <= 56)).sum(),
        campaign_days=age.filter(sent).min(),
        coupons=redeemed.sum(),
        coupons_90=(redeemed & (age <= 90)).sum(),
        coupon_days=age.filter(redeemed).min(),
        redemption_days=pl.col("effective_at").filter(redeemed).dt.date().n_unique(),
        campaigns_answered=pl.col("campaign").filter(redeemed).n_unique(),
    )
    # A twentieth of an answer to one campaign more: a first answer to a first campaign does not count as 100 %.
    return frame.with_columns(response_rate=(pl.col("campaigns_answered") + 0.05) / (pl.col("campaigns") + 1))


_ANSWERED = "redeemed coupons of {campaigns_answered} of {campaigns:campaign}"


def _count(name: str, doc: str, text: str, theme: str) -> Feature:
    return Feature(name, doc, text, theme, fill=0)


VIEW = FeatureView(
    name="campaigns",
    version=1,
    doc="Campaigns that reached the customer and the coupons they redeemed.",
    features=(
        _count("campaigns", "campaigns received so far", "received {campaigns:campaign} so far", "campaigns"),
        _count(
            "campaigns_28",
            "campaigns received in the last 28 days",
            "{campaigns_28:campaign} in 28 days",
            "campaigns",
        ),
        _count(
            "campaigns_56",
            "campaigns received in the last 56 days",
            "{campaigns_56:campaign} in 56 days",
            "campaigns",
        ),
        Feature(
            "campaign_days",
            "days since the last campaign",
            "last campaign {campaign_days:day} ago",
            "campaigns",
            "never received a campaign",
        ),
        _count("coupons", "coupons redeemed so far", "redeemed {coupons:coupon} so far", "coupons"),
        _count(
            "coupons_90",
            "coupons redeemed in the last 90 days",
            "redeemed {coupons_90:coupon} in 90 days",
            "coupons",
        ),
        Feature(
            "coupon_days",
            "days since the last redemption",
            "last redeemed a coupon {coupon_days:day} ago",
            "coupons",
            "never redeemed a coupon",
        ),
        _count("redemption_days", "days with a redemption", "redeemed coupons on {redemption_days:day}", "coupons"),
        _count("campaigns_answered", "campaigns with a redemption", _ANSWERED, "coupons"),
        Feature("response_rate", "campaigns answered over campaigns received", _ANSWERED, "coupons", fill=0.05),
    ),
    compute=_compute,
)
