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

from onefold_workers.model import Model, NotTrainable
from onefold_workers.point_in_time import History

FRESH = timedelta(days=3)
SHORTEST = timedelta(days=7)


@dataclass(frozen=True)
class Plan:
    """When one model is trained, tested and used.

    `as_of`: scores are as of this moment. `test`: the hold-out's cut-off. `train`: those before it, latest first.
    `final`: cut-offs of the fit that is used. `share`: of customers to learn from, by a hash of their golden ID.
    """

    model: str
    as_of: datetime
    horizon: timedelta
    test: datetime
    train: tuple[datetime, ...]
    final: tuple[datetime, ...]
    share: float = 1.0

    @property
    def days(self) -> float:
        """The horizon in days."""
        return self.horizon / timedelta(days=1)

    @property
    def labelled(self) -> tuple[datetime, ...]:
        """Every cut-off that needs labels, earliest first."""
        return tuple(sorted({*self.train, *self.final, self.test}))


def spans(history: History, now: datetime) -> pl.DataFrame:
    """Per kind of interaction: kind, first, last (effective_at before `now`), rows, customers. One partition's."""
    rows = history.before(now).interactions.group_by("kind")
    return rows.agg(
        pl.col("effective_at").min().alias("first"),
        pl.col("effective_at").max().alias("last"),
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col("golden_id").n_unique().cast(pl.Int64).alias("customers"),
    ).collect()


def plan(model: Model, found: Iterable[pl.DataFrame], now: datetime) -> Plan:
    """The plan of `model` for data whose partitions' `spans` were `found`.

    Raises:
        NotTrainable: a kind of interaction is missing, or too little time is covered.
    """
    kinds = pl.concat(list(found)).filter(pl.col("kind").is_in(model.needs))
    missing = [k for k in model.needs if k not in set(kinds["kind"])]
    if missing:
        raise NotTrainable(f"{model.name}: needs interactions of kind {', '.join(missing)}, found none")
    starts = kinds.group_by("kind").agg(pl.col("first").min(), pl.col("last").max(), pl.col("customers").sum())
    first, last = starts["first"].max(), starts["last"].max()
    assert isinstance(first, datetime) and isinstance(last, datetime)
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
    customers = int(starts["customers"].max() or 1)  # type: ignore[arg-type]
    return Plan(model.name, as_of, horizon, test, train, final, min(1.0, model.sample / customers))


def _back(latest: datetime, earliest: datetime, model: Model) -> tuple[datetime, ...]:
    steps = (latest - i * model.every for i in range(model.cutoffs))
    return tuple(c for i, c in enumerate(steps) if i == 0 or c >= earliest)


def _midnight_after(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
