"""Computed traits: what a person wants to see of a customer at a glance, as numbers and words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from onefold_storage.schema import TRAITS as TABLE
from onefold_workers.feature_view import GOLDEN_ID
from onefold_workers.point_in_time import History, Tables

FAVOURITE_DAYS = 365


@dataclass(frozen=True)
class Trait:
    """A trait that is a feature under a name that people understand."""

    name: str
    doc: str
    feature: str


TRAITS = (
    Trait("recency_days", "days since the last purchase", "recency_days"),
    Trait("tenure_days", "days since the first purchase", "tenure_days"),
    Trait("usual_gap_days", "median days between purchases", "gap_median_days"),
    Trait("purchases_28d", "purchases in 28 days", "purchases_28"),
    Trait("purchases_365d", "purchases in 365 days", "purchases_365"),
    Trait("spend_28d", "money spent in 28 days, net of returns", "spend_28"),
    Trait("spend_90d", "money spent in 90 days, net of returns", "spend_90"),
    Trait("spend_365d", "money spent in 365 days, net of returns", "spend_365"),
    Trait("average_basket", "mean money a purchase in 180 days", "basket_mean"),
    Trait("items_per_basket", "mean lines a purchase in 180 days", "basket_lines"),
    Trait("categories_180d", "distinct categories bought in 180 days", "categories_180"),
    Trait("online_share", "share of purchases online in 180 days", "online_share"),
    Trait("campaigns_received", "campaigns received", "campaigns"),
    Trait("coupons_redeemed", "coupons redeemed", "coupons"),
    Trait("open_cases", "cases not closed", "cases_open"),
)
FAVOURITES = {
    "favourite_category": "category bought most often in 365 days",
    "favourite_department": "department bought from most often in 365 days",
    "main_channel": "channel of most purchases in 365 days",
}


def traits(features: pl.DataFrame, history: History, cutoff: datetime) -> pl.DataFrame:
    """Every customer's traits in the shape of `schema.TRAITS`, as of `cutoff`. Per partition.

    `features`: `features_at` of the built-in views at the same cut-off. A trait without a value has no row.
    """
    chosen = features.select(GOLDEN_ID, *(pl.col(t.feature).alias(t.name) for t in TRAITS))
    numbers = chosen.unpivot(index=GOLDEN_ID, variable_name="trait", value_name="number").drop_nulls("number")
    numbers = numbers.with_columns(text=pl.lit(None, pl.String))
    words = _favourites(history.before(cutoff), cutoff).with_columns(number=pl.lit(None, pl.Float64))
    as_of = pl.lit(cutoff).cast(pl.Datetime("us", "UTC")).alias("as_of")
    names = [n for n in TABLE.arrow.names if n != "as_of"]
    together = pl.concat([numbers.select(names), words.select(names)])
    return together.with_columns(as_of).select(TABLE.arrow.names).sort(GOLDEN_ID, "trait")


def _favourites(tables: Tables, cutoff: datetime) -> pl.DataFrame:
    since = pl.col("effective_at") >= cutoff - timedelta(days=FAVOURITE_DAYS)
    lines = tables.lines.filter(since)
    departments = tables.items.select("record_key", "department").unique("record_key", keep="any")
    bought = lines.join(departments, left_on="item_key", right_on="record_key", how="left")
    baskets = tables.baskets.filter(since, pl.col("visit"))
    found = [
        _most(lines, "category", "favourite_category"),
        _most(bought, "department", "favourite_department"),
        _most(baskets, "channel", "main_channel"),
    ]
    return pl.concat(pl.collect_all(found))


def _most(rows: pl.LazyFrame, column: str, trait: str) -> pl.LazyFrame:
    """The value most rows have; ties go to the larger amount, then by name."""
    counted = (
        rows.drop_nulls(column)
        .group_by(GOLDEN_ID, column)
        .agg(pl.len().alias("n"), pl.col("amount").sum().round(2))
    )
    first = counted.sort("n", "amount", column, descending=[True, True, False]).unique(
        GOLDEN_ID, keep="first", maintain_order=True
    )
    return first.select(GOLDEN_ID, trait=pl.lit(trait), text=pl.col(column).cast(pl.String))
