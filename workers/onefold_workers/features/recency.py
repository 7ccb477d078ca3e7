"""How long ago a customer last bought, against their own rhythm."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from onefold_workers.feature_view import Feature, FeatureView
from onefold_workers.point_in_time import Tables

_LAST = "last purchase {recency_days:day} ago[ (usual gap: {gap_median_days:day})]"
_GAPS = "usually {gap_mean_days:day} between purchases"


def _compute(tables: Tables, cutoff: datetime) -> pl.LazyFrame:
    days = (pl.lit(cutoff) - pl.col("effective_at")).dt.total_seconds() / 86400
    visits = tables.baskets.filter(pl.col("visit")).select("golden_id", days=days)
    # One day's visits are one purchase day; days are counted back from the cut-off.
    gap = pl.col("days") - pl.col("days").shift(-1).over("golden_id", order_by=pl.col("days") * -1)
    dates = visits.group_by("golden_id", pl.col("days").floor().alias("day")).agg(pl.col("days").min())
    gaps = (
        dates.with_columns(gap=gap)
        .group_by("golden_id")
        .agg(
            recency_days=pl.col("days").min(),
            tenure_days=pl.col("days").max(),
            purchase_days=pl.len(),
            gap_mean_days=pl.col("gap").mean(),
            gap_median_days=pl.col("gap").median(),
            gap_max_days=pl.col("gap").max(),
            gap_spread_days=pl.col("gap").std(),
            gap_recent_days=pl.col("gap").sort_by("days").head(6).mean(),
        )
    )
    recency = pl.col("recency_days")
    return gaps.with_columns(
        overdue=recency / (pl.col("gap_mean_days") + 1),
        overdue_recent=recency / (pl.col("gap_recent_days") + 1),
        beyond_longest_days=recency - pl.col("gap_max_days"),
        overdue_spread=(recency - pl.col("gap_mean_days")) / (pl.col("gap_spread_days") + 1),
        gap_change=pl.col("gap_recent_days") / pl.col("gap_mean_days"),
        gap_regularity=pl.col("gap_spread_days") / pl.col("gap_mean_days"),
    )


def _feature(name: str, doc: str, text: str, theme: str) -> Feature:
    return Feature(name, doc, text, theme, absent="bought on one day only" if "gap" in text else "never bought")


VIEW = FeatureView(
    name="recency",
    version=1,
    doc="How long ago the last purchase was, and how that compares with the customer's own gaps.",
    features=(
        Feature("recency_days", "days since the last purchase", _LAST, "recency", "never bought"),
        Feature("tenure_days", "days since the first purchase", "customer for {tenure_days:day}", "tenure"),
        Feature("purchase_days", "days with a purchase", "bought on {purchase_days:day} so far", "rhythm", fill=0),
        _feature("gap_mean_days", "mean days between purchase days", _GAPS, "rhythm"),
        _feature("gap_median_days", "median days between purchase days", _GAPS, "rhythm"),
        _feature(
            "gap_max_days", "most days between purchase days", "longest gap so far: {gap_max_days:day}", "rhythm"
        ),
        _feature("gap_spread_days", "standard deviation of the gaps, days", _GAPS, "rhythm"),
        _feature(
            "gap_recent_days",
            "mean of the last five gaps, days",
            "lately {gap_recent_days:day} between purchases",
            "rhythm",
        ),
        _feature("overdue", "days since the last purchase over the mean gap", _LAST, "recency"),
        _feature("overdue_recent", "days since the last purchase over the recent gaps", _LAST, "recency"),
        _feature("beyond_longest_days", "days since the last purchase beyond the longest gap", _LAST, "recency"),
        _feature("overdue_spread", "days beyond the mean gap over the gaps' spread", _LAST, "recency"),
        _feature(
            "gap_change",
            "recent gaps over the mean gap",
            "lately {gap_recent_days:day} between purchases[ (usually {gap_mean_days:day})]",
            "rhythm",
        ),
        _feature("gap_regularity", "spread of the gaps over their mean", _GAPS, "rhythm"),
    ),
    compute=_compute,
)
