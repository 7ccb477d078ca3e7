"""Incremental reading of SQL tables, on SQLite and a real PostgreSQL: counts exact each time, nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from onefold_storage import contracts
from onefold_storage.errors import BadContract
from onefold_storage.installation import Installation
from onefold_storage.manifests import committed_bookmark
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.connectors import _adbc
from onefold_workers.connectors._database import Database
from onefold_workers.stages.landing import land_source


def _contract(location: str, delivery: str = "changes", **options: Any) -> contracts.Contract:
    columns = {"id": "integer", "name": "string", "changed": "timestamp" if "postgres" in location else "string"}
    properties = [{"name": n, "logicalType": t, "primaryKey": n == "id"} for n, t in columns.items()]
    rules = {"connector": "sql", "location": location, "options": options, "delivery": delivery}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "crm", "version": "1.0.0", "status": "active",
        "schema": [{"name": "crm", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip
    return contracts.parse(orjson.dumps(document).decode(), "crm.yaml")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs_postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, sa.Engine]]:
    """The URL as a contract has it, and an engine: a table `people` of four rows."""
    url = f"sqlite:///{tmp_path / 'crm.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    engine = sa.create_engine(url)
    kind = "timestamptz" if request.param == "postgres" else "text"
    with engine.begin() as c:
        c.execute(sa.text("drop table if exists people_read"))
        c.execute(sa.text(f"create table people_read (id integer primary key, name text, changed {kind})"))
        for n in range(4):
            when = None if n == 3 else f"2018-01-0{n + 1} 00:00:00+00"
            c.execute(sa.text("insert into people_read values (:i, 'A', :c)"), {"i": n, "c": when})
    yield url, engine
    with engine.begin() as c:
        c.execute(sa.text("drop table people_read"))
    engine.dispose()


def _none(*_: Any) -> Any:
    raise ImportError


@pytest.fixture(params=["as Arrow", "as rows"])
def land(
    request: pytest.FixtureRequest, tmp_path: Path, database: tuple[str, sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[tuple[int, int]], Any]]:
    """Land, by ADBC and without it, and give (landed, repeated) of each package and the errors."""
    if request.param == "as Arrow":
        monkeypatch.setattr(Database, "fetch", lambda *_: pytest.fail("was read the other way"))
    else:
        monkeypatch.setattr(_adbc, "_sqlite", _none)
        monkeypatch.setattr(_adbc, "_postgres", _none)

    def run(**options: Any) -> tuple[list[tuple[int, int]], Any]:
        settings = StorageSettings(home=tmp_path / "home", now=datetime(2018, 2, 1, tzinfo=UTC))
        given = {"table": "people_read", "cursor": "changed"} | options
        landed = land_source(settings, _contract(database[0], **given), tmp_path)
        return [(p.landed, p.repeated) for p in landed.packages], landed.errors

    return run


def test_only_what_is_new_or_changed_is_read(land: Any, database: Any, tmp_path: Path) -> None:
    engine = database[1]
    assert land() == ([(4, 0)], ())
    assert land() == ([(0, 2)], ())  # the last one, and the one that says nothing of when
    with engine.begin() as c:
        c.execute(sa.text("update people_read set name = 'B', changed = '2018-01-09 00:00:00+00' where id = 0"))
        c.execute(sa.text("insert into people_read values (8, 'C', '2018-01-08 00:00:00+00')"))
        c.execute(sa.text("update people_read set name = 'D' where id = 3"))
    assert land() == ([(3, 1)], ())
    with engine.begin() as c:  # a transaction that ended late
        c.execute(sa.text("insert into people_read values (9, 'E', '2018-01-08 23:59:58+00')"))
    assert land() == ([(0, 2)], ())
    found = land(cursor_lag=5)
    assert found == (([(0, 2)], ()) if engine.dialect.name == "sqlite" else ([(1, 2)], ()))
    mark = committed_bookmark(Installation(StorageSettings(home=tmp_path / "home")).lake, "crm")
    assert mark["cursor"].startswith("2018-01-09")


def test_a_cursor_needs_its_delivery_and_its_column(land: Any, database: Any, tmp_path: Path) -> None:
    with pytest.raises(BadContract, match="with a cursor it is `changes`"):
        list(
            connectors.deliveries(_contract(database[0], "append", table="people_read", cursor="changed"), tmp_path)
        )
    _, (said,) = land(cursor="nothing")
    assert "people_read has no column nothing" in said


def test_an_empty_table_has_no_bookmark(land: Any, database: Any) -> None:
    with database[1].begin() as c:
        c.execute(sa.text("delete from people_read"))
    assert land() == ([(0, 0)], ())
    with database[1].begin() as c:
        c.execute(sa.text("insert into people_read values (1, 'A', '2018-01-01 00:00:00+00')"))
    assert land() == ([(1, 0)], ())
    assert land() == ([(0, 1)], ())
