"""An explanation adds up to the weight that the pair has in the run that it explains."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import polars as pl
import pytest

from onefold_workers.identity import Resolution, resolve
from onefold_workers.identity.explaining import explain_groups, explain_pair


@pytest.fixture(scope="module")
def records(people: ModuleType) -> pl.DataFrame:
    made: pl.DataFrame = people.customers(2_000, seed=9)[0]
    cards = pl.Series(
        [[{"scheme": "card", "value": f"c{i // 2}"}] if i % 5 == 0 else [] for i in range(made.height)]
    )
    towns = pl.Series([f'{{"born": "town{i % 40}"}}' for i in range(made.height)])
    return made.with_columns(external_ids=cards, attributes=towns)


@pytest.fixture(scope="module")
def result(records: pl.DataFrame) -> Resolution:
    return resolve(records)


def test_every_pair_is_explained_to_its_very_weight(records: pl.DataFrame, result: Resolution) -> None:
    """Likely and doubtful pairs of the run, each explained from its two records and the model alone."""
    edges = pl.concat([result.edges.sample(60, seed=2), result.edges.sort("match_weight").head(60)])
    fields = result.report["fields"]
    told = 0
    for edge in edges.filter(pl.col("rule") != "identical").to_dicts():
        two = pl.concat([records.filter(record_key=edge[f"{s}_key"]) for s in ("left", "right")])
        found = explain_pair(two, result.model, fields)
        assert found.total == pytest.approx(edge["match_weight"], abs=0.006)
        parts = sum(p.weight + p.frequency for p in found.fields)
        assert round(found.prior + parts + found.attributes + found.households, 2) == found.total
        if edge["rule"] != "component":
            assert edge["rule"] in found.rules
        told += any(p.frequency for p in found.fields)
    assert told > 10


def test_what_is_shown_is_what_the_records_say() -> None:
    two = pl.DataFrame(
        {
            "record_key": ["a:1", "b:1"],
            "given_name": ["Bob", "Robert"],
            "family_name": ["Lee", "Lee"],
            "phone": [None, "+442079460101"],
            "birth_digits": ["19800102", "19800201"],
        }
    )
    other = pl.DataFrame({"record_key": [f"c:{i}" for i in range(40)], "given_name": ["Ann"] * 40})
    model = resolve(pl.concat([two, other], how="diagonal")).model
    parts = {p.field: p for p in explain_pair(two, model).fields}
    assert (parts["given_name"].left, parts["given_name"].right) == ("Bob", "Robert")
    assert parts["given_name"].said == "nickname or initial"
    assert parts["birth_date"].said == "one slip, or day and month exchanged"
    assert (parts["phone"].said, parts["phone"].weight) == ("not compared", 0.0)


def test_the_mean_between_two_groups(records: pl.DataFrame, result: Resolution) -> None:
    pair = result.edges.sort("match_weight").tail(1).to_dicts()[0]
    two = pl.concat([records.filter(record_key=pair[f"{s}_key"]) for s in ("left", "right")])
    stranger = records.filter(~pl.col("record_key").is_in(two["record_key"].implode())).head(1)
    rows = pl.concat([two, stranger])
    found = explain_groups(rows, np.array([0, 0]), np.array([1, 2]), result.model, result.report["fields"])
    assert found.weights[0] > 10 > -5 > found.weights[1]
    assert found.weights[1] < found.mean < found.weights[0]
