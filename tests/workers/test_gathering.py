"""What is gathered by customer: each record as last told and with its customer alone, however the work is cut."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from onefold_storage.compaction import compact
from onefold_storage.installation import Installation
from onefold_storage.objects import Objects
from onefold_storage.schema import CASES, CONSENTS, CUSTOMERS, INTERACTIONS, LINKS, Table
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import cluster
from onefold_workers.money import Reckoning
from onefold_workers.point_in_time import History
from onefold_workers.stages import gathering
from onefold_workers.stages.gathering import Gathered, customer_rows, gather
from onefold_workers.stages.histories import HistoryOf, history_of

pytestmark = pytest.mark.needs_dask
made = runpy.run_path(str(Path(__file__).with_name("decided_lake.py")))
NOW = datetime(2018, 1, 1, tzinfo=UTC)
MANY = 40


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with cluster():
        yield


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """Customers g0, g1, … with a contact record each, who bought something thirty days ago."""
    opened = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    links = [{"record_key": f"crm:{n}", "golden_id": f"g{n}", "valid_from": NOW} for n in range(MANY)]
    made["add"](opened, LINKS, made["shaped"](LINKS, pl.DataFrame(links)))
    tell(opened, INTERACTIONS, 1, [bought(n) for n in range(MANY)])
    yield opened
    opened.ledger.close()


def tell(home: Installation, table: Table, package: int, rows: list[dict[str, Any]]) -> None:
    """Land a package's rows."""
    package_id = f"till-{package:08}-x"
    frame = pl.DataFrame(rows, infer_schema_length=None).with_row_index("row_id")
    frame = frame.with_columns(source=pl.lit("till"), package_id=pl.lit(package_id))
    if "deleted" in frame.columns:
        frame = frame.with_columns(pl.col("deleted").fill_null(False))
    made["add"](home, table, made["shaped"](table, frame))


def bought(n: int, *, days: int = 30, by: int | None = -1, amount: int = 10, **more: Any) -> dict[str, Any]:
    """A version of the purchase n, which is of the customer n if `by` names no other (None: no customer)."""
    owner = None if by is None else f"crm:{n if by < 0 else by}"
    row = {"record_key": f"till:{n}", "contact_key": owner, "effective_at": NOW - timedelta(days=days)}
    return {**row, "kind": "purchase", "amount": amount, "related_key": f"b{n}", **more}


def rows_of(home: Installation, gathered: Gathered, name: str = "interactions") -> pl.DataFrame:
    """What stands, of all customers."""
    rows = [customer_rows(home.lake, gathered, name, p).collect() for p in range(gathered.partitions)]
    return pl.concat(rows).sort("record_key", "effective_at")


def owned(home: Installation, at_least: int) -> dict[str, str]:
    """The customer of every interaction that stands."""
    rows = rows_of(home, gather(home, at_least=at_least)).select("record_key", "golden_id").rows()
    assert len(rows) == len(dict(rows)), "an interaction is counted twice"
    return dict(rows)


def histories(home: Installation, at_least: int) -> list[History]:
    """The history of each partition of customers."""
    gathered = gather(home, at_least=at_least)
    version = home.lake.version(CUSTOMERS.name) if home.lake.exists(CUSTOMERS.name) else 0
    return [
        history_of(HistoryOf(home.settings, gathered, version, p, Reckoning())) for p in range(gathered.partitions)
    ]


def spent(home: Installation, days: int, at_least: int) -> dict[str, float]:
    """What each customer had bought for, as known so many days ago."""
    baskets = [h.before(NOW - timedelta(days=days)).baskets.collect() for h in histories(home, at_least)]
    return dict(pl.concat(baskets).group_by("golden_id").agg(pl.col("amount").sum()).rows())


