"""How good a model is on its hold-out, beside its baseline, with an interval.

AUC is the chance that a positive scores above a negative (Mann-Whitney; ties count half). Intervals are percentiles
of a bootstrap over customers (Efron, 1979) with a fixed seed; both scores are drawn with the same customers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from onefold_workers.additive import Floats
from onefold_workers.model import Metric

DRAWS = 300
SEED = 20_170_101
Measure = Callable[[Floats], float]
"""From weights (one a customer of the hold-out) to a figure."""


@dataclass(frozen=True)
class Figures:
    """Figures of one model on its hold-out.

    `value` and `baseline` in the metric's unit; `interval`: 95 % of `value`; `gain`: 95 % of how much better than
    the baseline (positive is better); `beats_baseline`: `gain` lies wholly above 0. `customers` and `positives` of
    the hold-out. `calibration`: mean distance of predicted and observed probability over ten equal groups.
    `rivals`: figures of further rules.
    """

    metric: Metric
    value: float
    baseline: float
    interval: tuple[float, float]
    gain: tuple[float, float]
    beats_baseline: bool
    customers: int
    positives: int
    calibration: float | None = None
    rivals: dict[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Figures:
        """The figures that `plain` wrote."""
        pairs = {k: (float(plain[k][0]), float(plain[k][1])) for k in ("interval", "gain")}
        return cls(**{**plain, **pairs})


def better(metric: Metric, value: float, than: float) -> float:
    """How much better `value` is; negative is worse."""
    return than - value if metric in ("mae", "rmse") else value - than


def figures(
    metric: Metric, labels: Floats, score: Floats, baseline: Floats, rivals: Mapping[str, Floats] | None = None
) -> Figures:
    """Figures of customers' scores; for `recall@10` scores, baselines and rivals are each customer's recall."""
    measures = [measure(metric, labels, s) for s in (score, baseline)]
    n, rng = len(score), np.random.default_rng(SEED)
    ones = np.ones(n)
    value, base = (m(ones) for m in measures)
    draws = np.empty((DRAWS, 2))
    for i in range(DRAWS):
        weights = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        draws[i] = [m(weights) for m in measures]
    draws = draws[~np.isnan(draws).any(axis=1)]
    gains = [better(metric, float(v), float(b)) for v, b in draws]
    low, high = np.percentile(draws[:, 0], [2.5, 97.5])
    gain = (float(np.percentile(gains, 2.5)), float(np.percentile(gains, 97.5)))
    calibration = calibration_error(labels, score) if metric == "auc" else None
    return Figures(
        metric,
        value,
        base,
        (float(low), float(high)),
        gain,
        gain[0] > 0,
        n,
        int((labels > 0).sum()),
        calibration,
        {n: measure(metric, labels, r)(ones) for n, r in (rivals or {}).items()},
    )


def measure(metric: Metric, labels: Floats, score: Floats) -> Measure:
    """The metric as a function of customers' weights."""
    if metric == "auc":
        return _auc(labels, score)
    if metric == "rmse":
        squares = (labels - score) ** 2
        return lambda weights: float(np.sqrt(np.average(squares, weights=weights)))
    each = np.abs(labels - score) if metric == "mae" else score
    return lambda weights: float(np.average(each, weights=weights))


def _auc(labels: Floats, score: Floats) -> Measure:
    _, place = np.unique(score, return_inverse=True)
    size = int(place.max()) + 1

    def auc(weights: Floats) -> float:
        positive = np.bincount(place, weights=weights * labels, minlength=size)
        negative = np.bincount(place, weights=weights * (1 - labels), minlength=size)
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative / 2
        return float((positive * below).sum() / pairs) if pairs else float("nan")

    return auc


def calibration_error(labels: Floats, probability: Floats, groups: int = 10) -> float:
    """Mean distance between predicted and observed probability over groups of equal size."""
    parts = np.array_split(np.argsort(probability, kind="stable"), groups)
    gaps = [(len(p), abs(float(probability[p].mean() - labels[p].mean()))) for p in parts if len(p)]
    return sum(n * gap for n, gap in gaps) / sum(n for n, _ in gaps)
