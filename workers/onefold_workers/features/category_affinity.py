"""What a customer bought of each category: one row per customer and category."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from onefold_workers.feature_view import Feature, FeatureView
from onefold_workers.point_in_time import Tables


def _compute(tables: Tables, cutoff: datetime) -> pl.LazyFrame:
    days = (pl.lit(cutoff) - pl.col("effective_at")).dt.total_seconds() / 86400
    rows = tables.lines.drop_nulls("category").select("golden_id", "category", "effective_at", days=days)
    visits = rows.unique(["golden_id", "category", "effective_at"])
    age = pl.col("days")
    return visits.group_by("golden_id", "category").agg(
        bought_28=(age <= 28).sum(),
        bought_90=(age <= 90).sum(),
        bought_365=(age <= 365).sum(),
        bought_days=age.min(),
        bought_gap_days=(age.max() - age.min()) / (pl.len() - 1),
    )


VIEW = FeatureView(
    name="category_affinity",
    version=1,
    doc="What the customer bought of each category.",
    keys=("golden_id", "category"),
    features=(
        Feature(
            "bought_28", "purchases of it in 28 days", "bought it {bought_28:time} in 28 days", "habit", fill=0
        ),
        Feature(
            "bought_90", "purchases of it in 90 days", "bought it {bought_90:time} in 90 days", "habit", fill=0
        ),
        Feature(
            "bought_365", "purchases of it in 365 days", "bought it {bought_365:time} in a year", "habit", fill=0
        ),
        Feature(
            "bought_days",
            "days since it was last bought",
            "last bought {bought_days:day} ago[ (usual gap: {bought_gap_days:day})]",
            "due",
            "never bought it before",
        ),
        Feature(
            "bought_gap_days",
            "mean days between purchases of it",
            "last bought {bought_days:day} ago[ (usual gap: {bought_gap_days:day})]",
            "due",
            "bought it once at most",
        ),
    ),
    compute=_compute,
)
