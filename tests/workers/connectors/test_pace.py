"""Each kind of server is asked no faster than its contract says, and what comes is whole.

A pace cannot be held and the walk be quicker than all but the first piece takes: so each test bounds its duration from
below, which holds on a slow machine too.
"""

from __future__ import annotations

import os
import runpy
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest
import sqlalchemy as sa

from onefold_storage import contracts
from onefold_storage.errors import BadContract
from onefold_storage.installation import Installation
from onefold_storage.pace import Pace
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.stages.landing import Landed, land_source

HERE = Path(__file__).parent
_places = runpy.run_path(str(HERE / "test_remote_files.py"))


def _contract(
    connector: str, location: str, columns: tuple[str, ...], options: dict[str, Any]
) -> contracts.Contract:
    properties = [{"name": c, "logicalType": "string", "primaryKey": c == columns[0]} for c in columns]
    rules = {"connector": connector, "location": location, "options": options, "delivery": "changes"}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "paced", "version": "1.0.0", "status": "active",
        "schema": [{"name": "paced", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip
    return contracts.parse(orjson.dumps(document).decode(), "paced.yaml")


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., tuple[int, float]]:
    """`land(connector, location, columns, **options)`: rows landed, each key once, and the seconds it took."""

    def run(connector: str, location: str, columns: tuple[str, ...] = ("id", "name"), **options: Any) -> Any:
        settings = StorageSettings(home=tmp_path / "home", now=datetime(2018, 2, 1, tzinfo=UTC))
        began = time.monotonic()
        found: Landed = land_source(settings, _contract(connector, location, columns, options), tmp_path)
        took = time.monotonic() - began
        assert found.errors == ()
        keys = Installation(settings).lake.scan("bronze/paced").collect()[columns[0]]
        assert keys.n_unique() == keys.len()
        return sum(p.landed for p in found.packages), took

    return run


def test_a_pace_lets_no_more_through_than_it_says_and_saves_nothing_up() -> None:
    pace, began = Pace(100), time.monotonic()
    for _ in range(20):
        pace.wait(5)
    assert time.monotonic() - began >= 95 / 100
    time.sleep(0.3)
    began = time.monotonic()
    for _ in range(3):
        pace.wait(10)
    assert time.monotonic() - began >= 20 / 100, "what was not asked for is no credit"
    free, began = Pace(None), time.monotonic()
    for _ in range(1000):
        free.wait(1e9)
    assert (free.owed(), Pace(2.5).piece(100), Pace(0.1).piece(100), free.piece(100)) == (0.0, 2, 1, 100)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_rows_of_a_database(kind: str, tmp_path: Path, request: pytest.FixtureRequest, land: Any) -> None:
    url = "sqlite:///crm.db" if kind == "sqlite" else request.getfixturevalue("postgres")
    rows = [{"id": f"{n:04}", "name": f"Person {n}"} for n in range(450)]
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'crm.db'}" if kind == "sqlite" else url)
    with engine.begin() as connection:
        connection.exec_driver_sql("drop table if exists paced_people")
        connection.exec_driver_sql("create table paced_people (id text primary key, name text)")
        connection.execute(sa.text("insert into paced_people values (:id, :name)"), rows)
    engine.dispose()
    found, took = land("sql", url, table="paced_people", rows_per_second=200)
    assert found == 450
    assert took >= (450 - 50) / 200 - 0.01
    assert land("sql", url, table="paced_people")[0] == 0, "the same result, however fast it was read"


