"""Files elsewhere: a real web server, SFTP server and MinIO; what has not changed is not fetched again."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh
import fsspec
import orjson
import pytest

from onefold_storage import contracts
from onefold_storage.errors import BadContract, BadInput, OnefoldError, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.stages.landing import Landed, land_source

PASSWORD = "s3cret-of-sftp"


@contextmanager
def _web(folder: Path, asked: list[str]) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def end_headers(self) -> None:
            file = Path(self.translate_path(self.path))
            if file.is_file():
                self.send_header("ETag", f'"{file.stat().st_mtime_ns}"')
            super().end_headers()

        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path == "/liar.csv":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"id,name\n1,A\n")
                return
            super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _sftp(folder: Path, stalls_after: int | None = None) -> Iterator[tuple[str, str]]:
    """A real SFTP server: its address, and its key as known_hosts writes it. After so many bytes it says nothing."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    loop, ready = asyncio.new_event_loop(), threading.Event()
    made: list[Any] = []

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("data", PASSWORD)

    class Files(asyncssh.SFTPServer):
        async def read(self, file: Any, offset: int, size: int) -> bytes:
            if stalls_after is not None and offset > stalls_after:
                await asyncio.sleep(60)
            found = super().read(file, offset, size)
            return bytes(await found if asyncio.iscoroutine(found) else found)

    async def serve() -> None:
        factory = partial(Files, chroot=str(folder).encode())
        made.append(
            await asyncssh.listen(
                "127.0.0.1", 0, server_factory=Server, server_host_keys=[key], sftp_factory=factory
            )
        )
        ready.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        public = key.export_public_key("openssh").decode().rsplit(" ", 1)[0]
        yield f"sftp://data@127.0.0.1:{made[0].get_port()}", key.export_public_key().decode().strip() or public
    finally:
        loop.call_soon_threadsafe(made[0].close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., Landed]:
    """`land(location, **options)`: land a source of an installation in `tmp_path`."""

    def run(location: str, **options: Any) -> Landed:
        settings = StorageSettings(home=tmp_path / "home", now=datetime(2018, 2, 1, tzinfo=UTC))
        return land_source(settings, _contract(location, **options), tmp_path)

    return run


def _contract(location: str, **options: Any) -> contracts.Contract:
    properties = [{"name": "id", "logicalType": "integer"}, {"name": "name", "logicalType": "string"}]
    rules = {"location": location, "options": options, "lawful_basis": "contract", "data_use": ["service"]}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "files", "version": "1.0.0", "status": "active",
        "schema": [{"name": "files", "properties": properties}],
        "customProperties": [{"property": "onefold", "value": rules}],
    }  # fmt: skip
    return contracts.parse(orjson.dumps(document).decode(), "files.yaml")


def _ids(folder: Path) -> list[int]:
    lake = Installation(StorageSettings(home=folder / "home")).lake
    return sorted(lake.scan("bronze/files").collect()["id"].to_list())


def _fill(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "a.csv").write_text("id,name\n1,A\n2,B\n")
    (folder / "b.csv.gz").write_bytes(gzip.compress(b"id,name\n3,C\n"))
    (folder / "c.ndjson").write_text('{"id": 4, "name": "D"}\n')


def _goes_its_way(land: Any, location: str, put: Callable[[str, bytes], None], folder: Path, options: Any) -> None:
    """First load, nothing new, something new, a changed file, a broken one: counts exact each time."""
    assert [p.landed for p in land(f"{location}/*.csv*", **options).packages] == [2, 1]
    assert land(f"{location}/*.csv*", **options) == Landed("files")
    put("d.csv", b"id,name\n5,E\n")
    put("a.csv", b"id,name\n1,A\n2,B\n6,F\n")
    put("broken.csv.gz", gzip.compress(b"id,name\n7,G\n8,H\n" * 50)[:-12])
    landed = land(f"{location}/*.csv*", **options)
    assert [p.landed for p in landed.packages] == [3, 1]
    assert len(landed.errors) == 1
    assert "broken.csv.gz" in landed.errors[0]
    put("broken.csv.gz", gzip.compress(b"id,name\n7,G\n"))
    assert [p.landed for p in land(f"{location}/*.csv*", **options).packages] == [1]
    assert land(f"{location}/*.csv*", **options) == Landed("files")
    assert _ids(folder) == [1, 1, 2, 2, 3, 5, 6, 7]
    (missing,) = land(f"{location}/*.parquet", **options).errors
    assert "no file matches" in missing


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    folder = tmp_path / "there"
    _fill(folder)
    with _sftp(folder) as (address, key):
        yield address, key, folder


