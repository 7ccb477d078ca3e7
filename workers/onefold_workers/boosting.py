"""How additive models are learned: gradient boosting with trees of a single feature each.

scikit-learn's histogram gradient boosting under `interaction_cst="no_interactions"` does the learning on binned
values; its sum of trees is then read out, bin by bin, into tables. One thread: the same rows give the same model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from onefold_workers.additive import Additive, Floats, bins

VERSION = "additive-boosting-2"
"""Part of a model's fingerprint: raise it when the learner changes."""
Loss = Literal["log_loss", "absolute_error", "squared_error"]
"""What a fit makes smallest: the first is a classifier's; the others lead to the median, and to the mean."""
BINS = 100
ROUNDS = 400


@dataclass(frozen=True)
class Rows:
    """What is learned from: values (rows, features; NaN is missing), labels, weights."""

    values: Floats
    labels: Floats
    weights: Floats


def fit(names: tuple[str, ...], rows: Rows, *, loss: Loss, rounds: int) -> Additive:
    """Learn an additive model in `rounds` rounds; classifiers need both classes among the labels (0 and 1)."""
    edges = tuple(_edges(rows.values[:, j]) for j in range(len(names)))
    booster = _boosted(rows, edges, loss, rounds)
    return _tables(names, booster, edges, rows, classify=loss == "log_loss")


def best_rounds(train: Rows, check: Rows, *, loss: Loss) -> int:
    """How many rounds predict `check` best, up to `ROUNDS`, by the same loss."""
    classify = loss == "log_loss"
    edges = tuple(_edges(train.values[:, j]) for j in range(train.values.shape[1]))
    booster = _boosted(train, edges, loss, ROUNDS)
    codes = _codes(check.values, edges)
    with threadpool_limits(limits=1):
        stages = booster.staged_predict_proba(codes) if classify else booster.staged_predict(codes)
        losses = [_loss(s[:, 1] if classify else s, check, loss) for s in stages]
    return int(np.argmin(losses)) + 1


def _loss(predicted: Floats, rows: Rows, loss: Loss) -> float:
    if loss == "log_loss":
        p = np.clip(predicted, 1e-9, 1 - 1e-9)
        each = -(rows.labels * np.log(p) + (1 - rows.labels) * np.log(1 - p))
    else:
        each = np.abs(rows.labels - predicted) ** (1 if loss == "absolute_error" else 2)
    return float(np.average(each, weights=rows.weights))


def _edges(column: Floats) -> Floats:
    """At most BINS - 1 cuts half way between values, so that bins hold about as many rows each."""
    known = np.sort(column[~np.isnan(column)])
    distinct = np.unique(known)
    if len(distinct) < 2:
        return np.empty(0)
    if len(distinct) > BINS:
        at = np.linspace(0, len(known) - 1, BINS + 1)[1:-1].astype(np.intp)
        picked = np.searchsorted(distinct, np.unique(known[at]))
        picked = picked[picked < len(distinct) - 1]
    else:
        picked = np.arange(len(distinct) - 1)
    lower, upper = distinct[picked], distinct[picked + 1]
    middle = (lower + upper) / 2
    return np.unique(np.where(middle < upper, middle, lower))  # between neighbouring floats there is no middle


def _codes(values: Floats, edges: tuple[Floats, ...]) -> Floats:
    codes = np.empty(values.shape)
    for j, cut in enumerate(edges):
        codes[:, j] = bins(values[:, j], cut)
    return np.where(np.isnan(values), np.nan, codes)


def _boosted(rows: Rows, edges: tuple[Floats, ...], loss: Loss, rounds: int) -> Any:
    from sklearn.ensemble import (  # here: half a second that only who learns has to wait
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    classify = loss == "log_loss"
    kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    booster = kind(
        loss=loss,
        learning_rate=0.05 if classify else 0.1,
        max_iter=rounds,
        max_leaf_nodes=4,
        min_samples_leaf=int(np.clip(len(rows.labels) // 100, 5, 30)),
        l2_regularization=1.0,
        max_bins=min(255, BINS + 1),
        interaction_cst="no_interactions",
        early_stopping=False,
        random_state=0,
    )
    codes = _codes(rows.values, edges)
    codes[:, np.isnan(codes).all(axis=0)] = 0  # the learner refuses a column of nothing but missing values
    with threadpool_limits(limits=1):
        booster.fit(codes, rows.labels, sample_weight=rows.weights)
    return booster


def _tables(
    names: tuple[str, ...],
    booster: Any,
    edges: tuple[Floats, ...],
    rows: Rows,
    *,
    classify: bool,
) -> Additive:
    """Read the boosted trees out: one feature varies over its bins while the others stand at their first bin."""
    sizes = [len(e) + 2 for e in edges]
    grid = np.zeros((sum(sizes) + 1, len(edges)))
    start = 1
    for j, size in enumerate(sizes):
        grid[start : start + size, j] = [*range(size - 1), np.nan]
        start += size
    with threadpool_limits(limits=1):
        raw = booster.decision_function(grid) if classify else booster.predict(grid)
    base, start, effects = float(raw[0]), 1, []
    for j, size in enumerate(sizes):
        effect = raw[start : start + size] - raw[0]
        mean = float(np.average(effect[bins(rows.values[:, j], edges[j])], weights=rows.weights))
        effects.append(effect - mean)
        base += mean
        start += size
    return Additive(names, base, edges, tuple(effects), "logit" if classify else "identity")
