"""What a customer's purchases look like: size, variety, channel, returns."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from onefold_workers.feature_view import Feature, FeatureView
from onefold_workers.point_in_time import Tables

DAYS = 180
_ONLINE = ("web", "app", "online", "shop", "mobile")


def _compute(tables: Tables, cutoff: datetime) -> pl.LazyFrame:
    since = pl.col("effective_at") >= cutoff - timedelta(days=DAYS)
    visit, amount = pl.col("visit"), pl.col("amount")
    baskets = (
        tables.baskets.filter(since)
        .group_by("golden_id")
        .agg(
            basket_mean=amount.filter(visit).mean(),
            basket_median=amount.filter(visit).median(),
            basket_spread=amount.filter(visit).std(),
            basket_largest=amount.filter(visit).max(),
            basket_lines=pl.col("lines").filter(visit).mean(),
            basket_quantity=pl.col("quantity").filter(visit).mean(),
            online_share=pl.col("channel").filter(visit).is_in(_ONLINE).mean(),
            weekend_share=(pl.col("effective_at").filter(visit).dt.weekday() >= 6).mean(),
            returns_share=(~visit).mean(),
        )
    )
    lines = (
        tables.lines.filter(since)
        .group_by("golden_id")
        .agg(
            items_180=pl.col("item_key").drop_nulls().n_unique(),
            categories_180=pl.col("category").drop_nulls().n_unique(),
        )
    )
    return baskets.join(lines, on="golden_id", how="left")


_NONE = f"no purchase in {DAYS} days"
_SIZE = "usually spends {basket_median:money} a purchase (on average {basket_mean:money})"


def _feature(name: str, doc: str, text: str, theme: str) -> Feature:
    return Feature(name, f"{doc}, in the last {DAYS} days", text, theme, absent=_NONE)


VIEW = FeatureView(
    name="baskets",
    version=1,
    doc=f"What the purchases of the last {DAYS} days look like.",
    features=(
        _feature("basket_mean", "mean money a purchase", _SIZE, "basket"),
        _feature("basket_median", "median money a purchase", _SIZE, "basket"),
        _feature("basket_spread", "standard deviation of the money a purchase", _SIZE, "basket"),
        _feature("basket_largest", "largest purchase", "largest purchase: {basket_largest:money}", "basket"),
        _feature("basket_lines", "mean lines a purchase", "{basket_lines:item} a purchase", "basket"),
        _feature("basket_quantity", "mean quantity a purchase", "{basket_quantity:piece} a purchase", "basket"),
        _feature("online_share", "share of purchases online", "{online_share:%} of purchases online", "channel"),
        _feature(
            "weekend_share", "share at weekends", "{weekend_share:%} of purchases at weekends", "time of week"
        ),
        _feature("returns_share", "share of returns", "{returns_share:%} of baskets were returns", "returns"),
        _feature("items_180", "distinct items bought", f"{{items_180}} different items in {DAYS} days", "variety"),
        _feature(
            "categories_180",
            "distinct categories bought",
            f"{{categories_180}} categories in {DAYS} days",
            "variety",
        ),
    ),
    compute=_compute,
)
