"""What time the data cover: the stretches with rows, without the few stray ones that lie apart at either end.

One purchase that a till dated years ahead, or a test order long after a shop's data end, must not move "now" for
everybody: every model would be asked about a time in which nobody buys.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

APART = timedelta(days=28)
"""Two days with rows belong to one stretch where less than this lies between them."""
FEW = 5
SMALL = 0.01
THIN = 0.1


@dataclass(frozen=True)
class Covered:
    """First and last moment with rows, and how many customer-days (a customer on a day) lie apart from them."""

    first: datetime
    last: datetime
    apart: int


def covered(days: pl.DataFrame) -> Covered:
    """What `days` (`first`, `last`, `customers` by day, one row or more) cover.

    The outermost stretch is stray while those left out hold less than 1 % of all customer-days, and it is small (less
    than five) or thin (less than a tenth of what the rest has a day).
    """
    days = days.sort("first")
    gap = (pl.col("first") - pl.col("last").shift(1)) >= APART
    stretches = (
        days.with_columns(stretch=gap.fill_null(value=False).cum_sum())
        .group_by("stretch", maintain_order=True)
        .agg(pl.col("first").min(), pl.col("last").max(), pl.col("customers").sum().alias("size"))
        .with_columns(days=(pl.col("last") - pl.col("first")) / timedelta(days=1) + 1)
    )
    total = _size(stretches)
    kept = stretches
    for at_end in (True, False):
        while kept.height > 1:
            edge, rest = (kept[-1:], kept[:-1]) if at_end else (kept[:1], kept[1:])
            if total - _size(rest) >= SMALL * total:
                break
            if _size(edge) >= FEW and _rate(edge) >= THIN * _rate(rest):
                break
            kept = rest
    first, last = kept["first"].min(), kept["last"].max()
    assert isinstance(first, datetime) and isinstance(last, datetime)
    return Covered(first, last, total - _size(kept))


def _size(stretches: pl.DataFrame) -> int:
    return int(stretches["size"].sum())


def _rate(stretches: pl.DataFrame) -> float:
    return _size(stretches) / float(stretches["days"].sum())
