"""What is kept between two packages: the source's bookmark, and what rows stood for where changes are sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.deliveries import Batch, Delivery
from onefold_storage.errors import BadInput
from onefold_storage.installation import Installation
from onefold_storage.manifests import committed_bookmark
from onefold_storage.settings import StorageSettings
from onefold_storage.snapshots import ChangesState

NOW = datetime(2018, 1, 1, tzinfo=UTC)
Make = Callable[..., Any]
KEY = {"logicalType": "integer", "primaryKey": True}


def test_a_bookmark_is_committed_with_its_package_and_stays_until_the_next(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract, lake = make_contract(), installation.lake
    assert committed_bookmark(lake, "people") is None
    read: list[int] = []

    def numbered(n: int) -> Delivery:
        delivery = make_delivery({"id": [str(n)], "name": ["A"]}, content=f"c{n}")
        batches = (read.append(n) or b for b in delivery.batches)  # type: ignore[func-returns-value]
        return replace(delivery, batches=batches, bookmark=lambda: {"read": list(read)})

    installation.lander.land(contract, numbered(1))
    assert committed_bookmark(lake, "people") == {"read": [1]}
    installation.lander.land(contract, make_delivery({"id": ["7"], "name": ["A"]}, content="by hand"))
    assert committed_bookmark(lake, "people") == {"read": [1]}
    with pytest.raises(BadInput):
        installation.lander.land(contract, replace(numbered(2), batches=_torn()))
    assert committed_bookmark(lake, "people") == {"read": [1]}
    installation.lander.land(contract, numbered(3))
    assert committed_bookmark(lake, "people") == {"read": [1, 3]}


def _torn() -> Iterator[Batch]:
    yield Batch(pa.table({"id": ["2"], "name": ["B"]}), pa.array([0], pa.int64()))
    raise BadInput("cut off")


LETTER = st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None]))


@settings(max_examples=25)
@given(packages=st.lists(st.lists(LETTER, max_size=6), min_size=1, max_size=4), cut=st.integers(1, 4))
def test_changes_land_what_differs_from_what_stood_before(
    packages: list[list[tuple[int, str | None]]],
    cut: int,
    make_contract: Make,
    make_delivery: Make,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    installation = Installation(StorageSettings(home=tmp_path_factory.mktemp("changes"), now=NOW))
    contract = make_contract(columns={"id": KEY, "name": "string"}, delivery="changes")
    stands: dict[int, str | None] = {}
    expected = []
    for n, rows in enumerate(packages):
        batches = [rows[at : at + cut] for at in range(0, len(rows), cut)] or [[]]
        tables = [pa.table({"id": [str(i) for i, _ in b], "name": [v for _, v in b]}) for b in batches]
        package = installation.lander.land(contract, make_delivery(*tables, content=f"c{n}"))
        fresh = 0
        for key, value in rows:
            if stands.get(key, ()) != value:
                stands[key] = value
                expected.append((key, value))
                fresh += 1
        assert (package.sent, package.landed, package.repeated) == (len(rows), fresh, len(rows) - fresh)
    if expected:
        assert _rows(installation) == expected
    installation.ledger.close()


def test_many_batches_of_new_keys_cost_no_look_at_all_that_is_known(
    make_contract: Make, installation: Installation
) -> None:
    """Each batch against its own keys alone: 100,000 rows took minutes when all of them were gone through each time."""
    state = ChangesState(
        installation.lake, make_contract(columns={"id": KEY, "name": "string"}, delivery="changes")
    )
    began = time.perf_counter()
    for again in (False, True):
        for at in range(0, 100_000, 500):
            ids = pa.array(range(at, at + 500), pa.int64())
            rows = pa.table({"id": ids, "name": ids.cast(pa.string()), "_row_id": ids})
            fresh, repeated, _ = state.fresh(rows)
            assert (fresh.num_rows, repeated) == ((0, 500) if again else (500, 0))
    assert time.perf_counter() - began < 30


PAGE = Path(__file__).parents[2] / "storage" / "contracts.md"
_TOLD = {"landed": [False], "landed twice": [False, False], "repeated": [False], "deleted": [False, True]}
"""Whether each bronze row of an order deletes it, by what the page says of the order."""


@pytest.mark.parametrize("delivery", ["append", "changes", "snapshot"])
def test_a_file_that_is_written_over_lands_as_the_page_says(
    delivery: str, installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    section = PAGE.read_text(encoding="utf-8").split("## What a package brings")[1].split("\n## ")[0]
    head, _, *lines = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("|")]
    names, rows = [h.strip(" `") for h in head], [[c.strip() for c in line] for line in lines]
    contract = make_contract(columns={"id": KEY, "name": "string"}, delivery=delivery)
    for day in (1, 2):
        sent = [(row[0], row[day]) for row in rows if row[day]]
        table = {"id": [order for order, _ in sent], "name": [paid for _, paid in sent]}
        installation.lander.land(contract, make_delivery(table, content=f"day {day}"))
    bronze = installation.lake.scan("bronze/people").sort("_package_id", "_row_id").collect()
    for row in rows:
        of_order = bronze.filter(bronze["id"] == int(row[0]))["_deleted"].to_list()
        assert of_order == _TOLD[row[names.index(delivery)]], row


def _rows(installation: Installation) -> list[tuple[int, str | None]]:
    rows = installation.lake.scan("bronze/people").sort("_package_id", "_row_id").collect()
    return list(rows.select("id", "name").iter_rows())
