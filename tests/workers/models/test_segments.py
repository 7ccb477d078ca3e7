"""Segments and traits: rules that part customers, and what one sees of a customer at a glance."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from onefold_storage import schema
from onefold_workers.segments import FACTS, LIFE_CYCLE, SEGMENTS, facts, members
from onefold_workers.traits import FAVOURITES, TRAITS, traits

NOW = datetime(2024, 1, 1, tzinfo=UTC)
LIFE = [s.name for s in SEGMENTS if s.group == LIFE_CYCLE]


def _person(golden_id: str = "g", **known: float) -> dict[str, object]:
    return {"golden_id": golden_id, "as_of": NOW, **dict.fromkeys(FACTS), **known}


def _segments(*people: dict[str, object]) -> dict[str, set[str]]:
    frame = pl.DataFrame(list(people), schema_overrides=dict.fromkeys(FACTS, pl.Float64), infer_schema_length=None)
    found = members(frame).group_by("golden_id").agg("segment")
    return {g: set(s) for g, s in found.iter_rows()}


def test_everybody_is_in_one_life_cycle_segment(customer_features) -> None:
    found = members(facts(customer_features))
    life = found.filter(pl.col("segment").is_in(LIFE))
    assert sorted(life["golden_id"]) == sorted(customer_features["golden_id"])
    assert life["segment"].n_unique() >= 4
    assert found.columns == schema.SEGMENTS.arrow.names
    assert not found.is_duplicated().any()


def test_partitions_together_are_the_whole(customer_features) -> None:
    halves = [
        customer_features.filter(pl.col("golden_id") > "g0060"),
        customer_features.filter(pl.col("golden_id") <= "g0060"),
    ]
    assert members(pl.concat(facts(h) for h in halves)).equals(members(facts(customer_features)))


@pytest.mark.parametrize(
    ("known", "segment"),
    [
        ({}, "no_purchase_yet"),
        ({"recency_days": 5, "tenure_days": 20, "gap_mean_days": 5}, "new"),
        ({"recency_days": 20, "tenure_days": 300, "gap_mean_days": 5}, "occasional"),
        ({"recency_days": 40, "tenure_days": 300, "gap_mean_days": 5}, "at_risk"),
        ({"recency_days": 40, "tenure_days": 300, "gap_mean_days": 20}, "occasional"),
        ({"recency_days": 200, "tenure_days": 300, "gap_mean_days": 5}, "lapsed"),
        ({"recency_days": 200, "tenure_days": 900, "gap_mean_days": 100}, "occasional"),
        ({"recency_days": 300, "tenure_days": 300}, "lapsed"),
    ],
)
def test_rules_by_hand(known: dict[str, float], segment: str) -> None:
    assert _segments(_person(**known))["g"] & set(LIFE) == {segment}


def test_champions_are_few_and_the_best() -> None:
    here = {"recency_days": 1.0, "tenure_days": 300.0, "gap_mean_days": 5.0}
    people = [_person(f"g{i}", **here, purchases_180=float(i), spend_180=float(i)) for i in range(1, 11)]
    found = _segments(*people)
    assert {g for g, s in found.items() if "champions" in s} == {"g9", "g10"}
    assert {g for g, s in found.items() if "loyal" in s} == {"g6", "g7", "g8"}
    assert {g for g, s in found.items() if "big_spenders" in s} == {"g10"}


def test_traits_have_the_lakes_shape_and_agree_with_features(customer_features, history) -> None:
    found = traits(customer_features, history, NOW)
    assert dict(found.schema) == dict(pl.DataFrame(pl.from_arrow(schema.TRAITS.arrow.empty_table())).schema)
    assert not found.select("golden_id", "trait").is_duplicated().any()
    assert set(found["trait"]) == {t.name for t in TRAITS} | set(FAVOURITES)
    spent = dict(found.filter(pl.col("trait") == "spend_90d").select("golden_id", "number").iter_rows())
    assert spent == dict(customer_features.select("golden_id", "spend_90").iter_rows())


def test_favourites_by_hand(customer_features, history) -> None:
    found = traits(customer_features, history, NOW)
    lines = history.before(NOW).lines.collect()
    for golden_id in ("g0000", "g0007", "g0020"):
        own = lines.filter(pl.col("golden_id") == golden_id)
        counts = own["category"].value_counts(sort=True)
        best = counts.filter(pl.col("count") == counts["count"].max())["category"].to_list()
        row = found.filter((pl.col("golden_id") == golden_id) & (pl.col("trait") == "favourite_category"))
        assert row["text"].item() in best
