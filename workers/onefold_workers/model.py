"""What a model is: a description of what is predicted, for whom, from what, and what it must beat.

A model never reads the clock or filters by time: `plan.py` decides the cut-offs, `point_in_time.py` hands its
`labels` only what happened in the horizon, and `training.py` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import polars as pl

from onefold_storage.errors import BadInput
from onefold_workers.point_in_time import Tables

Kind = Literal["classifier", "regressor", "ranker"]
Metric = Literal["auc", "mae", "rmse", "recall@10"]

FEWEST = 20
"""Customers of training and of the hold-out below which figures say nothing."""
FEWEST_APART = 5
"""Customers among them who must differ from the rest: of each class, with a label other than the most common one,
who took something."""


class NotTrainable(BadInput):
    """The data cannot train this model; the message is the reason, for people."""


@dataclass(frozen=True, eq=False)
class Model:
    """One model.

    `kind` decides metric and score: a classifier's score is the label's probability (metric AUC), a regressor's the
    label's size (its median, metric mean absolute error; where most labels are 0 its mean, metric root mean square
    error: see `goal.py`), a ranker's the probability that a customer takes a category (metric recall among the first
    ten).
    `horizon`: how far it looks ahead; shortened where the data are too short. `needs`: kinds of interaction that
    must be there; cut-offs follow the span of theirs. `views`: names of the feature views it learns from; none
    means every view keyed by golden ID, the workspace's too.
    `labels(future)`: golden_id (a ranker's also category) and label, from tables that hold the horizon alone;
    whoever it has no row for gets `otherwise`. `eligible`: which customers, as an expression over the features.
    `baseline(days)`: the rule it must beat, as an expression over the features, for a horizon of that many days; a
    ranker's over `offering.PAIRS`. `rivals`: further rules by description, reported beside the baseline.
    `scale(days)`: regressors learn the label over this (positive) expression, and reasons tell it by the feature
    `scaled_by`. `every` and `cutoffs`: distance and greatest number of training cut-offs; `sample`: customers to
    learn from, at most. `digest` is set on discovery.
    """

    name: str
    doc: str
    kind: Kind
    horizon: timedelta
    needs: tuple[str, ...]
    labels: Callable[[Tables], pl.LazyFrame]
    baseline: Callable[[float], pl.Expr]
    baseline_doc: str
    views: tuple[str, ...] = ()
    otherwise: float = 0.0
    eligible: pl.Expr = field(default_factory=lambda: pl.lit(True))
    scale: Callable[[float], pl.Expr] | None = None
    scaled_by: str = ""
    rivals: Mapping[str, Callable[[float], pl.Expr]] = field(default_factory=dict)
    every: timedelta = timedelta(days=28)
    cutoffs: int = 6
    sample: int = 20_000
    digest: str = ""
