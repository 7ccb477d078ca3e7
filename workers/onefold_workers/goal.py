"""What a fit makes smallest, and by what it is measured, as the labels ask for.

A value is learned as its median: half of all customers like this one spend more and half less, and no large order
moves it. Where most customers have the same label (they spend nothing in the horizon), that is the median of nearly
everybody and says nothing of whom to call; then the mean is learned, and measured by the root mean square error, which
nothing but a good mean makes small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from onefold_workers.boosting import Loss
from onefold_workers.features import DECIMALS
from onefold_workers.model import Metric, Model

LABEL, SCALE = "label", "scale"
METRICS: dict[Loss, Metric] = {"log_loss": "auc", "absolute_error": "mae", "squared_error": "rmse"}
MOSTLY = 0.5


@dataclass(frozen=True)
class Goal:
    """`loss` is made smallest; `floor` is added to the scale of regressors that have one.

    A mean cannot be a multiple of what those who were away for long once spent: their pace is nearly 0, and what a
    few of them spend when they come back is not. With the floor it is.
    """

    loss: Loss
    floor: float = 0.0

    @property
    def metric(self) -> Metric:
        """What it is measured by."""
        return METRICS[self.loss]


def goal_of(model: Model, rows: pl.DataFrame) -> Goal:
    """The goal for training rows (`LABEL`, `SCALE`) of a classifier or regressor."""
    if model.kind == "classifier":
        return Goal("log_loss")
    most_common = rows[LABEL].value_counts()["count"].max()
    if int(most_common or 0) <= MOSTLY * rows.height:  # type: ignore[arg-type]
        return Goal("absolute_error")
    floor = 0.0 if model.scale is None else float(np.round(np.mean(rows[SCALE].to_numpy()), DECIMALS))
    return Goal("squared_error", floor)
