"""A trial reads what it shows and little more, at every kind of source, and leaves no trace there."""

from __future__ import annotations

import gzip
import json
import runpy
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import orjson
import polars as pl
import pytest
import sqlalchemy as sa

from onefold_storage import contracts
from onefold_storage.errors import BadInput
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.stages.landing import land_source
from onefold_workers.trial import Trial, trial

CONNECTORS = Path(__file__).parent / "connectors"
NOW = datetime(2018, 2, 1, tzinfo=UTC)
_places = runpy.run_path(str(CONNECTORS / "test_remote_files.py"))


def _contract(
    connector: str,
    location: str,
    columns: tuple[str, ...] = ("id", "name"),
    delivery: str = "append",
    **options: Any,
) -> contracts.Contract:
    properties = [{"name": c, "logicalType": "string", "primaryKey": c == columns[0]} for c in columns]
    rules = {"connector": connector, "location": location, "options": options, "delivery": delivery}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "tried", "version": "1.0.0", "status": "active",
        "schema": [{"name": "tried", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip
    return contracts.parse(orjson.dumps(document).decode(), "tried.yaml")


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[..., Trial]:
    """`attempt(connector, location, columns, delivery, rows=…, **options)`."""

    def run(*given: Any, rows: int = 1000, **options: Any) -> Trial:
        return trial(_contract(*given, **options), tmp_path, NOW, rows=rows)

    return run


def test_a_query_is_read_no_further_than_it_is_shown(postgres: str, tmp_path: Path, attempt: Any) -> None:
    """Its row 5,000 cannot be computed, so whoever reads, or sorts, as far as that fails."""
    query = "select i as id, 1 / (5000 - i) as name from generate_series(1, 2000000) i"
    for rows in (20, 1000, 4999):
        found = attempt("sql", postgres, query=query, rows=rows)
        assert (found.sent, found.good) == (rows, rows)
    with pytest.raises(BadInput, match="22012"):
        attempt("sql", postgres, query=query, rows=5000)
    with pytest.raises(BadInput, match="22012"):
        list(connectors.deliveries(_contract("sql", postgres, query=query), tmp_path))


def test_a_table_or_view_is_asked_for_its_first_rows(postgres: str, attempt: Any) -> None:
    engine = sa.create_engine(postgres)
    with engine.begin() as connection:
        connection.exec_driver_sql("drop view if exists tried_view")
        view = "select i as id, 1 / (5000 - i) as name from generate_series(1, 2000000) i"
        connection.exec_driver_sql(f"create view tried_view as {view}")
    engine.dispose()
    found = attempt("sql", postgres, table="tried_view")
    assert (found.good, found.origins[0].endswith("#tried_view")) == (1000, True)


def test_a_database_file(tmp_path: Path, attempt: Any) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'crm.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("create table people (id integer primary key, name text)")
        connection.exec_driver_sql(
            "insert into people select value, 'P' || value from json_each(?)", (json.dumps([*range(3000)]),)
        )
    engine.dispose()
    for options in ({"table": "people"}, {"query": "select * from people"}):
        assert attempt("sql", "sqlite:///crm.db", **options).good == 1000


class _Endless(BaseHTTPRequestHandler):
    """A web server with a file that never ends."""

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        rows = b"".join(b"%d,Person %d\n" % (n, n) for n in range(10_000))
        with suppress(OSError):
            self.wfile.write(b"id,name\n")
            while True:
                self.wfile.write(rows)


def test_a_file_on_a_web_server_that_never_ends(tmp_path: Path, attempt: Any) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Endless) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/people.csv"
        found = attempt("files", url)
        table, _, options = connectors.sample(url, tmp_path, rows=10)
        server.shutdown()
    assert (found.sent, found.good, found.origins) == (1000, 1000, (url,))
    assert (table.column_names, table.num_rows) == (["id", "name"], 10)
    del options


def _large(folder: Path) -> None:
    """Thirty megabytes of rows, plain, packed, and in columns."""
    folder.mkdir()
    numbers = pl.int_range(1_500_000, eager=True).cast(pl.String)
    frame = pl.DataFrame({"id": numbers, "name": pl.select(pl.concat_str(pl.lit("Person "), numbers)).to_series()})
    frame.write_csv(folder / "a.csv")
    (folder / "b.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes(), 1))
    frame.write_parquet(folder / "c.parquet", row_group_size=50_000)


@pytest.mark.parametrize("name", ["a.csv", "b.csv.gz", "c.parquet"])
def test_of_a_large_file_on_an_sftp_server_only_a_part_is_asked_for(
    name: str, tmp_path: Path, attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever fetches it whole is refused, since it is larger than allowed."""
    monkeypatch.setenv("TRIED_SECRET", _places["PASSWORD"])
    _large(tmp_path / "there")
    with _places["_sftp"](tmp_path / "there") as (address, key):
        storage = {"password": "${TRIED_SECRET}", "host_key": key}
        found = attempt("files", f"{address}/{name}", storage=storage, max_fetched_bytes=100_000)
        with pytest.raises(BadInput, match="larger than 100000 bytes"):
            next(
                connectors.deliveries(
                    _contract("files", f"{address}/{name}", storage=storage, max_fetched_bytes=100_000), tmp_path
                )
            )
    assert (found.sent, found.good) == (1000, 1000)


@pytest.mark.parametrize("name", ["a.csv", "b.csv.gz", "c.parquet"])
def test_of_a_large_file_in_a_bucket_too(
    name: str, minio: Any, tmp_path: Path, attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIED_SECRET", minio.root_password)
    _large(tmp_path / "there")
    there = fsspec.filesystem(
        "s3", key=minio.root_user, secret=minio.root_password, use_listings_cache=False,
        client_kwargs={"endpoint_url": minio.endpoint}, skip_instance_cache=True,
    )  # fmt: skip
    bucket = f"tried-{uuid.uuid4().hex[:12]}"
    there.mkdir(bucket)
    there.put_file(str(tmp_path / "there" / name), f"{bucket}/{name}")
    storage = {"key": minio.root_user, "secret": "${TRIED_SECRET}", "endpoint_url": minio.endpoint}
    found = attempt("files", f"s3://{bucket}/{name}", storage=storage, max_fetched_bytes=100_000)
    assert (found.sent, found.good) == (1000, 1000)


def test_media_are_looked_at_fifty_at_most(tmp_path: Path, attempt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIED_SECRET", _places["PASSWORD"])
    (tmp_path / "there").mkdir()
    for n in range(60):
        (tmp_path / f"there/{n:02}.txt").write_text(f"A note {n}")
    with _places["_sftp"](tmp_path / "there") as (address, key):
        storage = {"password": "${TRIED_SECRET}", "host_key": key}
        for delivery in ("changes", "snapshot"):
            found = attempt("media", f"{address}/*.txt", ("path", "text"), delivery, storage=storage)
            assert (found.sent, found.good) == (50, 50)


def test_an_api_is_asked_for_as_many_pages_as_it_takes(attempt: Any) -> None:
    server = runpy.run_path(str(CONNECTORS / "crm_server.py"))
    people = [{"id": str(n), "name": f"P{n}", "updated": ""} for n in range(1000)]
    with server["serving"](server["Crm"]({"people": people}, page=10)) as crm:
        paginator = {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "after"}
        found = attempt("rest", f"{crm.url}/v1/people", rows=25, records="data", paginator=paginator)
        assert (found.sent, found.good, len(crm.asked)) == (25, 25, 3)


@pytest.mark.needs_dovecot
def test_of_a_mailbox_the_newest_two_hundred(
    attempt: Any, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = runpy.run_path(str(CONNECTORS / "mail_server.py"))
    monkeypatch.setenv("TRIED_SECRET", server["PASSWORD"])
    with server["serving"](free_port()) as mail:
        mail.put("s0")
        mail.fill(1, 1000)
        options = {"username": "ann", "password": "${TRIED_SECRET}"}
        for delivery in ("append", "snapshot"):
            found = attempt("imap", mail.url, ("sha256", "subject"), delivery, **options)
            assert (found.sent, found.good) == (200, 200)
        assert mail.seen() == 0


@pytest.mark.needs_services
def test_topics_are_heard_beside_the_session_that_lands(
    tmp_path: Path, attempt: Any, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source's session keeps its messages, and whoever listens under its name is not thrown out."""
    made = runpy.run_path(str(CONNECTORS / "test_mqtt.py"))
    monkeypatch.setenv("TRIED_SECRET", made["PASSWORD"])
    broker = made["Broker"](tmp_path / "broker", free_port())
    broker.start()
    options = {"topics": ["sources/#"], "username": "onefold", "password": "${TRIED_SECRET}", "wait_s": 0.3}
    contract = _contract("mqtt", broker.url, ("id",), **options)
    settings = StorageSettings(home=tmp_path / "home", now=NOW)
    try:
        assert land_source(settings, contract, tmp_path).packages == ()
        broker.publish([b'{"id": "kept"}'])
        ended = threading.Event()

        def send() -> None:
            while not ended.wait(0.1):
                broker.publish([b'{"id": "heard"}'])

        sending = threading.Thread(target=send)
        sending.start()
        try:
            found = attempt("mqtt", broker.url, ("id",), rows=3, **options)
        finally:
            ended.set()
            sending.join()
        assert (found.sent, found.good, found.unknown) == (3, 3, ("mqtt_topic",))
        (first, *_) = land_source(settings, contract, tmp_path).packages
        assert first.landed >= 4, "what was heard has not been taken from the source"
    finally:
        broker.stop()
