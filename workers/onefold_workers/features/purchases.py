"""How often a customer bought and how much they spent, in windows before the cut-off."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from onefold_workers.feature_view import Feature, FeatureView
from onefold_workers.point_in_time import Tables

WINDOWS = (7, 14, 28, 56, 90, 180, 365)


def _compute(tables: Tables, cutoff: datetime) -> pl.LazyFrame:
    days = (pl.lit(cutoff) - pl.col("effective_at")).dt.total_seconds() / 86400
    rows = tables.baskets.select("golden_id", "amount", "visit", days=days)
    visit, amount, age = pl.col("visit"), pl.col("amount"), pl.col("days")
    sums: dict[str, pl.Expr] = {}
    for w in WINDOWS:
        sums[f"purchases_{w}"] = (visit & (age <= w)).sum()
        sums[f"spend_{w}"] = amount.filter(age <= w).sum()
    earlier = (age > 28) & (age <= 56)
    sums |= {"purchases_29_56": (visit & earlier).sum(), "spend_29_56": amount.filter(earlier).sum()}
    earlier = (age > 90) & (age <= 180)
    sums |= {"purchases_91_180": (visit & earlier).sum(), "spend_91_180": amount.filter(earlier).sum()}
    sums["weeks_12"] = (age.filter(visit & (age <= 84)) // 7).n_unique()
    sums["months_active"] = (age.filter(visit) // 28).n_unique()
    sums["last_days"] = age.filter(visit).min()
    sums["tenure"] = age.filter(visit).max()
    frame = rows.group_by("golden_id").agg(**sums)
    return frame.with_columns(
        months_share=pl.col("months_active") / (pl.col("tenure") / 28).ceil().clip(1),
        purchases_trend=(pl.col("purchases_28") + 0.5) / (pl.col("purchases_29_56") + 0.5),
        purchases_trend_long=(pl.col("purchases_90") + 0.5) / (pl.col("purchases_91_180") + 0.5),
        spend_trend=_ratio(pl.col("spend_28"), pl.col("spend_29_56")),
        spend_trend_long=_ratio(pl.col("spend_90"), pl.col("spend_91_180")),
        missed_90=pl.col("last_days") * pl.col("purchases_90") / 90,
        missed_180=pl.col("last_days") * pl.col("purchases_180") / 180,
    )


def _ratio(new: pl.Expr, old: pl.Expr) -> pl.Expr:
    return pl.when((new + old) > 0).then(new / (new + old))


_MISSED_90 = "{missed_90:purchase} missing at their pace of 90 days"
_MISSED_180 = "{missed_180:purchase} missing at their pace of 180 days"
_TREND = "{purchases_28:purchase} in the last 28 days, {purchases_29_56} in the 28 before"
_TREND_LONG = "{purchases_90:purchase} in the last 90 days, {purchases_91_180} in the 90 before"
_SPENT = "spent {spend_28:money} in the last 28 days, {spend_29_56:money} in the 28 before"
_SPENT_LONG = "spent {spend_90:money} in the last 90 days, {spend_91_180:money} in the 90 before"


def _count(name: str, doc: str, text: str) -> Feature:
    return Feature(name, doc, text, "frequency", fill=0)


def _spend(name: str, doc: str, text: str) -> Feature:
    return Feature(name, doc, text, "spend", fill=0)


VIEW = FeatureView(
    name="purchases",
    version=1,
    doc="How often the customer bought and what they spent (net of returns) in windows before the cut-off.",
    features=(
        *(
            _count(f"purchases_{w}", f"purchases in the last {w} days", f"{{purchases_{w}:purchase}} in {w} days")
            for w in WINDOWS
        ),
        *(
            _spend(f"spend_{w}", f"money spent in the last {w} days", f"spent {{spend_{w}:money}} in {w} days")
            for w in WINDOWS
        ),
        _count("purchases_29_56", "purchases 29 to 56 days ago", _TREND),
        _spend("spend_29_56", "money spent 29 to 56 days ago", _SPENT),
        _count("purchases_91_180", "purchases 91 to 180 days ago", _TREND_LONG),
        _spend("spend_91_180", "money spent 91 to 180 days ago", _SPENT_LONG),
        _count(
            "weeks_12", "of the last 12 weeks, those with a purchase", "bought in {weeks_12} of the last 12 weeks"
        ),
        _count("months_active", "four-week periods with a purchase", "bought in {months_active:month} so far"),
        Feature(
            "months_share",
            "share of four-week periods since the first purchase that have one",
            "bought in {months_share:%} of the months since the first purchase",
            "frequency",
        ),
        Feature("purchases_trend", "purchases of the last 28 days over those of the 28 before", _TREND, "trend"),
        Feature("purchases_trend_long", "purchases of 90 days over those of the 90 before", _TREND_LONG, "trend"),
        Feature(
            "spend_trend", "last 28 days' share of the spend of 56 days", _SPENT, "trend", "no spend in 56 days"
        ),
        Feature(
            "spend_trend_long",
            "last 90 days' share of the spend of 180 days",
            _SPENT_LONG,
            "trend",
            "no spend in 180 days",
        ),
        Feature(
            "missed_90",
            "purchases one would expect since the last, at 90 days' pace",
            _MISSED_90,
            "recency",
        ),
        Feature(
            "missed_180",
            "purchases one would expect since the last, at 180 days' pace",
            _MISSED_180,
            "recency",
        ),
    ),
    compute=_compute,
)
