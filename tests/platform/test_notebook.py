"""`onefold.open()`: every layer as Arrow, Polars, pandas and Dask, and read directly by DuckDB and Polars."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
import polars as pl
import pyarrow as pa
import pytest

import onefold
from onefold.notebook import Notebook
from onefold_storage.as_of import moment
from onefold_storage.errors import BadInput, NotFound
from onefold_storage.installation import Installation
from onefold_storage.schema import CASES, CONTACT_RECORDS, DOCUMENTS, HISTORY, INTERACTIONS, LINKS, TABLES
from onefold_storage.settings import StorageSettings
from onefold_storage.status import MODELS

SMALL = Path(__file__).parents[1] / "storage/small_lake.py"
LAYERS = ["bronze/crm", "bronze/failed_events", "silver/contact_records", "silver/interactions", "identity/links",
          "gold/customers", "gold/scores", "registry/declarations"]  # fmt: skip


def test_an_installation_and_its_tables_are_told_in_a_line(tmp_path: Path) -> None:
    home = onefold.open(tmp_path)
    assert repr(home) == f"Notebook(installation=Installation('{tmp_path / 'lake'}'))"
    assert "s3" not in repr(home.table("gold/customers")) and len(repr(home.table("gold/customers"))) < 200


def _at(month: int) -> datetime:
    return datetime(2017, month, 1, tzinfo=UTC)


def _record(
    key: str, month: int, *, email: str | None = None, deleted: bool = False, package: int = 1
) -> dict[str, Any]:
    return {
        "record_key": f"old:{key}",
        "source": "old",
        "package_id": f"old-{package:08d}-x",
        "row_id": 0,
        "effective_at": _at(month),
        "deleted": deleted,
        "given_name": "Dora" if key == "d" else "Theodora",
        "email": email,
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small lake, and Dora: two records, which were two customers until August, one of them changed in May."""
    folder = tmp_path_factory.mktemp("notebook") / "home"
    made = Installation(StorageSettings(home=folder, now=datetime(2018, 1, 1, tzinfo=UTC)))
    runpy.run_path(str(SMALL))["fill"](made)
    versions = [
        _record("d", 2, email="dora@old.example"),
        _record("d", 5, email="dora@new.example"),
        _record("t", 3, email="theo@old.example"),
        _record("gone", 3, email="gone@old.example"),
        _record("gone", 6, deleted=True, package=2),
    ]
    made.lake.append(CONTACT_RECORDS.name, pa.Table.from_pylist(versions, schema=CONTACT_RECORDS.arrow))
    links = [("old:d", "g-d", _at(2), None), ("old:t", "g-t", _at(3), _at(8)), ("old:t", "g-d", _at(8), None)]
    rows = [dict(zip(LINKS.arrow.names, link, strict=True)) for link in links]
    made.lake.append(LINKS.name, pa.Table.from_pylist(rows, schema=LINKS.arrow))
    merged = {"golden_id": "g-t", "event": "merged", "other_id": "g-d", "records": 1, "happened_at": _at(8)}
    made.lake.append(HISTORY.name, pa.Table.from_pylist([merged], schema=HISTORY.arrow))
    made.lake.objects.put(MODELS, orjson.dumps([{"name": "churn", "version": "3", "metric": "auc", "value": 0.87}]))
    made.ledger.close()
    return folder


@pytest.fixture
def book(home: Path) -> Iterator[Notebook]:
    opened = onefold.open(home)
    yield opened


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_in_every_form(name: str, book: Notebook) -> None:
    view = book.table(name)
    arrow = view.arrow()
    assert arrow.num_rows == len(view) > 0
    if name in TABLES:
        assert arrow.schema.equals(TABLES[name].arrow)
    lazy = view.polars()
    assert isinstance(lazy, pl.LazyFrame)
    pandas = view.pandas()
    assert pandas.shape == arrow.shape
    dask = view.dask()
    computed = dask.compute(scheduler="synchronous")
    assert list(computed.columns) == arrow.column_names
    assert computed.dtypes.to_dict() == dask.dtypes.to_dict() == pandas.dtypes.to_dict()
    by = [c for c in ("record_key", "golden_id", "id", "name", "row_id") if c in arrow.column_names]
    assert _rows(computed, by) == _rows(pandas, by)


def _rows(frame: Any, by: list[str]) -> list[str]:
    return sorted(repr([r[c] for c in by]) for r in frame.to_dict("records"))


