"""How additive models are learned: gradient boosting with trees of a single feature each.

scikit-learn's histogram gradient boosting under `interaction_cst="no_interactions"` does the learning on binned
values; its sum of trees is then read out, bin by bin, into tables. One thread: the same rows give the same model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from onefold_workers.additive import Additive, Floats, bins

VERSION = "additive-boosting-1"
"""Part of a model's fingerprint: raise it when the learner changes."""
BINS = 100
ROUNDS = 400


@dataclass(frozen=True)
class Rows:
    """What is learned from: values (rows, features; NaN is missing), labels, weights."""

    values: Floats
    labels: Floats
    weights: Floats


def fit(names: tuple[str, ...], rows: Rows, *, classify: bool, rounds: int) -> Additive:
    """Learn an additive model in `rounds` rounds; classifiers need both classes among the labels (0 and 1)."""
    edges = tuple(_edges(rows.values[:, j]) for j in range(len(names)))
    booster = _boosted(rows, edges, classify, rounds)
    return _tables(names, booster, edges, rows, classify)


def best_rounds(train: Rows, check: Rows, *, classify: bool) -> int:
    """How many rounds predict `check` best, up to `ROUNDS`: by log loss, or absolute error."""
    edges = tuple(_edges(train.values[:, j]) for j in range(train.values.shape[1]))
    booster = _boosted(train, edges, classify, ROUNDS)
    codes = _codes(check.values, edges)
    with threadpool_limits(limits=1):
        stages = booster.staged_predict_proba(codes) if classify else booster.staged_predict(codes)
        losses = [_loss(s[:, 1] if classify else s, check, classify) for s in stages]
    return int(np.argmin(losses)) + 1


def _loss(predicted: Floats, rows: Rows, classify: bool) -> float:
    if classify:
        p = np.clip(predicted, 1e-9, 1 - 1e-9)
        each = -(rows.labels * np.log(p) + (1 - rows.labels) * np.log(1 - p))
    else:
        each = np.abs(rows.labels - predicted)
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
    return np.unique((distinct[picked] + distinct[picked + 1]) / 2)


def _codes(values: Floats, edges: tuple[Floats, ...]) -> Floats:
    codes = np.empty(values.shape)
    for j, cut in enumerate(edges):
        codes[:, j] = bins(values[:, j], cut)
    return np.where(np.isnan(values), np.nan, codes)


def _boosted(rows: Rows, edges: tuple[Floats, ...], classify: bool, rounds: int) -> Any:
    from sklearn.ensemble import (  # here: half a second that only who learns has to wait
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    booster = kind(
        loss="log_loss" if classify else "absolute_error",
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
