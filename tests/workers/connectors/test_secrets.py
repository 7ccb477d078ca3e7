"""Secrets: with a wrong password, every kind of source says so, and neither it nor a row is told to anybody.

`onefold source test` is asked, as a person would, of a real counterpart of each kind: with the right password it
reads, with a wrong one it ends with one line. Output, errors and logs of both are searched.
"""

from __future__ import annotations

import base64
import logging
import runpy
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from onefold import cli
from onefold_storage.errors import OnefoldError

HERE = Path(__file__).parent
RIGHT = "r1ght-password-of-the-source"
WRONG = "wr0ng-password-of-the-source"
PERSON = "Gwendolyn-Hidden"
BODY = f"id,name\n1,{PERSON}\n".encode()


@dataclass
class Source:
    """Where it is, and how it is asked. `secret`: the right one; `rows`: how many come."""

    connector: str
    location: str
    options: dict[str, Any] = field(default_factory=dict)
    secret: str = RIGHT
    rows: int = 1


def _load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(HERE / name))


def _sftp(folder: Path, _request: Any, stack: ExitStack) -> Source:
    (folder / "there").mkdir()
    (folder / "there/a.csv").write_bytes(BODY)
    places = _load("test_remote_files.py")
    address, key = stack.enter_context(places["_sftp"](folder / "there"))
    storage = {"password": "${TRIAL_SECRET}", "host_key": key}
    return Source("files", f"{address}/a.csv", {"storage": storage}, places["PASSWORD"])