@pytest.mark.parametrize("name", LAYERS)
def test_other_engines_read_every_layer_directly(name: str, book: Notebook) -> None:
    view = book.table(name)
    expected = view.arrow()
    files = view.files()
    count = "SELECT count(*) FROM read_parquet(?, hive_partitioning = true, union_by_name = true)"
    assert duckdb.execute(count, [files]).fetchall() == [(expected.num_rows,)]
    names = [r[0] for r in duckdb.execute(f"DESCRIBE {count.replace('count(*)', '*')}", [files]).fetchall()]
    assert sorted(names) == sorted(expected.column_names)
    assert duckdb.sql("SELECT count(*) FROM expected").fetchall() == [(expected.num_rows,)]
    polars = pl.scan_parquet(files, hive_partitioning=True, missing_columns="insert").collect()
    assert sorted(polars.columns) == sorted(expected.column_names)
    assert polars.height == expected.num_rows
    assert pl.read_delta(f"{book.installation.lake.root}/{name}").height == expected.num_rows


def test_a_partition_is_a_column_to_duckdb(book: Notebook) -> None:
    files = book.table("silver/contact_records").files()
    query = "SELECT source, count(*) FROM read_parquet(?, hive_partitioning = true) GROUP BY source ORDER BY source"
    assert duckdb.execute(query, [files]).fetchall() == [("crm", 3), ("news", 2), ("old", 5)]


def test_a_table_at_a_version(book: Notebook) -> None:
    newest = book.installation.lake.version("gold/customers")
    versions = {v: book.table("gold/customers", version=v) for v in (newest - 1, newest)}
    for version, view in versions.items():
        assert (
            view.arrow().column("attributes").to_pylist()
            == [orjson.dumps({"version": version}).decode().replace(":", ": ")] * 3
        )
        assert len(view.dask().compute(scheduler="synchronous")) == 3
    assert set(versions[newest].files()).isdisjoint(versions[newest - 1].files())
    with pytest.raises(NotFound, match="gold/customers: has no version 99"):
        book.table("gold/customers", version=99)


@pytest.mark.parametrize(
    ("when", "emails"),
    [
        ("2017-01-31", []),
        ("2017-02-01", ["dora@old.example"]),
        (date(2017, 4, 30), ["dora@old.example", "gone@old.example", "theo@old.example"]),
        ("2017-05-01T00:00:00Z", ["dora@new.example", "gone@old.example", "theo@old.example"]),
        (datetime(2017, 5, 1, 0, 0, tzinfo=UTC), ["dora@new.example", "gone@old.example", "theo@old.example"]),
        ("2017-06-01", ["dora@new.example", "theo@old.example"]),
    ],
)
def test_contact_records_as_of_a_date(when: Any, emails: list[str], book: Notebook) -> None:
    view = book.table("silver/contact_records", as_of=when)
    assert sorted(view.arrow().column("email").to_pylist()) == emails
    assert sorted(view.pandas()["email"]) == emails
    assert sorted(view.dask()["email"].compute(scheduler="synchronous")) == emails
    assert view.arrow().schema.equals(CONTACT_RECORDS.arrow)


def test_what_stands_now_is_a_word(book: Notebook) -> None:
    """Silver holds versions; a sum over all of them would count a record as often as it came."""
    every = book.table("silver/contact_records")
    view = every.current()
    expected = {"dora@new.example", "theo@old.example"}
    for emails in (view.arrow().column("email").to_pylist(), view.pandas()["email"], view.polars().collect()["email"],
                   view.dask()["email"].compute(scheduler="synchronous")):  # fmt: skip
        assert expected <= set(emails) and not {"dora@old.example", "gone@old.example"} & set(emails)
    keys = view.arrow().column("record_key").to_pylist()
    assert len(keys) == len(set(keys)) == len(view) == len(every) - 3
    assert view.arrow().schema.equals(CONTACT_RECORDS.arrow)
    links = book.table("identity/links").current().polars().filter(pl.col("record_key") == "old:t").collect()
    assert links["golden_id"].to_list() == ["g-d"]
    assert len(book.table("silver/documents").current()) == 0
    with pytest.raises(BadInput, match="gold/customers: keeps no validity"):
        book.table("gold/customers").current()
    as_of = book.table("silver/contact_records", as_of="2017-02-01")
    assert as_of.current() == as_of


def test_links_and_history_as_of_a_date(book: Notebook) -> None:
    def theodora(when: str) -> list[str]:
        rows = book.table("identity/links", as_of=when).polars().filter(pl.col("record_key") == "old:t").collect()
        return rows["golden_id"].to_list()

    assert (theodora("2017-02-28"), theodora("2017-07-31"), theodora("2017-08-01")) == ([], ["g-t"], ["g-d"])
    assert len(book.table("identity/history", as_of="2017-07-31")) == 0
    assert len(book.table("identity/history", as_of="2017-08-01").dask()) == 1
    assert len(book.table("registry/declarations", as_of="2017-12-31")) == 0
    assert len(book.table("registry/declarations", as_of="2018-01-01")) == 4


