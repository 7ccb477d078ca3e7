"""The same walk for every kind of source, against a real counterpart of each.

First load, nothing new, something new, changed rows, deleted rows, a schema change, and killed in the middle and
resumed: counts exact each time, nothing twice. What only one kind has (bookmarks, cursors, tokens) stands beside.
"""

from __future__ import annotations

import csv
import gzip
import io
import multiprocessing
import os
import runpy
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import orjson
import polars as pl
import pytest
import sqlalchemy as sa

from onefold_storage import contracts
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.stages.landing import land_source

HERE = Path(__file__).parent
PROGRAM = HERE / "land_once_program.py"
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["onefold_workers.stages.landing", "onefold_workers.connectors.sql"])
Row = dict[str, Any]


@dataclass
class Source:
    """A source and its table: `put` makes the rows all that there is. `lake`: settings of where it lands."""

    connector: str
    location: str
    put: Callable[[list[Row]], None]
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    lake: dict[str, Any] = field(default_factory=dict)


def _csv(rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _zipped(rows: list[Row]) -> bytes:
    return gzip.compress(_csv(rows))


def _into(path: Path, form: Callable[[list[Row]], bytes]) -> Callable[[list[Row]], None]:
    path.parent.mkdir(exist_ok=True)

    def put(rows: list[Row]) -> None:
        path.with_suffix(".new").write_bytes(form(rows))
        path.with_suffix(".new").replace(path)

    return put


def _table(engine: sa.Engine, name: str) -> Callable[[list[Row]], None]:
    def put(rows: list[Row]) -> None:
        columns = ", ".join(f"{c} {'integer primary key' if c == 'id' else 'text'}" for c in rows[0])
        with engine.begin() as c:
            c.execute(sa.text(f"drop table if exists {name}"))
            c.execute(sa.text(f"create table {name} ({columns})"))
            c.execute(sa.text(f"insert into {name} values ({', '.join(f':{k}' for k in rows[0])})"), rows)

    return put


def _local(folder: Path, _request: Any, _stack: ExitStack) -> Source:
    return Source("files", "there/people.csv", _into(folder / "there/people.csv", _csv))


def _http(folder: Path, _request: Any, stack: ExitStack) -> Source:
    put = _into(folder / "there/people.csv.gz", _zipped)
    url = stack.enter_context(_places()["_web"](folder / "there", []))
    return Source("files", f"{url}/people.csv.gz", put)


def _sftp(folder: Path, _request: Any, stack: ExitStack) -> Source:
    put = _into(folder / "there/people.csv", _csv)
    address, key = stack.enter_context(_places()["_sftp"](folder / "there"))
    storage = {"password": "${SFTP_PASSWORD}", "host_key": key}
    secret = {"SFTP_PASSWORD": _places()["PASSWORD"]}
    return Source("files", f"{address}/*.csv", put, {"storage": storage}, secret)


def _s3(_folder: Path, request: Any, _stack: ExitStack) -> Source:
    """A foreign bucket, whose credentials are not the lake's, beside a lake that lies in a bucket itself."""
    server, lake = request.getfixturevalue("minio"), request.getfixturevalue("bucket")
    there = fsspec.filesystem(
        "s3", key=server.root_user, secret=server.root_password, use_listings_cache=False,
        client_kwargs={"endpoint_url": server.endpoint}, skip_instance_cache=True,
    )  # fmt: skip
    drop = f"drop-{uuid.uuid4().hex[:12]}"
    there.mkdir(drop)
    storage = {"key": server.root_user, "secret": "${DROP_SECRET}", "endpoint_url": server.endpoint}
    return Source(
        "files", f"s3://{drop}/in/*.csv.gz", lambda rows: there.pipe_file(f"{drop}/in/people.csv.gz", _zipped(rows)),
        {"storage": storage}, {"DROP_SECRET": server.root_password}, lake,
    )  # fmt: skip


def _sqlite(folder: Path, _request: Any, stack: ExitStack) -> Source:
    engine = sa.create_engine(f"sqlite:///{folder / 'crm.db'}")
    stack.callback(engine.dispose)
    return Source("sql", "sqlite:///crm.db", _table(engine, "people"), {"table": "people"})


def _postgres(_folder: Path, request: Any, stack: ExitStack) -> Source:
    url = request.getfixturevalue("postgres")
    engine = sa.create_engine(url)
    stack.callback(engine.dispose)
    return Source("sql", url, _table(engine, "people_each"), {"table": "people_each"})


def _rest(_folder: Path, _request: Any, stack: ExitStack) -> Source:
    server = runpy.run_path(str(HERE / "crm_server.py"))
    crm = stack.enter_context(server["serving"](server["Crm"]({"people": []}, page=1000)))

    def put(rows: list[Row]) -> None:
        crm.tables["people"] = [r | {"updated": ""} for r in rows]

    paginator = {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "after"}
    return Source("rest", f"{crm.url}/v1/people", put, {"records": "data", "paginator": paginator})


KINDS = {
    "local": _local,
    "http": _http,
    "sftp": _sftp,
    "s3": _s3,
    "sqlite": _sqlite,
    "postgres": _postgres,
    "rest": _rest,
}


def _places() -> dict[str, Any]:
    if not _loaded:
        _loaded.update(runpy.run_path(str(HERE / "test_remote_files.py")))
    return _loaded


_loaded: dict[str, Any] = {}


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    with ExitStack() as stack:
        made = KINDS[request.param](tmp_path, request, stack)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def _contract(source: Source) -> str:
    columns = {"id": "integer", "name": "string"}
    properties = [{"name": n, "logicalType": t, "primaryKey": n == "id"} for n, t in columns.items()]
    rules = {"connector": source.connector, "location": source.location, "options": source.options}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "people", "version": "1.0.0", "status": "active",
        "schema": [{"name": "people", "properties": properties}],
        "customProperties": [{"property": "onefold", "value": {
            **rules, "delivery": "snapshot", "lawful_basis": "contract", "data_use": ["service"]}}],
    }  # fmt: skip
    return orjson.dumps(document).decode()


