"""What values are learned as: a median where it says something, else the mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from onefold_workers import boosting
from onefold_workers.features import features_at
from onefold_workers.goal import goal_of
from onefold_workers.plan import plan, spans
from onefold_workers.scoring import explained
from onefold_workers.trained import Trained
from onefold_workers.training import no_worse, predicted, train, training_frames

NAME = "customer_value"


def _learned(history, now, views, declared):
    model = declared[NAME]
    when = plan(model, [spans(history, now)], now)
    frame = training_frames({NAME: model}, views, history, {NAME: when})[NAME]
    return train(model, views, frame, when), frame, when


@pytest.fixture(scope="module")
def rare(shops, views, declared, now):
    """A shop where most customers buy nothing in ninety days: of twenty baskets one is kept."""
    shop = shops(customers=2500, seed=11)
    kept = shop.interactions.filter((pl.col("kind") != "purchase") | (pl.col("related_key").hash(seed=1) % 20 == 0))
    history = shop.history(interactions=kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "ROUNDS", 60)
        return history, *_learned(history, now, views, declared)


def test_where_most_spend_nothing_everybody_is_worth_something(rare, declared) -> None:
    _, trained, frame, when = rare
    held = frame.filter(pl.col("as_of") == when.test)
    assert (held["label"] == 0).mean() > 0.5
    figures = trained.figures
    assert figures.metric == "rmse"
    assert figures.beats_baseline, figures
    score = predicted(declared[NAME], trained.tested, held, trained.floor)
    assert np.sqrt(np.mean((held["label"].to_numpy() - score) ** 2)) == pytest.approx(figures.value)
    assert (score > 0).mean() > 0.9
    assert score.sum() / held["label"].sum() == pytest.approx(1, abs=0.25), "a mean adds up to the total"


def test_effects_add_up_to_a_mean_too(rare, views, declared, now) -> None:
    history, trained, *_ = rare
    model = declared[NAME]
    people = features_at([v for v in views.values() if v.keys == ("golden_id",)], history, now).filter(
        model.eligible
    )
    points, contributions, average = explained(Trained.from_json(trained.to_json()), model, people)
    np.testing.assert_allclose(points, np.maximum(average + contributions.sum(axis=1), 0), rtol=1e-9, atol=1e-9)


def test_a_champion_of_another_goal_gives_way(rare, declared) -> None:
    _, trained, frame, when = rare
    far_better = replace(trained, figures=replace(trained.figures, metric="mae", value=0.0))
    assert no_worse(declared[NAME], trained, far_better, frame, when)
    assert no_worse(declared[NAME], trained, trained, frame, when)
    worse = replace(trained, figures=replace(trained.figures, value=trained.figures.value * 2))
    assert not no_worse(declared[NAME], worse, trained, frame, when)


def test_a_median_where_it_says_something(declared) -> None:
    def goal(labels: list[float], name: str = NAME):
        rows = pl.DataFrame({"label": labels, "scale": [1.0] * len(labels)})
        return goal_of(declared[name], rows)

    assert goal([0.0, 0.0, 1.0, 2.0]).metric == "mae"
    assert goal([0.0, 0.0, 0.0, 1.0, 2.0]).metric == "rmse"
    assert goal([0.0, 0.0, 1.0], "churn").metric == "auc"
    assert goal([0.0, 0.0, 0.0, 9.0]).floor == 1.0