def test_what_cannot_be_read_says_so(book: Notebook, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"silver/persons: no such table; there are .*silver/interactions"):
        book.table("silver/persons")
    with pytest.raises(BadInput, match="gold/customers: keeps no validity"):
        book.table("gold/customers", as_of="2017-06-30")
    with pytest.raises(BadInput, match="a version or a date"):
        book.table("identity/links", version=1, as_of="2017-06-30")
    with pytest.raises(BadInput, match="ISO 8601"):
        book.table("identity/links", as_of="June")
    with pytest.raises(NotFound, match="onefold demo"):
        onefold.open(tmp_path / "nowhere")
    assert len(book.table("silver/documents")) == 0, "a declared table that is not there yet is empty"
    assert len(book.table("silver/documents").dask()) == 0
    assert book.table("silver/documents").files() == []


def test_a_day_stands_for_its_end() -> None:
    assert moment("2017-06-30") == datetime(2017, 6, 30, 23, 59, 59, 999999, tzinfo=UTC)
    assert moment("2017-06-30T12:00:00+02:00") == datetime(2017, 6, 30, 10, tzinfo=UTC)
    assert moment(datetime(2017, 6, 30, 12)) == datetime(2017, 6, 30, 12, tzinfo=UTC)


def test_a_customer_with_everything_known(book: Notebook) -> None:
    ann = book.customer("g-ann")
    assert ann.profile["given_name"] == "Annabel"
    assert ann.records["record_key"].to_list() == ["crm:1", "news:ann-1"]
    assert ann.interactions.height == 2
    assert ann.scores["model"].to_list() == ["churn"]
    assert ann.segments["segment"].to_list() == ["loyal"]
    assert ann.cases.height == ann.documents.height == ann.offers.height == 0
    assert ann.history["golden_id"].to_list() == ["g-old"]
    merged = book.customer("g-old")
    assert (merged.golden_id, merged.asked) == ("g-ann", "g-old")
    assert merged.profile == ann.profile
    with pytest.raises(NotFound, match="g-nobody"):
        book.customer("g-nobody")


def test_a_customer_as_of_a_date(book: Notebook) -> None:
    before = book.customer("g-t", as_of="2017-07-31")
    assert (before.golden_id, before.profile["email"]) == ("g-t", "theo@old.example")
    assert before.history.height == 0
    after = book.customer("g-t", as_of="2017-08-01")
    assert (after.golden_id, after.profile["records"]) == ("g-d", 2)
    assert set(after.profile["emails"]) == {"dora@new.example", "theo@old.example"}
    early = book.customer("g-d", as_of="2017-04-30")
    assert early.profile["emails"] == ["dora@old.example"]
    assert early.permissions.schema == after.permissions.schema
    assert early.scores.height == 0
    with pytest.raises(NotFound, match="g-t"):
        book.customer("g-t", as_of="2017-02-28")


def test_what_left_a_customer_is_no_longer_theirs(home: Path, tmp_path: Path) -> None:
    """A later version names another customer, or, as a deletion does, none."""

    def version(key: str, month: int, contact: str | None, **more: Any) -> dict[str, Any]:
        package = {"source": "old", "package_id": f"old-{month:08d}-x", "row_id": 0, "deleted": False}
        return {**package, "record_key": key, "effective_at": _at(month), "contact_key": contact, **more}

    shutil.copytree(home, tmp_path / "home")
    book = onefold.open(tmp_path / "home")
    for table, fields in (
        (INTERACTIONS, {"kind": "call"}),
        (CASES, {"kind": "ticket"}),
        (DOCUMENTS, {"object": "x"}),
    ):
        versions = [
            version("old:1", 3, "old:d"), version("old:1", 9, None, deleted=True),
            version("old:2", 3, "old:d"), version("old:2", 9, "crm:1"),
            version("old:3", 3, "crm:1"), version("old:3", 9, "old:t"),
        ]  # fmt: skip
        rows = pa.Table.from_pylist([v | fields for v in versions], schema=table.arrow)
        book.installation.lake.append(table.name, rows)
    for at, keys in ((None, ["old:3"]), ("2017-08-31", ["old:1", "old:2"])):
        dora = book.customer("g-d", as_of=at)
        for rows in (dora.interactions, dora.cases, dora.documents):
            assert rows["record_key"].to_list() == keys


def test_the_figures_of_a_model(book: Notebook) -> None:
    assert book.model("churn") == {"name": "churn", "version": "3", "metric": "auc", "value": 0.87}
    with pytest.raises(NotFound, match="value: no such model was trained; there are churn"):
        book.model("value")
    assert book.status()["models"][0]["name"] == "churn"


def test_the_home_comes_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFOLD_HOME", str(home))
    assert "silver/contact_records" in onefold.open().tables


def test_importing_onefold_imports_nothing_heavy() -> None:
    heavy = {"polars", "pyarrow", "pydantic", "dask", "deltalake"}
    code = f"import sys, onefold; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
