"""What a feature view is: a description of numbers known about a customer at a cut-off.

A view says which features it has, what they mean and how they read in a reason; `compute` says how they come out
of the tables. It never filters by time itself: the executor (`point_in_time.py`) hands it only what was known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from onefold_workers.point_in_time import Tables

GOLDEN_ID = "golden_id"


@dataclass(frozen=True)
class Feature:
    """One number about a customer.

    `doc`: what it is, with its unit. `text`: how it reads in a reason, with other features of the same model in
    braces: `last purchase {recency_days:day} ago` (formats: `readable.py`). `absent`: the same for no value.
    `theme`: features that say the same thing share one; a score's reasons are given by theme. `fill`: value of a
    customer whom the view has no row for (0 for counts and sums; `None` where nothing is known).
    """

    name: str
    doc: str
    text: str
    theme: str
    absent: str = ""
    fill: float | None = None


@dataclass(frozen=True)
class FeatureView:
    """Features computed together, at a cut-off, keyed by `keys`.

    `compute(tables, cutoff)` gives one row per key with a column per feature; `tables` hold nothing that took
    effect at or after `cutoff`. Raise `version` when the meaning changes. `digest` is set on discovery: SHA-256 of
    the file.
    """

    name: str
    version: int
    doc: str
    features: tuple[Feature, ...]
    compute: Callable[[Tables, datetime], pl.LazyFrame]
    keys: tuple[str, ...] = (GOLDEN_ID,)
    digest: str = field(default="", compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(f.name for f in self.features)
