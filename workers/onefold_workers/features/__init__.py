"""Feature views, one file each, and the executor that computes them as of a cut-off."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import polars as pl

from onefold_storage.errors import BadContract
from onefold_workers import discovery
from onefold_workers.feature_view import GOLDEN_ID, Feature, FeatureView
from onefold_workers.point_in_time import History, Tables

__all__ = ["Feature", "FeatureView", "History", "Tables", "discover", "features_at", "population"]
DECIMALS = 6
_BOUNDARY = 0.7320508


def discover(folder: Path | None = None) -> dict[str, FeatureView]:
    """Every feature view, built in or of the workspace's `folder` (its `features/`), by name.

    Raises:
        BadContract: a file exports no view, or the name of a view or a feature stands twice.
    """
    found = discovery.discover("VIEW", FeatureView, sys.modules[__name__], folder)
    owner: dict[str, str] = {}
    for view in found.values():
        for name in view.names:
            if name in owner:
                raise BadContract(f"feature {name!r} of view {view.name} is already one of view {owner[name]}")
            owner[name] = view.name
    return found


def features_at(views: Iterable[FeatureView], history: History, cutoff: datetime) -> pl.DataFrame:
    """The views' features of every customer known before `cutoff`, which is the column `as_of`.

    Gives `golden_id`, `as_of` and one Float64 column per feature, one row per customer, sorted; `views` are keyed
    by golden ID alone. Values are rounded to six decimals, so that sums taken in another order come out equal.
    """
    tables = history.before(cutoff)
    frame = population(tables)
    for view in views:
        frame = frame.join(_computed(view, tables, cutoff), on=GOLDEN_ID, how="left")
        frame = frame.with_columns(pl.col(f.name).fill_null(f.fill) for f in view.features if f.fill is not None)
    as_of = pl.lit(cutoff).cast(pl.Datetime("us", "UTC"))
    return frame.sort(GOLDEN_ID).select(GOLDEN_ID, as_of.alias("as_of"), pl.exclude(GOLDEN_ID)).collect()


def rows_at(view: FeatureView, history: History, cutoff: datetime) -> pl.DataFrame:
    """A view's own rows as of `cutoff`, sorted by its keys: for views with more keys than the golden ID."""
    return _computed(view, history.before(cutoff), cutoff).sort(view.keys).collect()


def population(tables: Tables) -> pl.LazyFrame:
    """The golden IDs that anything is known of."""
    known = (t.select(GOLDEN_ID) for t in (tables.customers, tables.interactions, tables.cases))
    return pl.concat(known).drop_nulls().unique()


def _computed(view: FeatureView, tables: Tables, cutoff: datetime) -> pl.LazyFrame:
    numbers = (pl.col(n).cast(pl.Float64) for n in view.names)
    return view.compute(tables, cutoff).select(*view.keys, *(rounded(n) for n in numbers))


def rounded(number: pl.Expr) -> pl.Expr:
    """Six decimals; null where it is not finite.

    Sums of floats differ in their last bits with the order they are taken in. Rounding half up would let them differ
    still where an average of cents ends in a half, so the boundary lies where no average ends.
    """
    scale = 10**DECIMALS
    return pl.when(number.is_finite()).then((number * scale + _BOUNDARY).floor() / scale)
