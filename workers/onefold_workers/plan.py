"""When a model is trained, tested and used: cut-offs and horizon from the span of the data.

Hold-out by time: the test cut-off is one horizon before the data's end, and every training label's horizon ends at
or before it, so that nothing the model learned from lies in what it is tested on. After the test it is fitted
again on all cut-offs whose horizon has passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from onefold_workers.coverage import covered
from onefold_workers.model import Model, NotTrainable
from onefold_workers.point_in_time import History

FRESH = timedelta(days=3)
SHORTEST = timedelta(days=7)


@dataclass(frozen=True)
class Plan:
    """When one model is trained, tested and used.

    `as_of`: scores are as of this moment. `test`: the hold-out's cut-off. `train`: those before it, latest first.
    `final`: cut-offs of the fit that is used. `share`: of customers to learn from, by a hash of their golden ID.
    `remark`: what people should know of the time it covers.
    """

    model: str
    as_of: datetime
    horizon: timedelta
    test: datetime
    train: tuple[datetime, ...]
    final: tuple[datetime, ...]
    share: float = 1.0
    remark: str = ""

    @property
    def days(self) -> float:
        """The horizon in days."""
        return self.horizon / timedelta(days=1)

    @property
    def labelled(self) -> tuple[datetime, ...]:
        """Every cut-off that needs labels, earliest first."""
        return tuple(sorted({*self.train, *self.final, self.test}))


def spans(history: History, now: datetime) -> pl.DataFrame:
    """Per kind of interaction and day before `now`: first, last (effective_at), customers. One partition's.

    `base` is the number of customers who have the kind at all, the same on each of its days.
    """
    rows = history.before(now).interactions
    base = rows.group_by("kind").agg(pl.col("golden_id").n_unique().cast(pl.Int64).alias("base"))
    days = rows.group_by("kind", pl.col("effective_at").dt.date().alias("day")).agg(
        pl.col("effective_at").min().alias("first"),
        pl.col("effective_at").max().alias("last"),
        pl.col("golden_id").n_unique().cast(pl.Int64).alias("customers"),
    )
    return days.join(base, on="kind").collect()


def plan(model: Model, found: Iterable[pl.DataFrame], now: datetime) -> Plan:
    """The plan of `model` for data whose partitions' `spans` were `found`.

    Raises:
        NotTrainable: a kind of interaction is missing, or too little time is covered.
    """
    partitions = list(found)
    kinds = pl.concat(partitions).filter(pl.col("kind").is_in(model.needs))
    missing = [k for k in model.needs if k not in set(kinds["kind"])]
    if missing:
        raise NotTrainable(f"{model.name}: needs interactions of kind {', '.join(missing)}, found none")
    found_in = {k: covered(_by_day(kinds, k)) for k in model.needs}
    first, last = max(c.first for c in found_in.values()), max(c.last for c in found_in.values())
    as_of = now if now - last <= FRESH else _midnight_after(last)
    # A day less than a full period must not cost a cut-off: records rarely begin at midnight.
    span = as_of - first + timedelta(days=1)
    horizon = min(model.horizon, timedelta(days=span.days // 3))
    if horizon < SHORTEST:
        raise NotTrainable(
            f"{model.name}: needs at least {3 * SHORTEST.days} days of {', '.join(model.needs)}, found {span.days}"
        )
    earliest = as_of - span + horizon
    test = as_of - horizon
    train = _back(test - horizon, earliest, model)
    final = _back(test, earliest, model)
    base = (
        pl.concat(p.unique("kind", maintain_order=True) for p in partitions)
        .group_by("kind")
        .agg(pl.col("base").sum())
    )
    customers = base.filter(pl.col("kind").is_in(model.needs))["base"].max()
    share = min(1.0, model.sample / int(customers or 1))  # type: ignore[arg-type]
    remark = "; ".join(
        f"{k} on days apart from {c.first:%Y-%m-%d} to {c.last:%Y-%m-%d} ({c.apart:,} by customer and day) is stray and "
        "moves no cut-off"
        for k, c in found_in.items()
        if c.apart
    )
    return Plan(model.name, as_of, horizon, test, train, final, share, remark)


def _by_day(kinds: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The days of `kind` over all partitions."""
    rows = kinds.filter(pl.col("kind") == kind).group_by("day")
    return rows.agg(pl.col("first").min(), pl.col("last").max(), pl.col("customers").sum())


def _back(latest: datetime, earliest: datetime, model: Model) -> tuple[datetime, ...]:
    steps = (latest - i * model.every for i in range(model.cutoffs))
    return tuple(c for i, c in enumerate(steps) if i == 0 or c >= earliest)


def _midnight_after(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
