"""What `resolve` promises whatever the records are: order, copies, decisions, bad values, bounded work."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from onefold_storage.errors import BadInput
from onefold_storage.schema import EDGES
from onefold_workers.identity import IdentityModel, Resolution, pairwise_quality, resolve

IDS = pl.List(pl.Struct({"scheme": pl.String, "value": pl.String}))


def keys(count: int) -> pl.Series:
    return pl.Series("record_key", [f"s:{i:07d}" for i in range(count)])


def groups(result: Resolution) -> set[frozenset[str]]:
    parts = result.clusters.group_by("cluster").agg("record_key")["record_key"].to_list()
    return {frozenset(p) for p in parts}


def together(result: Resolution, *records: str) -> bool:
    return any(set(records) <= g for g in groups(result))


@pytest.fixture(scope="module")
def base(people: ModuleType) -> tuple[pl.DataFrame, pl.DataFrame]:
    return people.customers(3_000, seed=21)


@pytest.fixture(scope="module")
def resolved(base: tuple[pl.DataFrame, pl.DataFrame]) -> Resolution:
    return resolve(base[0])


def test_the_order_of_rows_and_columns_changes_nothing(
    base: tuple[pl.DataFrame, pl.DataFrame], resolved: Resolution
) -> None:
    other = base[0].sample(fraction=1.0, shuffle=True, seed=5).select(sorted(base[0].columns))
    again = resolve(other)
    assert again.clusters.equals(resolved.clusters)
    assert again.edges.equals(resolved.edges)
    assert again.model.version == resolved.model.version


def test_tasks_may_run_elsewhere(base: tuple[pl.DataFrame, pl.DataFrame], resolved: Resolution) -> None:
    """Functions and chunks survive pickling, and chunks carry all that they need."""
    ran = []

    def run(function: Callable[[Any], Any], chunks: Iterable[Any]) -> Iterator[Any]:
        for chunk in chunks:
            ran.append(True)
            yield pickle.loads(
                pickle.dumps(pickle.loads(pickle.dumps(function))(pickle.loads(pickle.dumps(chunk))))
            )

    assert resolve(base[0], run_tasks=run).clusters.equals(resolved.clusters)
    assert ran


def test_a_frozen_model_gives_the_same_clusters(
    base: tuple[pl.DataFrame, pl.DataFrame], resolved: Resolution
) -> None:
    model = IdentityModel.from_json(resolved.model.to_json())
    assert model == resolved.model
    again = resolve(base[0], model=model)
    assert again.clusters.equals(resolved.clusters)
    assert again.model.version == resolved.model.version


def test_a_model_holds_no_value_in_the_clear(resolved: Resolution, base: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    text = resolved.model.to_json()
    frequent = base[0]["family_name"].value_counts(sort=True)["family_name"].head(20).drop_nulls().to_list()
    assert not [name for name in frequent if f'"{name}"' in text]


def test_another_format_of_a_model_is_refused() -> None:
    for text in ("{}", "[]", "no json", '{"format": 99}'):
        with pytest.raises(BadInput, match="identity model"):
            IdentityModel.from_json(text)


def test_edges_have_the_shape_of_their_table(resolved: Resolution) -> None:
    assert resolved.edges.columns == EDGES.arrow.names
    assert resolved.edges.null_count().row(0) == (0,) * len(EDGES.columns)
    assert resolved.edges["probability"].is_between(0, 1).all()
    assert (resolved.edges["left_key"] < resolved.edges["right_key"]).all()


def test_nothing_but_record_keys_is_no_evidence() -> None:
    result = resolve(pl.DataFrame({"record_key": ["a", "b", "c"]}))
    assert len(groups(result)) == 3


def test_empty_and_single() -> None:
    schema = {"record_key": pl.String, "given_name": pl.String, "birth_date": pl.Date, "external_ids": IDS}
    assert resolve(pl.DataFrame(schema=schema)).clusters.height == 0
    one = pl.DataFrame({"record_key": ["a"], "given_name": ["Ann"], "birth_date": [date(1980, 1, 2)]})
    assert resolve(one).clusters.rows() == [("a", 0)]


def test_a_key_is_needed() -> None:
    with pytest.raises(BadInput, match="record_key"):
        resolve(pl.DataFrame({"given_name": ["Ann"]}))
    with pytest.raises(BadInput, match="null in 1 rows"):
        resolve(pl.DataFrame({"record_key": ["a", None]}))


def test_one_key_twice_is_one_record() -> None:
    frame = pl.DataFrame({"record_key": ["a", "a", "b"], "given_name": ["x", "y", "x"]})
    assert resolve(frame).clusters["record_key"].to_list() == ["a", "b"]
    assert resolve(frame).clusters.equals(resolve(frame.reverse()).clusters)


def test_copies_of_a_telling_record_are_one_person_and_cost_nothing() -> None:
    n = 100_000
    frame = pl.DataFrame({"record_key": keys(n)}).with_columns(
        given_name=pl.lit("Ann"),
        family_name=pl.lit("Lee"),
        birth_date=date(1980, 1, 2),
        email=pl.lit("a@b.example"),
    )
    result = resolve(frame)
    assert result.report["clusters"] == 1
    assert result.report["pairs"] == 0


def test_copies_of_a_first_name_are_not_one_person() -> None:
    frame = pl.DataFrame({"record_key": keys(5_000)}).with_columns(given_name=pl.lit("Ann"))
    result = resolve(frame)
    assert result.report["clusters"] == 5_000
    assert result.edges.height == 0


def test_john_smith_is_many_people_where_there_is_only_a_name(people: ModuleType) -> None:
    records, _ = people.customers(5_000, seed=2)
    names = records.select("record_key", "given_name", "family_name").with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.lit("john")).otherwise("given_name").alias("given_name"),
        pl.when(pl.int_range(pl.len()) % 10 == 0)
        .then(pl.lit("smith"))
        .otherwise("family_name")
        .alias("family_name"),
    )
    smiths = names.filter(pl.col("family_name") == "smith")["record_key"]
    sizes = resolve(names).clusters.filter(pl.col("record_key").is_in(smiths.implode()))
    assert sizes["cluster"].n_unique() > 0.9 * len(smiths)


@pytest.mark.parametrize("column", ["email", "phone", "postcode", "family_name", "birth_digits", "street"])
def test_one_value_in_a_tenth_of_the_rows_is_bounded_and_glues_nothing(people: ModuleType, column: str) -> None:
    records, truth = people.customers(5_000, seed=8)
    hit = pl.int_range(pl.len()) % 10 == 0
    value = {"email": "unknown@x.example", "phone": "0800123456", "birth_digits": "19000101"}.get(column, "unknown")
    result = resolve(records.with_columns(pl.when(hit).then(pl.lit(value)).otherwise(column).alias(column)))
    assert result.report["pairs"] < 40 * records.height
    assert pairwise_quality(result.clusters, truth).precision > 0.95


def test_a_crowded_identifier_is_none() -> None:
    n, rng = 4_000, np.random.default_rng(4)
    names = ["".join(rng.choice(list("abcdefghijklmnop"), 8)) for _ in range(n)]
    ids = [[{"scheme": "card", "value": "1" if i % 10 == 0 else f"c{i}"}] for i in range(n)]
    frame = pl.DataFrame({"record_key": keys(n), "family_name": names, "external_ids": pl.Series(ids, dtype=IDS)})
    assert resolve(frame).report["clusters"] > 0.98 * n


def test_identifiers_link_records_that_have_nothing_else(people: ModuleType) -> None:
    records, _ = people.customers(2_000, seed=12, duplicates=0.0)
    cards = pl.Series([[{"scheme": "card", "value": str(10_000 + i)}] for i in range(2_000)], dtype=IDS)
    crm = records.with_columns(cards.alias("external_ids"))
    till = pl.DataFrame({"record_key": pl.Series([f"till:{i}" for i in range(2_000)]), "external_ids": cards})
    result = resolve(pl.concat([crm, till], how="diagonal"))
    truth = pl.DataFrame(
        {"record_key": [*crm["record_key"], *till["record_key"]], "truth": [*range(2_000), *range(2_000)]}
    )
    quality = pairwise_quality(result.clusters, truth)
    assert quality.recall > 0.99
    assert quality.precision > 0.98


def test_strange_text_is_only_text() -> None:
    frame = pl.DataFrame(
        {
            "record_key": list("abcdefg"),
            "given_name": ["😀", "😀", "محمد", "محمد", "Ann\u202e", "Zoë", "a" * 100_000],
            "family_name": ["👪", "", "علي", "علي", "Lee", "O’Brien", "b" * 100_000],
            "birth_date": [None, None, date(1980, 5, 6), date(1980, 5, 6), None, None, None],
            "phone": ["-", "n/a", "", None, "+", "12", "1" * 100_000],
        }
    )
    assert together(resolve(frame), "c", "d")
    assert len(groups(resolve(frame))) == 6


HOUSEHOLD = pl.DataFrame(
    {
        "record_key": ["ann", "bob", "ann2", "carl"],
        "given_name": ["Ann", "Bob", "Anne", "Carl"],
        "family_name": ["Lee"] * 4,
        "house_number": ["12"] * 4,
        "street": ["High Street"] * 4,
        "city": ["Ham"] * 4,
        "postcode": ["AB1 2CD"] * 4,
        "phone": ["02012345678"] * 4,
    }
)


def test_a_household_is_not_a_person(people: ModuleType) -> None:
    records, _ = people.customers(3_000, seed=30)
    result = resolve(pl.concat([records, HOUSEHOLD], how="diagonal"))
    assert together(result, "ann", "ann2")
    assert not together(result, "ann", "bob")
    assert not together(result, "bob", "carl")


def decision(left: str, right: str, verdict: str, day: int = 1) -> dict[str, Any]:
    at = datetime(2018, 1, day, tzinfo=UTC)
    return {"left_key": left, "right_key": right, "verdict": verdict, "decided_by": "x", "decided_at": at}


def test_decisions_are_obeyed(people: ModuleType) -> None:
    records, _ = people.customers(3_000, seed=30)
    frame = pl.concat([records, HOUSEHOLD], how="diagonal")
    given = pl.DataFrame([decision("bob", "ann", "must_link"), decision("ann2", "ann", "cannot_link")])
    result = resolve(frame, evidence=given)
    assert together(result, "ann", "bob")
    assert not together(result, "ann", "ann2")


def test_the_latest_decision_on_a_pair_counts_and_unknown_records_are_ignored() -> None:
    given = pl.DataFrame(
        [
            decision("ann", "bob", "cannot_link", 3),
            decision("bob", "ann", "must_link", 2),
            decision("carl", "nobody", "must_link"),
        ]
    )
    assert not together(resolve(HOUSEHOLD, evidence=given), "ann", "bob")
    assert not together(resolve(HOUSEHOLD, evidence=given.reverse()), "ann", "bob")
    assert together(resolve(HOUSEHOLD, evidence=given.tail(2)), "ann", "bob")


def test_copies_can_be_told_apart_by_decision() -> None:
    frame = pl.DataFrame({"record_key": ["a", "b", "c"]}).with_columns(
        given_name=pl.lit("Ann"),
        family_name=pl.lit("Lee"),
        birth_date=date(1980, 1, 2),
        email=pl.lit("a@b.example"),
    )
    assert len(groups(resolve(frame))) == 1
    assert not together(resolve(frame, evidence=pl.DataFrame([decision("a", "b", "cannot_link")])), "a", "b")


def test_attributes_come_as_columns_or_as_json() -> None:
    rng = np.random.default_rng(3)
    towns = [f"town{int(i)}" for i in rng.integers(0, 300, 500)]
    frame = pl.DataFrame({"record_key": keys(500), "given_name": ["ann"] * 500, "family_name": ["lee"] * 500})
    columns = frame.with_columns(pl.Series("attribute:town", towns))
    json = frame.with_columns(pl.Series("attributes", [f'{{"town": "{t}"}}' for t in towns]))
    assert resolve(columns).clusters.equals(resolve(json).clusters)
    assert "attribute:town" in resolve(json).report["fields"]


def test_more_columns_than_a_pattern_holds() -> None:
    frame = HOUSEHOLD.with_columns(pl.lit(str(i)).alias(f"attribute:a{i}") for i in range(30))
    assert resolve(frame).clusters.height == 4
