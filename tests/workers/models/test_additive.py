"""Additive models: tables that are the boosted trees, that add up, and that survive being written."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onefold_workers import boosting
from onefold_workers.additive import Additive, bins
from onefold_workers.boosting import Rows

NAMES = ("a", "b", "c", "constant", "empty")


def _data(n: int = 1500, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    x[:, 1] = rng.integers(0, 6, n)
    x[rng.random(n) < 0.2, 2] = np.nan
    x[:, 3], x[:, 4] = 7.0, np.nan
    logit = 1.5 * np.sin(2 * x[:, 0]) + 0.4 * x[:, 1] + np.where(np.isnan(x[:, 2]), 1.0, -x[:, 2])
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    return Rows(x, y, np.ones(n))


@pytest.fixture(scope="module")
def classifier() -> Additive:
    return boosting.fit(NAMES, _data(), loss="log_loss", rounds=80)


def test_effects_add_up_to_the_score(classifier: Additive) -> None:
    x = _data(seed=1).values
    total = classifier.base + classifier.contributions(x).sum(axis=1)
    np.testing.assert_allclose(total, classifier.raw(x), atol=1e-12)
    np.testing.assert_allclose(classifier.predict(x), 1 / (1 + np.exp(-total)), atol=1e-12)


def test_effects_average_nothing_over_what_was_learned_from(classifier: Additive) -> None:
    assert np.abs(classifier.contributions(_data().values).mean(axis=0)).max() < 1e-9


@pytest.mark.parametrize("loss", get_args(boosting.Loss))
def test_the_tables_are_the_trees(loss: boosting.Loss) -> None:
    rows = _data()
    edges = tuple(boosting._edges(rows.values[:, j]) for j in range(len(NAMES)))
    booster = boosting._boosted(rows, edges, loss, 60)
    codes = boosting._codes(_data(seed=2).values, edges)
    trees = booster.decision_function(codes) if loss == "log_loss" else booster.predict(codes)
    tables = boosting.fit(NAMES, rows, loss=loss, rounds=60).raw(_data(seed=2).values)
    np.testing.assert_allclose(tables, trees, atol=1e-9)


def test_it_learns_what_is_there(classifier: Additive) -> None:
    fresh = _data(seed=3)
    predicted = classifier.predict(fresh.values)
    assert ((predicted > 0.5) == (fresh.labels > 0.5)).mean() > 0.75
    a, constant, empty = (np.ptp(classifier.effects[NAMES.index(n)]) for n in ("a", "constant", "empty"))
    assert a > 1
    assert constant == empty == 0


def test_the_same_rows_give_the_same_model(classifier: Additive) -> None:
    again = boosting.fit(NAMES, _data(), loss="log_loss", rounds=80)
    assert json.dumps(again.plain()) == json.dumps(classifier.plain())


def test_written_and_read_it_scores_the_same(classifier: Additive) -> None:
    x = _data(seed=4).values
    again = Additive.read(json.loads(json.dumps(classifier.plain())))
    assert (again.predict(x) == classifier.predict(x)).all()


def test_rounds_are_chosen_by_what_was_not_learned_from() -> None:
    few = boosting.best_rounds(_data(60), _data(2000, seed=9), loss="log_loss")
    many = boosting.best_rounds(_data(4000), _data(2000, seed=9), loss="log_loss")
    assert 1 <= few < many <= boosting.ROUNDS


@given(
    arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6) | st.just(np.nan)),
    st.lists(st.floats(-1e6, 1e6), max_size=8, unique=True),
)
def test_a_value_falls_into_one_bin(column: np.ndarray, cuts: list[float]) -> None:
    edges = np.sort(np.array(cuts))
    for value, found in zip(column, bins(column, edges), strict=True):
        if np.isnan(value):
            assert found == len(edges) + 1
        else:
            assert found == sum(e < value for e in edges)


@given(arrays(np.float64, st.integers(1, 400), elements=st.floats(-1e3, 1e3) | st.just(np.nan)))
def test_edges_part_values_into_few_bins(column: np.ndarray) -> None:
    edges = boosting._edges(column)
    assert len(edges) < boosting.BINS
    assert (np.diff(edges) > 0).all()
    known = column[~np.isnan(column)]
    if len(np.unique(known)) > 1 and len(edges):
        assert known.min() <= edges[0]
        assert edges[-1] < known.max()
