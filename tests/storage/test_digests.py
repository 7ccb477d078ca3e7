"""Digests of a source's rows: they tell what a dictionary would, whatever their first halves, in 25 bytes a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold_storage import snapshots
from onefold_storage.digests import Digested, Digesting, Digests
from onefold_storage.installation import Installation

Make = Callable[..., Any]
HALVES = st.tuples(st.sampled_from([0, 1, 2**59 - 1, 2**59, 2**63, 2**64 - 1]), st.integers(0, 3))
BATCH = st.dictionaries(HALVES, st.integers(0, 2), max_size=12)


def _digested(rows: dict[tuple[int, int], int]) -> Digested:
    high, low = ([key[n] for key in rows] for n in (0, 1))
    return Digested(*(np.array(column, np.uint64) for column in (high, low, list(rows.values()))))


@given(st.lists(BATCH, max_size=6), BATCH)
def test_they_say_what_a_dictionary_would(batches: list[dict[Any, int]], asked: dict[Any, int]) -> None:
    held, expected = Digests(), {}
    for batch in batches:
        held.put(_digested(batch))
        expected |= batch
    there, standing, seen = held.look(_digested(asked))
    assert there.tolist() == seen.tolist() == [key in expected for key in asked]
    assert standing.tolist() == [expected.get(key, 0) for key in asked]
    assert held.unseen() == 0


def test_a_million_keys_take_25_bytes_each() -> None:
    how, held = Digesting(["id"], ["id", "name"]), Digests()
    for start in range(0, 1_000_000, 50_000):
        ids = pl.int_range(start, start + 50_000, eager=True)
        held.put(how.of(pl.DataFrame({"id": ids, "name": ids.cast(pl.String)})))
    runs = [run for shelf in held._shelves for run in shelf]
    assert sum(run.seen.size for run in runs) == 1_000_000
    rows = [a for run in runs for a in (run.rows.high, run.rows.low, run.rows.row, run.seen)]
    assert sum(a.nbytes for a in rows) == 25_000_000
    assert len(runs) <= 6 * len(held._shelves)


def test_digests_tell_columns_and_nulls_apart() -> None:
    rows = pl.DataFrame({"id": [1, 2, 3, 4, 1], "a": ["x", None, "", "y", "x"], "b": [None, "x", None, "y", None]})
    told = Digesting(["id"], ["a", "b"]).of(rows)
    assert len(set(told.row.tolist())) == 4 and told.row[0] == told.row[4]
    assert told.high[0] == told.high[4] and len({*told.high.tolist(), *told.low.tolist()}) == 8


TYPES = {
    "id": {"logicalType": "integer", "primaryKey": True},
    "text": "string",
    "number": "number",
    "money": {"logicalType": "number", "physicalType": "decimal(18,4)"},
    "day": "date",
    "at": "timestamp",
    "yes": "boolean",
}


@pytest.mark.parametrize("pending", [1, 100_000])
def test_values_of_every_type_are_told_from_others_through_any_history(
    installation: Installation,
    make_contract: Make,
    make_delivery: Make,
    monkeypatch: pytest.MonkeyPatch,
    pending: int,
) -> None:
    monkeypatch.setattr(snapshots, "_PENDING", pending)
    contract = make_contract(columns=TYPES, delivery="snapshot")
    full = ["1", "x", "0.5", "1.2500", "2017-01-02", "2017-01-02T03:04:05Z", "true"]
    none = ["2", *([None] * 6)]
    other = ["1", "y", "0.25", "1.2501", "2017-01-03", "2017-01-02T03:04:06Z", "false"]

    def land(*rows: list[Any]) -> tuple[int, int, str | None]:
        columns = {name: [row[n] for row in rows] for n, name in enumerate(TYPES)}
        content = f"c{len(installation.ledger.packages.list())}"
        done = installation.lander.land(contract, make_delivery(columns, content=content))
        return done.landed, done.repeated, done.message

    assert land(full, none) == (2, 0, None)
    assert land(full, none) == (0, 2, None)
    for n in range(1, len(full)):
        changed = [other[i] if i == n else value for i, value in enumerate(full)]
        assert land(changed, none) == (1, 1, None), "one value differs"
        assert land(full, none) == (1, 1, None), "and is back"
    gone = "rows that are not in it any more, and are deleted: 1"
    assert land(none) == (0, 1, gone), "of the versions that say the same one is told"
    assert land(none) == (0, 1, None)
    assert land(full, none) == (1, 1, None)
    rows = installation.lake.scan(contract.bronze).filter(pl.col("_deleted")).collect()
    assert rows.select("id", "text", "_row_id").rows() == [(1, "x", -1)]