def test_sftp(sftp: Any, land: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, key, folder = sftp
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    storage = {"password": "${SFTP_PASSWORD}", "host_key": key}

    def put(name: str, data: bytes) -> None:
        (folder / name).write_bytes(data)

    _goes_its_way(land, address, put, tmp_path, {"storage": storage})


def test_an_sftp_server_that_is_not_known_is_told_nothing(
    sftp: Any, land: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, key, _ = sftp
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SFTP_PASSWORD", "wrong-one")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    for host_key in (other, None):
        storage = {"password": "${SFTP_PASSWORD}"} | ({"host_key": host_key} if host_key else {})
        (said,) = land(f"{address}/a.csv", storage=storage).errors
        assert "the server refuses access, or is not who it was" in said
    (said,) = land(f"{address}/a.csv", storage={"password": "${SFTP_PASSWORD}", "host_key": key}).errors
    assert "refuses access" in said
    assert "wrong-one" not in said


def test_a_web_server(land: Any, tmp_path: Path) -> None:
    folder, asked = tmp_path / "there", list[str]()
    _fill(folder)
    with _web(folder, asked) as url:
        assert [p.landed for p in land(f"{url}/b.csv.gz").packages] == [1]
        asked.clear()
        assert land(f"{url}/b.csv.gz") == Landed("files")
        assert asked == []
        assert _ids(tmp_path) == [3]
        (folder / "b.csv.gz").write_bytes(gzip.compress(b"id,name\n3,C\n9,I\n"))
        assert [p.landed for p in land(f"{url}/b.csv.gz").packages] == [2]
        assert [p.landed for p in land(f"{url}/c.ndjson").packages] == [1]
        for path, said in (("nothing.csv", "no such file"), ("liar.csv", "cannot be read")):
            (error,) = land(f"{url}/{path}").errors
            assert said in error
        (error,) = land(f"{url}/a.csv", max_fetched_bytes=5).errors
        assert "larger than 5 bytes" in error
    (error,) = land(f"{url}/a.csv").errors
    assert "does not answer" in error


@pytest.mark.parametrize(
    ("location", "storage", "kind", "said"),
    [
        ("s3://x/*.csv", {"colour": "red"}, BadContract, "unknown; s3 knows key, secret"),
        ("s3://x/*.csv", {"secret": "written-out"}, BadContract, "is a secret"),
        ("s3://x/*.csv", {"secret": "${NO_SUCH}"}, BadInput, "NO_SUCH is not set"),
        ("s3://x/*.csv", {"endpoint_url": "http://127.0.0.1:9", "anon": True}, Unavailable, "cannot be read"),
    ],
)
def test_wrong_options_are_told(
    tmp_path: Path, location: str, storage: dict[str, Any], kind: type[OnefoldError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        list(connectors.deliveries(_contract(location, storage=storage), tmp_path))
    assert "written-out" not in str(caught.value)


def test_a_foreign_bucket(
    bucket: dict[str, Any], land: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = StorageSettings(**bucket)
    assert given.s3_secret_key is not None
    monkeypatch.setenv("FOREIGN_SECRET", given.s3_secret_key.get_secret_value())
    storage = {"key": given.s3_access_key, "secret": "${FOREIGN_SECRET}", "endpoint_url": given.s3_endpoint}
    there = fsspec.filesystem(
        "s3", key=given.s3_access_key, secret=given.s3_secret_key.get_secret_value(), use_listings_cache=False,
        client_kwargs={"endpoint_url": given.s3_endpoint},
    )  # fmt: skip
    base = given.lake.removeprefix("s3://") + "/drop"
    _fill(tmp_path / "here")
    for file in (tmp_path / "here").iterdir():
        there.pipe_file(f"{base}/{file.name}", file.read_bytes())
    _goes_its_way(
        land,
        f"s3://{base}",
        lambda name, data: there.pipe_file(f"{base}/{name}", data),
        tmp_path,
        {"storage": storage},
    )
    (said,) = land(f"s3://{base}/*", storage=storage | {"key": "nobody"}).errors
    assert "refuses access" in said or "cannot be read" in said
    assert "FOREIGN_SECRET" not in said