def _here(folder: Path, stack: ExitStack, request: Any) -> tuple[str, dict[str, Any]]:
    """The folder's files on the server that the test's kind names."""
    kind = request.node.callspec.params["kind"]
    if kind == "http":
        return stack.enter_context(_places["_web"](folder, [])), {}
    if kind == "sftp":
        address, key = stack.enter_context(_places["_sftp"](folder))
        os.environ["PACED_SECRET"] = _places["PASSWORD"]
        return address, {"password": "${PACED_SECRET}", "host_key": key}
    server = request.getfixturevalue("minio")
    os.environ["PACED_SECRET"] = server.root_password
    storage = {"key": server.root_user, "endpoint_url": server.endpoint}
    there = fsspec.filesystem(
        "s3", key=server.root_user, secret=server.root_password, use_listings_cache=False,
        client_kwargs={"endpoint_url": server.endpoint}, skip_instance_cache=True,
    )  # fmt: skip
    bucket = f"paced-{time.monotonic_ns()}"
    there.mkdir(bucket)
    for file in folder.iterdir():
        there.pipe_file(f"{bucket}/{file.name}", file.read_bytes())
    return f"s3://{bucket}", {**storage, "secret": "${PACED_SECRET}"}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setenv("PACED_SECRET", "")
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("kind", ["http", "sftp", "s3"])
def test_bytes_of_a_file_elsewhere(
    kind: str, tmp_path: Path, stack: ExitStack, request: pytest.FixtureRequest, land: Any
) -> None:
    (tmp_path / "there").mkdir()
    text = "id,name\n" + "".join(f"{n},{'x' * 90}\n" for n in range(10_000))
    (tmp_path / "there/a.csv").write_text(text)
    url, storage = _here(tmp_path / "there", stack, request)
    found, took = land("files", f"{url}/a.csv", storage=storage, bytes_per_second=400_000)
    assert found == 10_000
    assert took >= (len(text) - 400_000) / 400_000 - 0.01
    del kind


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_requests_for_files_elsewhere(
    kind: str, tmp_path: Path, stack: ExitStack, request: pytest.FixtureRequest, land: Any
) -> None:
    """One listing and nine files."""
    (tmp_path / "there").mkdir()
    for n in range(9):
        (tmp_path / f"there/{n}.csv").write_text(f"id,name\n{n},A\n")
    url, storage = _here(tmp_path / "there", stack, request)
    found, took = land("files", f"{url}/*.csv", storage=storage, requests_per_second=6)
    assert found == 9
    assert took >= 9 / 6 - 0.01
    del kind


@pytest.mark.parametrize("kind", ["sftp"])
def test_media_elsewhere(
    kind: str, tmp_path: Path, stack: ExitStack, request: pytest.FixtureRequest, land: Any
) -> None:
    (tmp_path / "there").mkdir()
    for n in range(6):
        (tmp_path / f"there/{n}.txt").write_text(f"A note {n}")
    url, storage = _here(tmp_path / "there", stack, request)
    found, took = land("media", f"{url}/*.txt", ("path", "text"), storage=storage, requests_per_second=4)
    assert found == 6
    assert took >= 6 / 4 - 0.01
    del kind


@pytest.mark.parametrize("connector", ["files", "media"])
def test_a_limit_for_this_machines_own_disk_is_refused(connector: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,A\n")
    contract = _contract(connector, "a.csv", ("id", "name"), {"bytes_per_second": 5})
    for first in (None, 10):
        with pytest.raises(BadContract, match="are for files on a server, and these lie on this machine"):
            list(connectors.deliveries(contract, tmp_path, first=first))


def test_requests_to_an_api_with_tokens_and_further_attempts(land: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven pages, of which one is asked for twice, and two tokens."""
    monkeypatch.setenv("CRM_SECRET", "s3cret")
    server = runpy.run_path(str(HERE / "crm_server.py"))
    people = [{"id": str(n), "name": f"P{n}", "updated": ""} for n in range(70)]
    made = server["Crm"]({"people": people}, page=10, token_uses=5, moods=[(429, {"Retry-After": "0"})])
    with server["serving"](made) as crm:
        token = {"type": "oauth2_client_credentials", "client_id": "onefold", "client_secret": "${CRM_SECRET}"}
        options = {
            "auth": token | {"token_url": f"{crm.url}/token"}, "records": "data",
            "paginator": {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "after"},
        }  # fmt: skip
        found, took = land("rest", f"{crm.url}/v1/people", requests_per_second=5, **options)
        asked = len(crm.asked) + len(crm.tokens)
    assert (found, len(crm.tokens)) == (70, 2)
    assert asked >= 7 + 1 + 2
    assert took >= (asked - 1) / 5 - 0.01


@pytest.mark.needs_dovecot
def test_mails(tmp_path: Path, free_port: Callable[[], int], land: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = runpy.run_path(str(HERE / "mail_server.py"))
    monkeypatch.setenv("MAIL_TEST_PASSWORD", server["PASSWORD"])
    options = {"username": "ann", "password": "${MAIL_TEST_PASSWORD}"}
    columns = ("sha256", "subject")
    with server["serving"](free_port()) as mail:
        mail.put("s0")
        mail.fill(1, 300)
        size = sum(f.stat().st_size for f in (mail.folder / "cur").iterdir())
        found, took = land("imap", mail.url, columns, bytes_per_second=60_000, **options)
        assert found == 300
        assert took >= (size - 60_000) / 60_000 - 0.01
        mail.fill(300, 320)
        found, took = land("imap", mail.url, columns, requests_per_second=4, mails=5, **options)
    assert found == 20
    assert took >= (1 + 4 * 2 - 1) / 4 - 0.01, "a search, and for each package the sizes and the mails"
