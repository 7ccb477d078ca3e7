"""Figures: the metrics agree with scikit-learn's, intervals hold, and beating a baseline means it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from onefold_workers import evaluation
from onefold_workers.evaluation import Figures, figures, measure

RNG = np.random.default_rng(1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 4)), min_size=2, max_size=60))
def test_auc_is_that_of_scikit_learn(rows: list[tuple[bool, int, int]]) -> None:
    labels, score, weights = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    value = measure("auc", labels, score)(weights)
    if len(set(labels)) < 2:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(roc_auc_score(labels, score, sample_weight=weights))


def test_a_clear_gain_beats_and_noise_does_not() -> None:
    labels = (RNG.random(800) < 0.3).astype(float)
    good, poor = labels + RNG.normal(size=800), labels * 0.2 + RNG.normal(size=800)
    found = figures("auc", labels, good, poor)
    assert found.beats_baseline
    assert found.gain[0] > 0
    assert found.interval[0] < found.value < found.interval[1]
    assert not figures("auc", labels, poor, poor + RNG.normal(0, 0.01, 800)).beats_baseline
    assert not figures("auc", labels, poor, good).beats_baseline


def test_a_smaller_error_is_better() -> None:
    labels = RNG.gamma(2, 50, 500)
    close, far = labels + RNG.normal(0, 5, 500), labels + RNG.normal(0, 20, 500)
    found = figures("mae", labels, close, far, {"zero": np.zeros(500)})
    assert found.value == pytest.approx(np.abs(labels - close).mean())
    assert found.beats_baseline
    assert found.rivals["zero"] == pytest.approx(labels.mean())


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for i in range(60):
        rng = np.random.default_rng(i)
        error = rng.exponential(10, 150)
        found = figures("mae", error, np.zeros(150), np.zeros(150))
        hits += found.interval[0] <= 10 <= found.interval[1]
    assert 51 <= hits <= 60


def test_calibration_error_by_hand() -> None:
    probability = np.repeat([0.1, 0.9], 50)
    labels = np.concatenate([np.zeros(50), np.ones(50)])
    assert evaluation.calibration_error(labels, probability) == pytest.approx(0.1)


def test_figures_survive_being_written() -> None:
    labels = (RNG.random(100) < 0.5).astype(float)
    found = figures("auc", labels, RNG.random(100), RNG.random(100), {"r": RNG.random(100)})
    assert Figures.read(json.loads(json.dumps(found.plain()))) == found


def test_figures_are_the_same_each_time() -> None:
    labels, score = (RNG.random(100) < 0.5).astype(float), RNG.random(100)
    assert figures("auc", labels, score, score[::-1]) == figures("auc", labels, score, score[::-1])