def _settings(source: Source, folder: Path) -> dict[str, Any]:
    return {"home": folder / "home", **source.lake}


def _land(source: Source, folder: Path) -> tuple[int, int]:
    """Rows landed and failed."""
    settings = StorageSettings(now=datetime(2018, 2, 1, tzinfo=UTC), **_settings(source, folder))
    found = land_source(settings, contracts.parse(_contract(source), "people.yaml"), folder)
    assert found.errors == ()
    assert all(p.sent == p.landed + p.failed + p.repeated for p in found.packages if p.status == "committed")
    return sum(p.landed for p in found.packages if p.status == "committed"), sum(p.failed for p in found.packages)


def _bronze(source: Source, folder: Path) -> pl.DataFrame:
    lake = Installation(StorageSettings(**_settings(source, folder))).lake
    return lake.scan("bronze/people").sort("_package_id", "_row_id").collect()


def _people(first: int, last: int) -> list[Row]:
    return [{"id": n, "name": f"Person {n}"} for n in range(first, last)]


def test_each_source_goes_its_way(source: Source, tmp_path: Path) -> None:
    rows = _people(0, 50)
    source.put(rows)
    assert _land(source, tmp_path) == (50, 0), "first load"
    assert _land(source, tmp_path) == (0, 0), "nothing new"
    source.put(rows := [*rows, *_people(50, 60)])
    assert _land(source, tmp_path) == (10, 0), "something new"
    rows[3] = rows[3] | {"name": "Renamed"}
    source.put(rows)
    assert _land(source, tmp_path) == (1, 0), "a changed row"
    source.put(rows := rows[5:])
    assert _land(source, tmp_path) == (0, 0), "deleted rows bring none"
    gone = _bronze(source, tmp_path).filter(pl.col("_deleted"))
    assert sorted(gone["id"].to_list()) == [0, 1, 2, 3, 4], "and are told as deleted"
    assert _land(source, tmp_path) == (0, 0), "once"
    source.put([r | {"city": f"City {r['id']}"} for r in [*rows, *_people(60, 61)]])
    assert _land(source, tmp_path) == (1, 0), "a column more makes no row new"
    landed = _bronze(source, tmp_path)
    extra = [orjson.loads(e).get("city") for e in landed["_extra"].drop_nulls()]
    assert [e for e in extra if e] == ["City 60"], "and what is new keeps it"
    assert landed.filter(~pl.col("_deleted"))["id"].n_unique() == 61


def test_each_source_killed_in_the_middle_is_resumed(source: Source, tmp_path: Path) -> None:
    rows = _people(0, 6000)
    for wait in (0.0, 0.15, 0.4):
        source.put(rows)
        _killed(source, tmp_path, wait)
        rows = [*rows, *_people(len(rows), len(rows) + 500)]
    source.put(rows)
    _land(source, tmp_path)
    landed = _bronze(source, tmp_path)
    assert (landed.height, landed["id"].n_unique()) == (7500, 7500), "each once"
    assert _land(source, tmp_path) == (0, 0)


def _killed(source: Source, folder: Path, wait: float) -> None:
    """Land in a process of its own, and kill it so many seconds after it began."""
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    given = {
        "settings": _settings(source, folder), "contract": _contract(source), "folder": str(folder),
        "ready": str(ready), "environment": {**source.environment, "ONEFOLD_HOME": os.environ["ONEFOLD_HOME"]},
    }  # fmt: skip
    process = _context.Process(
        target=runpy.run_path, args=(str(PROGRAM),), kwargs={"init_globals": {"given": given}}
    )
    process.start()
    ends = time.monotonic() + 60
    while not ready.exists() and process.is_alive() and time.monotonic() < ends:
        time.sleep(0.005)
    assert ready.exists()
    time.sleep(wait)
    process.kill()
    process.join()
