"""What bad input gets: an answer or a clear error, never an explosion of pairs."""

from __future__ import annotations

from types import ModuleType

import polars as pl
import pytest

from onefold_workers.identity import Resolution, pairwise_quality, resolve
from onefold_workers.identity.incremental import resolve_more

MOST_PAIRS = 40
"""Pairs per record that no input may exceed, whatever stands in it."""


@pytest.fixture(scope="module")
def sample(people: ModuleType) -> tuple[pl.DataFrame, pl.DataFrame]:
    return people.customers(4_000, seed=40)


def bounded(result: Resolution) -> bool:
    return bool(result.report["pairs"] <= MOST_PAIRS * result.report["records"])


@pytest.mark.parametrize(
    "column", ["given_name", "family_name", "birth_digits", "email", "phone", "postcode", "city"]
)
@pytest.mark.parametrize("value", ["same", None])
def test_constant_and_empty_columns_cost_what_they_told(
    sample: tuple[pl.DataFrame, pl.DataFrame], column: str, value: str | None
) -> None:
    records, truth = sample
    text = {"birth_digits": "19800102", "phone": "0201234567"}.get(column, value) if value else None
    found = resolve(records.with_columns(pl.lit(text, dtype=pl.String).alias(column)))
    assert bounded(found)
    assert pairwise_quality(found.clusters, truth).f1 > 0.8


def test_every_column_constant_is_one_person_and_no_pair(sample: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    records = sample[0].with_columns(pl.lit("x1234567").alias(c) for c in sample[0].columns if c != "record_key")
    found = resolve(records)
    assert found.report["pairs"] == 0
    assert found.report["clusters"] == 1


def test_near_copies_by_the_thousand_are_bounded(sample: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """A record that was copied with a running number in it: no two alike, all of them in every block."""
    one = sample[0].filter(pl.col("email").is_not_null() & pl.col("birth_digits").is_not_null()).head(1)
    number = pl.int_range(pl.len()).cast(pl.String)
    copies = pl.concat([one] * 5_000).with_columns(
        record_key=pl.concat_str(pl.lit("copy:"), number), house_number=number, street=pl.lit("high street")
    )
    found = resolve(pl.concat([sample[0], copies]))
    assert found.report["pairs"] <= 100 * found.report["records"]
    known = pairwise_quality(found.clusters, sample[1])
    assert known.precision > 0.9


def test_huge_and_strange_fields_are_cut_not_multiplied(sample: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    records, truth = sample
    odd = pl.int_range(pl.len()) % 100
    strange = records.with_columns(
        given_name=pl.when(odd == 0)
        .then(pl.lit("é" * 100_000))
        .when(odd == 1)
        .then(pl.lit("😀👪"))
        .otherwise("given_name"),
        family_name=pl.when(odd == 2)
        .then(pl.lit("محمد علي"))
        .when(odd == 3)
        .then(pl.lit("\u202e\x00 "))
        .otherwise("family_name"),
        street=pl.when(odd == 4).then(pl.lit("🏠 " * 50_000)).otherwise("street"),
    )
    found = resolve(strange)
    assert bounded(found)
    assert pairwise_quality(found.clusters, truth).f1 > 0.9


def test_right_to_left_and_accented_names_find_their_like() -> None:
    frame = pl.DataFrame(
        {
            "record_key": list("abcdef"),
            "full_name": ["محمد علي", "محمد علي", "Zoë Müller", "ZOE MULLER", "李 小龙", "李 小龙"],
            "birth_digits": ["19800102", "19800102", "19750203", "19750203", "19401127", "19401127"],
            "postcode": ["1011", "1011", "80331", "80331", "999077", "999077"],
        }
    )
    clusters = resolve(frame).clusters["cluster"].to_list()
    assert clusters[0] == clusters[1] != clusters[2] == clusters[3] != clusters[4] == clusters[5]


def test_a_thousand_new_copies_of_what_is_there_cost_nothing(sample: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    records, _ = sample
    model = resolve(records).model
    base = resolve(records, model=model, keep=True)
    one = records.filter(pl.col("email").is_not_null() & pl.col("birth_digits").is_not_null()).head(1)
    again = pl.concat([one] * 1_000).with_columns(record_key=pl.format("again:{}", pl.int_range(pl.len())))
    assert base.kept is not None
    nobody = pl.Series([], dtype=pl.String)
    found = resolve_more(
        base.kept,
        base.edges,
        again,
        nobody,
        lambda k: records.filter(pl.col("record_key").is_in(k.implode())),
        model,
    )
    assert found is not None
    assert found.pairs < 1_000
    key = one["record_key"].item()
    cluster = dict(zip(found.kept.keys, found.kept.cluster.tolist(), strict=True))
    assert {cluster[k] for k in again["record_key"]} == {cluster[key]}