@pytest.mark.parametrize(("customers", "rows"), [(MANY // 4, 10 * MANY), (10 * MANY, MANY // 4)])
def test_neither_many_customers_nor_many_rows_make_a_partition_large(
    home: Installation, monkeypatch: pytest.MonkeyPatch, customers: int, rows: int
) -> None:
    monkeypatch.setattr(gathering, "CUSTOMERS_A_PARTITION", customers)
    monkeypatch.setattr(gathering, "ROWS_A_PARTITION", rows)
    assert gather(home).partitions >= 4


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_a_deletion_that_names_no_customer_deletes(home: Installation, partitions: int) -> None:
    tell(home, INTERACTIONS, 2, [bought(n, days=10, by=None, deleted=True) for n in range(0, MANY, 2)])
    assert owned(home, partitions) == {f"till:{n}": f"g{n}" for n in range(1, MANY, 2)}
    assert gather(home, at_least=partitions).orphans == 0  # a deleted row is nobody's loss


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_what_is_given_to_another_customer_is_the_others_alone(home: Installation, partitions: int) -> None:
    tell(home, INTERACTIONS, 2, [bought(n, days=30, by=n + 1) for n in range(0, MANY, 2)])
    tell(home, INTERACTIONS, 3, [bought(n, days=5, by=n + 1, deleted=True) for n in range(0, MANY, 4)])
    moved = {f"till:{n}": f"g{n + 1}" for n in range(2, MANY, 4)}
    assert owned(home, partitions) == {f"till:{n}": f"g{n}" for n in range(1, MANY, 2)} | moved


def test_what_nobody_owns_any_more_is_counted_once(home: Installation) -> None:
    tell(home, INTERACTIONS, 2, [bought(0, by=None), bought(1, by=99)])
    tell(home, INTERACTIONS, 3, [bought(0, by=None)])
    assert set(owned(home, 3)) == {f"till:{n}" for n in range(2, MANY)}
    assert gather(home, at_least=3).orphans_by_source == {"till": 2}


@pytest.mark.parametrize("partitions", [1, 5])
def test_a_purchase_that_was_cancelled_later_stood_until_then(home: Installation, partitions: int) -> None:
    tell(home, INTERACTIONS, 2, [bought(0, days=10, by=None, deleted=True), bought(1, days=10, amount=25)])
    tell(home, INTERACTIONS, 3, [bought(2, days=10, by=3)])
    then, now = spent(home, 20, partitions), spent(home, 0, partitions)
    assert then == {f"g{n}": 10.0 for n in range(MANY)}
    assert now == {g: a for g, a in then.items() if g not in ("g0", "g2")} | {"g1": 25.0, "g3": 20.0}
    standing = dict(rows_of(home, gather(home, at_least=partitions)).select("record_key", "amount").rows())
    assert "till:0" not in standing and standing["till:1"] == 25


@pytest.mark.parametrize("partitions", [1, 5])
def test_a_case_has_its_states_in_history_and_stands_once(home: Installation, partitions: int) -> None:
    def case(n: int, days: int, state: str | None, by: int | None, **more: Any) -> dict[str, Any]:
        return bought(n, days=days, by=by, **more) | {"kind": "ticket", "state": state}

    tell(home, CASES, 1, [case(n, 30, "open", n) for n in range(6)])
    tell(home, CASES, 2, [case(0, 10, None, None, deleted=True), case(1, 10, "closed", 1), case(2, 10, "open", 3)])
    standing = rows_of(home, gather(home, at_least=partitions), "cases").select("record_key", "golden_id", "state")
    others = [(f"till:{n}", f"g{n}", "open") for n in (3, 4, 5)]
    assert standing.rows() == [("till:1", "g1", "closed"), ("till:2", "g3", "open"), *others]
    for days, expected in ((20, {f"g{n}": 1 for n in range(6)}), (0, {"g1": 1, "g3": 2, "g4": 1, "g5": 1})):
        cases = [h.before(NOW - timedelta(days=days)).cases.collect() for h in histories(home, partitions)]
        assert dict(pl.concat(cases).group_by("golden_id").len().rows()) == expected


@pytest.mark.parametrize("partitions", [1, 5])
def test_a_wish_on_a_record_that_changed_hands_is_of_one_at_a_time(home: Installation, partitions: int) -> None:
    def wish(days: int, by: int) -> dict[str, Any]:
        row = {"record_key": "wish:1", "effective_at": NOW - timedelta(days=days), "subject": f"crm:{by}"}
        return {**row, "subject_kind": "record", "data_use": "marketing", "channel": "email", "state": "GRANTED"}

    tell(home, CONSENTS, 1, [wish(30, 0)])
    tell(home, CONSENTS, 2, [wish(10, 1)])
    for days, owner in ((20, "g0"), (0, "g1")):
        found = [h.before(NOW - timedelta(days=days)).consents.collect() for h in histories(home, partitions)]
        assert pl.concat(found)["golden_id"].to_list() == [owner]


@pytest.mark.parametrize("partitions", [1, 5])
def test_a_wish_on_an_address_that_customers_share_is_of_each(home: Installation, partitions: int) -> None:
    people = [{"golden_id": f"g{n}", "emails": ["us@example.org"], "records": 1} for n in range(3)]
    made["add"](home, CUSTOMERS, made["shaped"](CUSTOMERS, pl.DataFrame(people)))
    wish = {"record_key": "wish:1", "effective_at": NOW - timedelta(days=30), "subject": "us@example.org"}
    more = {"subject_kind": "email", "data_use": "marketing", "channel": "email", "state": "GRANTED"}
    tell(home, CONSENTS, 1, [wish | more])
    found = [h.before(NOW).consents.collect() for h in histories(home, partitions)]
    assert sorted(pl.concat(found)["golden_id"]) == ["g0", "g1", "g2"]


class WorkerDiedError(Exception):
    """As a task sees none, and its worker does."""


def _spread_with_deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks run here; each dies at its first removal of objects, when one is gone, and is run again, as Dask does."""
    deaths: list[str] = []
    inside = False

    def spread(task: Callable[[Any], Any], chunks: Iterable[Any]) -> list[Any]:
        nonlocal inside
        results = []
        inside = True
        for chunk in chunks:
            for _ in range(3):
                try:
                    done = task(chunk)
                except WorkerDiedError:
                    continue
            results.append(done)
        inside = False
        return results

    whole = Objects.delete_below

    def delete_below(self: Objects, prefix: str) -> None:
        if inside and prefix not in deaths:
            deaths.append(prefix)
            for key in self.keys(prefix)[:1]:
                self.delete(key)
            raise WorkerDiedError
        whole(self, prefix)

    monkeypatch.setattr(gathering, "spread", spread)
    monkeypatch.setattr(Objects, "delete_below", delete_below)


def test_a_task_that_dies_and_runs_again_loses_no_row(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in (2, 3):
        later = range(MANY * (package - 1), MANY * package)
        tell(home, INTERACTIONS, package, [bought(n, by=n % MANY) for n in later])
    with monkeypatch.context() as patch:
        _spread_with_deaths(patch)
        found = rows_of(home, gather(home))
    assert found.height == 3 * MANY
    home.lake.objects.delete(f"{gathering.AREA}/current.json")
    assert_frame_equal(rows_of(home, gather(home)), found)


def test_a_run_that_was_cut_off_adds_nothing_to_the_next(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the table was compacted in between, so that the work is cut otherwise."""
    for package in range(8):
        tell(home, CASES, package, [bought(n + 100 * package, by=n) for n in range(MANY)])
    with monkeypatch.context() as patch:
        spread, calls = gathering.spread, []

        def cut_off(task: Callable[[Any], Any], chunks: Iterable[Any]) -> list[Any]:
            calls.append(task)
            if "_settle" in repr(task) and "cases" in repr(task):
                raise WorkerDiedError
            return spread(task, chunks)

        patch.setattr(gathering, "spread", cut_off)
        with pytest.raises(WorkerDiedError):
            gather(home)
    assert compact(home.lake, CASES.name) == (8, 1)
    assert rows_of(home, gather(home), "cases").height == 8 * MANY
    assert not [k for k in home.lake.objects.keys(gathering.AREA) if "pieces" in k]
