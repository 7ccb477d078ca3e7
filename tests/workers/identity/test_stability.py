"""Under one model, who is who depends on the records and on people's decisions alone: not on arrival, not on workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.schema import LINKS
from onefold_workers.identity import IdentityModel, assign_golden_ids, resolve

T0 = datetime(2018, 1, 1, tzinfo=UTC)
NONE = pl.DataFrame(pl.from_arrow(LINKS.arrow.empty_table()))


@pytest.fixture(scope="module")
def records(people: ModuleType) -> pl.DataFrame:
    made: pl.DataFrame = people.customers(240, seed=14)[0]
    return made


@pytest.fixture(scope="module")
def model(people: ModuleType) -> IdentityModel:
    """Learned from others, and frozen."""
    return resolve(people.customers(1_000, seed=15)[0]).model


def links_after(
    batches: list[pl.DataFrame], model: IdentityModel, evidence: pl.DataFrame | None, run: Callable[..., Any] = map
) -> pl.DataFrame:
    """The links after each batch arrived and was resolved with all before it."""
    links, here = NONE, batches[0].head(0)
    for n, batch in enumerate(batches):
        here = pl.concat([here, batch])
        found = resolve(here, model=model, evidence=evidence, run_tasks=run)
        assert found.model.version == model.version
        links, _ = assign_golden_ids(found.clusters, links, T0 + timedelta(days=n))
    return links.filter(pl.col("valid_to").is_null())


def partition(links: pl.DataFrame) -> set[frozenset[str]]:
    return {frozenset(g) for g in links.group_by("golden_id").agg("record_key")["record_key"].to_list()}


@settings(max_examples=6, deadline=None)
@given(order=st.randoms(use_true_random=False), cuts=st.lists(st.integers(1, 239), max_size=3))
def test_the_order_of_arrival_decides_nothing(
    records: pl.DataFrame, model: IdentityModel, order: Any, cuts: list[int]
) -> None:
    keys = records["record_key"].to_list()
    said = pl.DataFrame(
        [(keys[3], keys[200], "must_link"), (keys[10], keys[11], "cannot_link")],
        schema=["left_key", "right_key", "verdict"],
        orient="row",
    ).with_columns(decided_at=pl.lit(T0), decided_by=pl.lit("x"))
    rows = list(range(records.height))
    order.shuffle(rows)
    ends = [0, *sorted(set(cuts)), records.height]
    batches = [records[rows[a:b]] for a, b in pairwise(ends)]
    at_once = links_after([records], model, said)
    assert partition(links_after(batches, model, said)) == partition(at_once)


def test_golden_ids_are_the_same_however_the_rows_of_one_run_are_ordered_and_cut(
    records: pl.DataFrame, model: IdentityModel
) -> None:
    """Of one run: rows shuffled, tasks run backwards and one by one, as many workers might."""

    def backwards(task: Callable[[Any], Any], chunks: Iterable[Any]) -> list[Any]:
        done = [task(c) for c in reversed(list(chunks))]
        return done[::-1]

    one = links_after([records], model, None)
    other = links_after([records.sample(fraction=1.0, shuffle=True, seed=3)], model, None, backwards)
    assert one.equals(other)


def test_a_rerun_with_nothing_new_changes_nothing(records: pl.DataFrame, model: IdentityModel) -> None:
    clusters = resolve(records, model=model).clusters
    links, _ = assign_golden_ids(clusters, NONE, T0)
    again, history = assign_golden_ids(resolve(records.reverse(), model=model).clusters, links, T0 + timedelta(1))
    assert again.equals(links)
    assert history.height == 0


def test_a_frozen_model_links_a_source_whose_fields_it_has_never_seen(people: ModuleType) -> None:
    """It believes about them what is written in `fields.py`, and has blocking rules for them."""
    old = people.customers(1_000, seed=16, duplicates=0.0)[0]
    model = resolve(old.select("record_key", "given_name", "family_name", "birth_digits")).model
    assert "phone" not in {f.name for f in model.fields}
    shop = pl.DataFrame(
        {
            "record_key": [f"shop:{i}" for i in range(400)],
            "phone": [f"+1513555{i // 2:04d}" for i in range(400)],
            "email": [f"someone{i // 2}@example.org" for i in range(400)],
        }
    )
    found = resolve(
        pl.concat([old.select("record_key", "given_name", "family_name", "birth_digits"), shop], how="diagonal"),
        model=model,
    )
    assert found.model.version == model.version
    of = dict(found.clusters.iter_rows())
    assert all(of[f"shop:{i}"] == of[f"shop:{i + 1}"] for i in range(0, 400, 2))
    assert len({of[f"shop:{i}"] for i in range(400)}) == 200