@contextmanager
def _guarded() -> Iterator[str]:
    expected = "Basic " + base64.b64encode(f"ann:{RIGHT}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            fits = self.headers.get("Authorization") == expected
            self.send_response(200 if fits else 401)
            self.send_header("Content-Length", str(len(BODY) if fits else 0))
            self.end_headers()
            self.wfile.write(BODY if fits and self.command == "GET" else b"")

        do_HEAD = do_GET  # noqa: N815 - the name that the library looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _http(_folder: Path, _request: Any, stack: ExitStack) -> Source:
    url = stack.enter_context(_guarded())
    return Source("files", f"{url}/a.csv", {"storage": {"username": "ann", "password": "${TRIAL_SECRET}"}})


def _s3(_folder: Path, request: Any, _stack: ExitStack) -> Source:
    server = request.getfixturevalue("minio")
    there = fsspec.filesystem(
        "s3", key=server.root_user, secret=server.root_password, client_kwargs={"endpoint_url": server.endpoint}
    )
    drop = f"drop-{uuid.uuid4().hex[:12]}"
    there.mkdir(drop)
    there.pipe_file(f"{drop}/a.csv", BODY)
    storage = {"key": server.root_user, "secret": "${TRIAL_SECRET}", "endpoint_url": server.endpoint}
    return Source("files", f"s3://{drop}/*.csv", {"storage": storage}, server.root_password)


def _postgres(_folder: Path, request: Any, stack: ExitStack) -> Source:
    """The tests' server trusts everybody; here is one whom it asks for a password."""
    url = request.getfixturevalue("postgres")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    stack.callback(engine.dispose)
    connection = stack.enter_context(engine.connect())
    rules = Path(connection.exec_driver_sql("show hba_file").scalar_one())
    before = rules.read_text()
    rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
    connection.exec_driver_sql(f"create role guarded login password '{RIGHT}'")
    connection.exec_driver_sql("create table guarded (id int primary key, name text)")
    connection.exec_driver_sql(f"insert into guarded values (1, '{PERSON}')")
    connection.exec_driver_sql("grant select on guarded to guarded")
    connection.exec_driver_sql("select pg_reload_conf()")

    def restore() -> None:
        connection.exec_driver_sql("drop table guarded; drop role guarded")
        rules.write_text(before)
        connection.exec_driver_sql("select pg_reload_conf()")

    stack.callback(restore)
    return Source("sql", url.replace("onefold@", "guarded:${TRIAL_SECRET}@"), {"table": "guarded"})


def _rest(_folder: Path, _request: Any, stack: ExitStack) -> Source:
    server = _load("crm_server.py")
    people = [{"id": 1, "name": PERSON, "updated": ""}]
    crm = stack.enter_context(server["serving"](server["Crm"]({"people": people}, tokens={RIGHT: 100})))
    return Source("rest", f"{crm.url}/v1/people", {"auth": {"token": "${TRIAL_SECRET}"}, "records": "data"})


def _mqtt(folder: Path, request: Any, stack: ExitStack) -> Source:
    request.getfixturevalue("require")("services")
    served = _load("test_mqtt.py")
    broker = served["Broker"](folder / "broker", request.getfixturevalue("free_port")())
    broker.start()
    stack.callback(broker.stop)
    options = {"topics": ["a/#"], "username": "onefold", "password": "${TRIAL_SECRET}", "wait_s": 0.3}
    return Source("mqtt", broker.url, options, served["PASSWORD"], rows=0)


def _imap(_folder: Path, request: Any, stack: ExitStack) -> Source:
    request.getfixturevalue("require")("dovecot")
    served = _load("mail_server.py")
    mailbox = stack.enter_context(served["serving"](request.getfixturevalue("free_port")()))
    mailbox.put(PERSON)
    return Source("imap", mailbox.url, {"username": "ann", "password": "${TRIAL_SECRET}"}, served["PASSWORD"])


KINDS = {
    "sftp": _sftp,
    "http": _http,
    "s3": _s3,
    "postgres": _postgres,
    "rest": _rest,
    "mqtt": _mqtt,
    "imap": _imap,
}


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:
        yield KINDS[request.param](tmp_path, request, stack)


def _contract(source: Source) -> str:
    key, other = ("sha256", "subject") if source.connector == "imap" else ("id", "name")
    properties = [
        {"name": key, "logicalType": "string", "primaryKey": True},
        {"name": other, "logicalType": "string"},
    ]
    rules = {"connector": source.connector, "location": source.location, "options": source.options}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "guarded", "version": "1.0.0", "status": "active",
        "schema": [{"name": "guarded", "properties": properties}],
        "customProperties": [{"property": "onefold", "value": {
            **rules, "delivery": "append" if source.connector == "mqtt" else "changes", "lawful_basis": "contract",
            "data_use": ["service"]}}],
    }  # fmt: skip
    return orjson.dumps(document).decode()


def test_a_wrong_password_is_told_to_nobody(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "guarded.yaml"
    file.write_text(_contract(source))
    monkeypatch.setenv("TRIAL_SECRET", source.secret)
    asked = CliRunner().invoke(cli.app, ["source", "test", str(file)])
    assert asked.exit_code == 0, asked.output
    assert f"{source.rows} rows tried" in asked.output
    assert not _told(asked, source.secret, PERSON)

    caplog.clear()
    monkeypatch.setenv("TRIAL_SECRET", WRONG)
    asked = CliRunner().invoke(cli.app, ["source", "test", str(file)])
    assert isinstance(asked.exception, OnefoldError)
    said = str(asked.exception)
    assert "\n" not in said
    assert any(word in said for word in ("refuse", "password authentication failed")), said
    assert not _told(asked, WRONG, source.secret, PERSON)
    assert WRONG not in caplog.text
    assert base64.b64encode(f"ann:{WRONG}".encode()).decode() not in caplog.text
    assert PERSON not in caplog.text


def _told(asked: Any, *hidden: str) -> list[str]:
    """Which of the hidden words stand in what was printed, in the error, or in those behind it."""
    texts, error = [asked.output, asked.stderr], asked.exception
    while error is not None:
        texts.append(f"{error!r} {error}")
        error = error.__cause__
    return [h for h in hidden if any(h in t for t in texts)]
