"""Segments: groups of customers by rule. A rule is an expression over facts; the runner only evaluates it.

The life-cycle segments part everybody who ever bought by recency against their own rhythm, and by frequency and
spend against all other customers (RFM: recency, frequency, monetary value; Hughes, 1994): each is in exactly one.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from onefold_storage.schema import SEGMENTS as TABLE
from onefold_workers.feature_view import GOLDEN_ID

LIFE_CYCLE = "life cycle"
FACTS = (
    "recency_days",
    "tenure_days",
    "gap_mean_days",
    "purchases_90",
    "purchases_91_180",
    "purchases_180",
    "spend_180",
    "redemption_days",
    "online_share",
    "basket_mean",
)
"""The features that rules read; `members` adds `frequency_share` and `spend_share`: of those who bought in 180
days, the share that bought less often, or spent less."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Customers for whom `rule` is true; within a `group` the first rule that is true decides."""

    name: str
    doc: str
    rule: pl.Expr
    group: str = ""


_RECENCY, _GAP = pl.col("recency_days"), pl.col("gap_mean_days")
_RECENT, _BEFORE = pl.col("purchases_90"), pl.col("purchases_91_180")

SEGMENTS = (
    Segment("lapsed", "no purchase in six usual gaps (180 to 730 days)",
            (6 * _GAP).clip(180, 730).fill_null(180) < _RECENCY, LIFE_CYCLE),
    Segment("new", "first purchase in the last 56 days", pl.col("tenure_days") <= 56, LIFE_CYCLE),
    Segment("at_risk", "no purchase in three usual gaps (28 to 365 days)",
            (3 * _GAP).clip(28, 365).fill_null(90) < _RECENCY, LIFE_CYCLE),
    Segment("champions", "among the fifth that bought most often and the fifth that spent most in 180 days",
            (pl.col("frequency_share") >= 0.8) & (pl.col("spend_share") >= 0.8), LIFE_CYCLE),
    Segment("loyal", "among the half that bought more often in 180 days",
            pl.col("frequency_share") >= 0.5, LIFE_CYCLE),
    Segment("occasional", "buys now and then", _RECENCY.is_not_null(), LIFE_CYCLE),
    Segment("no_purchase_yet", "known, but never bought", pl.lit(True), LIFE_CYCLE),
    Segment("big_spenders", "among the tenth that spent most in 180 days", pl.col("spend_share") >= 0.9),
    Segment("growing", "at least half more purchases in 90 days than in the 90 before",
            (_BEFORE >= 3) & (_RECENT >= 1.5 * _BEFORE)),
    Segment("declining", "at most half the purchases in 90 days of the 90 before",
            (_BEFORE >= 3) & (_RECENT <= 0.5 * _BEFORE)),
    Segment("coupon_users", "redeemed coupons on at least two days", pl.col("redemption_days") >= 2),
    Segment("online", "at least half of the purchases of 180 days online", pl.col("online_share") >= 0.5),
)  # fmt: skip


def facts(features: pl.DataFrame) -> pl.DataFrame:
    """What rules read of each customer, from `features_at`: golden_id, as_of and `FACTS`. Per partition."""
    return features.select(GOLDEN_ID, "as_of", *FACTS)


def members(together: pl.DataFrame) -> pl.DataFrame:
    """Membership in the shape of `schema.SEGMENTS`, from the facts of all partitions."""
    bought = pl.when(pl.col("purchases_180") > 0)
    active = pl.col("purchases_180").gt(0).sum()
    shares = {"frequency_share": "purchases_180", "spend_share": "spend_180"}
    frame = together.with_columns(
        ((bought.then(pl.col(column)).rank("min") - 1) / active).alias(name) for name, column in shares.items()
    )
    groups: dict[str, list[Segment]] = {}
    for segment in SEGMENTS:
        groups.setdefault(segment.group or segment.name, []).append(segment)
    found = []
    for group in groups.values():
        names = [pl.when(s.rule.fill_null(False)).then(pl.lit(s.name)) for s in group]
        found.append(frame.select(GOLDEN_ID, pl.coalesce(names).alias("segment"), "as_of"))
    return pl.concat(found).drop_nulls("segment").select(TABLE.arrow.names).sort(GOLDEN_ID, "segment")
