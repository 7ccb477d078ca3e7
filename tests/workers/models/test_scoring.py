"""Scores and reasons: in the lake's shape, adding up, the same however they are computed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from onefold_storage import schema
from onefold_storage.errors import Conflict
from onefold_workers import explanation, offering
from onefold_workers.feature_view import Feature
from onefold_workers.features import features_at, rows_at
from onefold_workers.point_in_time import History
from onefold_workers.scoring import explained, offers, ranked, score


def _shape(table: schema.Table) -> dict[str, pl.DataType]:
    return dict(pl.DataFrame(pl.from_arrow(table.arrow.empty_table())).schema)


@pytest.fixture(scope="module")
def churn(trained, declared, views, customer_features) -> pl.DataFrame:
    return score(trained["churn"], declared["churn"], views, customer_features, "run 1")


@pytest.fixture(scope="module")
def first_offers(trained, declared, views, customer_features, history, now) -> pl.DataFrame:
    pairs = rows_at(views["category_affinity"], history, now)
    return offers(trained["next_best_offer"], customer_features, pairs, declared["next_best_offer"], "run 1")


def test_scores_have_the_lakes_shape(churn, customer_features, now) -> None:
    assert dict(churn.schema) == _shape(schema.SCORES)
    assert churn.height == customer_features.filter(pl.col("recency_days").is_not_null()).height
    assert churn["score"].is_between(0, 1).all()
    assert set(churn["as_of"]) == {now}
    assert set(churn["run_id"]) == {"run 1"}


@pytest.mark.parametrize("name", ["churn", "campaign_response", "customer_value", "big_basket"])
def test_effects_add_up_to_each_score(name, trained, declared, customer_features) -> None:
    people = customer_features.filter(declared[name].eligible)
    points, contributions, average = explained(trained[name], declared[name], people)
    total = average + contributions.sum(axis=1)
    if declared[name].kind == "classifier":
        np.testing.assert_allclose(points, 1 / (1 + np.exp(-total)), rtol=1e-9)
    else:
        np.testing.assert_allclose(points, np.maximum(total, 0), rtol=1e-9, atol=1e-9)


def test_reasons_are_the_strongest_themes(churn, trained, declared, views, customer_features) -> None:
    people = customer_features.filter(declared["churn"].eligible)
    _, contributions, _ = explained(trained["churn"], declared["churn"], people)
    described = {f.name: f for v in views.values() for f in v.features}
    told = [described[n] for n in trained["churn"].additive.names]
    effects = explanation.theme_effects(told, contributions)
    np.testing.assert_allclose(effects.sum(axis=1), contributions.sum(axis=1), atol=1e-9)
    named = explanation.themes(told)
    for i, reasons in enumerate(churn["reasons"].to_list()[:60]):
        strongest = sorted(np.abs(effects[i]), reverse=True)[:3]
        np.testing.assert_allclose([abs(r["effect"]) for r in reasons], strongest, atol=1e-6)
        for r in reasons:
            column = named.index(described[r["feature"]].theme)
            assert r["effect"] == pytest.approx(effects[i, column], abs=1e-6)
            assert r["text"]
            assert "unknown" not in r["text"]
            assert "{" not in r["text"]


def test_reasons_say_what_is_so(churn, customer_features) -> None:
    days = dict(customer_features.select("golden_id", "recency_days").iter_rows())
    said = [
        (row["golden_id"], r["text"])
        for row in churn.iter_rows(named=True)
        for r in row["reasons"]
        if r["text"].startswith("last purchase ")
    ]
    assert said
    for who, text in said:
        shown = float(text.removeprefix("last purchase ").split(" day")[0].replace(",", ""))
        assert shown == pytest.approx(days[who], abs=0.5)


def test_reasons_of_rows_that_nothing_moved() -> None:
    features = [Feature("a", "a", "a is {a}", "one"), Feature("b", "b", "b is {b}", "two", absent="no b")]
    values = pl.DataFrame({"a": [1.0, 2.0, 3.0], "b": [None, 5.0, None]})
    contributions = np.array([[0.0, -2.0], [0.0, 0.0], [1.0, 0.5]])
    found = explanation.reasons(features, values, contributions).to_list()
    assert [[r["text"] for r in row] for row in found] == [["no b"], [], ["a is 3", "no b"]]
    assert found[0][0] == {"feature": "b", "value": "unknown", "effect": -2.0, "text": "no b"}
    assert explanation.reasons(features, values.clear(), contributions[:0]).to_list() == []
    assert explanation.reasons(features, values, contributions * 0).to_list() == [[], [], []]


def test_partitions_score_as_the_whole(churn, trained, declared, views, shop, now) -> None:
    plain = [v for v in views.values() if v.keys == ("golden_id",)]
    parts = []
    for mine in (pl.col("golden_id") >= "g0050", pl.col("golden_id") < "g0050"):
        history = History.of(
            shop.interactions.filter(mine), shop.items, shop.customers.filter(mine), shop.cases.filter(mine)
        )
        parts.append(score(trained["churn"], declared["churn"], views, features_at(plain, history, now), "run 1"))
    assert pl.concat(parts).sort("golden_id").equals(churn.sort("golden_id"))


def test_a_feature_that_is_gone_is_named(trained, declared, views, customer_features) -> None:
    with pytest.raises(
        Conflict, match=r"model churn version .* reads morning_share, which no feature view gives now"
    ):
        score(trained["churn"], declared["churn"], views, customer_features.drop("morning_share"))


def test_ranks_go_from_the_highest_score(churn) -> None:
    other = churn.with_columns(model=pl.lit("other"), score=1 - pl.col("score"))
    found = ranked(pl.concat([churn, other]))
    for name, frame in found.group_by("model"):
        ordered = frame.sort("rank")
        assert ordered["rank"].to_list() == list(range(1, frame.height + 1)), name
        assert ordered["score"].is_sorted(descending=True)
    ties = ranked(churn.with_columns(score=pl.lit(0.5))).sort("rank")
    assert ties["golden_id"].is_sorted()
    assert dict(found.schema) == _shape(schema.SCORES)


def test_offers_are_ten_known_and_new(first_offers, history, now) -> None:
    assert dict(first_offers.schema) == _shape(schema.OFFERS)
    each = first_offers.group_by("golden_id").agg("rank", "offer", "score")
    for row in each.iter_rows(named=True):
        assert row["rank"] == list(range(1, 11))
        assert len(set(row["offer"])) == 10
        assert row["score"] == sorted(row["score"], reverse=True)
    bought = history.before(now).lines.select("golden_id", offer="category").unique().collect()
    known = first_offers.join(bought, on=["golden_id", "offer"], how="semi").height
    assert 0 < known < first_offers.height
    told = first_offers.explode("reasons").unnest("reasons").drop_nulls("text")
    assert (told["effect"] > 0).all(), "an offer's reasons speak for it"
    assert told.select("golden_id", "offer").n_unique() > 0.9 * first_offers.height
    assert any("goes with what they buy" in t for t in told["text"])


def test_offers_to_nobody(trained, declared, views, customer_features, history, now) -> None:
    pairs = rows_at(views["category_affinity"], history, now)
    found = offers(trained["next_best_offer"], customer_features.clear(), pairs, declared["next_best_offer"])
    assert found.height == 0
    assert dict(found.schema) == _shape(schema.OFFERS)
    nobody = score(trained["churn"], declared["churn"], views, customer_features.clear())
    assert nobody.height == 0
    assert dict(ranked(nobody).schema) == _shape(schema.SCORES)


def test_offers_in_small_chunks(
    first_offers, monkeypatch, trained, declared, views, customer_features, history, now
) -> None:
    monkeypatch.setattr(offering, "AT_ONCE", 7)
    pairs = rows_at(views["category_affinity"], history, now)
    again = offers(trained["next_best_offer"], customer_features, pairs, declared["next_best_offer"], "run 1")
    keys = ["golden_id", "rank"]
    assert again.sort(keys).drop("score", "reasons").equals(first_offers.sort(keys).drop("score", "reasons"))
    np.testing.assert_allclose(again.sort(keys)["score"], first_offers.sort(keys)["score"], atol=1e-12)
