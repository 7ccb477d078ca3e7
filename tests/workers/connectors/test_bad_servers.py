"""Servers that say nothing, stop in the middle, lie about their length or stumble: one clear error, in bounded time."""

from __future__ import annotations

import runpy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from onefold_storage.errors import BadInput, OnefoldError, Unavailable
from onefold_workers import connectors
from onefold_workers.connectors import _imap_folder, _mqtt_session, _patience, _remote_systems

_places = runpy.run_path(str(Path(__file__).with_name("test_remote_files.py")))
SECRET = "s3cret-that-is-told-nobody"


@contextmanager
def _listening(answer: bytes) -> Iterator[int]:
    """A server that says `answer` to whoever connects, and then nothing; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
HERE = "http://127.0.0.1:{}"
SILENT: dict[str, tuple[str, str, dict[str, Any], bytes]] = {
    "http": ("files", "http://127.0.0.1:{}/a.csv", {}, b""),
    "http in the middle": ("files", "http://127.0.0.1:{}/a.csv", {}, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nid"),
    "sftp": ("files", "sftp://ann@127.0.0.1:{}/a.csv", {"storage": {"password": "${TRIAL}", "host_key": KEY}}, b""),
    "s3": ("files", "s3://drop/*.csv", {"storage": {"key": "a", "secret": "${TRIAL}", "endpoint_url": HERE}}, b""),
    "postgres": ("sql", "postgresql+psycopg://ann:${TRIAL}@127.0.0.1:{}/crm?connect_timeout=2", {"table": "x"}, b""),
    "rest": ("rest", "http://127.0.0.1:{}/v1", {"auth": {"token": "${TRIAL}"}, "timeout_s": 0.3, "attempts": 1}, b""),
    "mqtt": ("mqtt", "mqtt://127.0.0.1:{}", {"topics": ["a"], "username": "ann", "password": "${TRIAL}"}, b""),
    "imap": ("imap", "imap://127.0.0.1:{}", {"username": "ann", "password": "${TRIAL}"}, b""),
    "imap in the middle": ("imap", "imap://127.0.0.1:{}", {"username": "ann", "password": "${TRIAL}"}, b"* OK\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SILENT)
def test_a_server_that_says_nothing_is_waited_for_only_so_long(
    kind: str, contract: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module, name in (
        (_remote_systems, "_CONNECT_S"),
        (_remote_systems, "_READ_S"),
        (_mqtt_session, "_ANSWER_S"),
        (_imap_folder, "_TIMEOUT_S"),
    ):
        monkeypatch.setattr(module, name, 0.5)
    monkeypatch.setattr(_patience, "WAITS_S", ())
    monkeypatch.setenv("TRIAL", SECRET)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    connector, location, options, answer = SILENT[kind]
    began = time.monotonic()
    with _listening(answer) as port:
        given = {k: _at(port, v) for k, v in options.items()}
        made = contract(location.replace("{}", str(port)), connector, ("subject", "text"), **given)
        with pytest.raises((Unavailable, BadInput)) as caught:
            for delivery in connectors.deliveries(made, tmp_path):
                list(delivery.batches)
    assert isinstance(caught.value, Unavailable), caught.value
    assert time.monotonic() - began < 30
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value) + repr(caught.value.__cause__) + caplog.text


def _at(port: int, value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _at(port, v) for k, v in value.items()}
    return value.replace("{}", str(port)) if isinstance(value, str) else value


@contextmanager
def _web(answers: Callable[[BaseHTTPRequestHandler], tuple[int, int, bytes]]) -> Iterator[str]:
    """A web server that answers as it likes: status, the length that it tells, and what it sends."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            status, length, body = answers(self)
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name that the library looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


BODY = b"a,b\n1,x\n2,y\n"


@pytest.mark.parametrize(
    ("head", "told", "kind", "said"),
    [
        (1000, 1000, Unavailable, "cannot be read"),
        (12, 8, OnefoldError, "expected 12 bytes, found 8: it changed .*, or the server lies|cannot be read"),
        (8, 12, BadInput, "expected 8 bytes, found 12"),
    ],
)
def test_a_server_that_lies_about_its_length(
    head: int, told: int, kind: type[OnefoldError], said: str, read_all: Any
) -> None:
    with (
        _web(lambda asked: (200, head if asked.command == "HEAD" else told, BODY)) as url,
        pytest.raises(kind, match=said),
    ):
        read_all(f"{url}/a.csv")


def test_passing_faults_are_passed_over_and_lasting_ones_told(read_all: Any) -> None:
    moods = [503, 429]

    def answers(_: BaseHTTPRequestHandler) -> tuple[int, int, bytes]:
        status = moods.pop(0) if moods else 200
        return status, len(BODY), BODY

    with _web(answers) as url:
        assert len(read_all(f"{url}/a.csv")[0].rows) == 2
        moods[:] = [503] * 100
        with pytest.raises(Unavailable, match="the server answers 503"):
            read_all(f"{url}/a.csv")
        moods[:] = [401] * 9
        with pytest.raises(BadInput, match="refuses access"):
            read_all(f"{url}/a.csv")
        assert len(moods) >= 7, "what is refused is not asked again"


def test_an_sftp_server_that_stops_in_the_middle(
    tmp_path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_remote_systems, "_READ_S", 0.5)
    monkeypatch.setenv("TRIAL", _places["PASSWORD"])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.csv").write_bytes(BODY * 100_000)
    with (
        _places["_sftp"](tmp_path / "there", stalls_after=100_000) as (address, key),
        pytest.raises(Unavailable, match="cannot be read"),
    ):
        read_all(f"{address}/a.csv", storage={"password": "${TRIAL}", "host_key": key})


@pytest.mark.needs_services
def test_a_topic_that_floods_is_read_in_bounds_and_lands_once(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = runpy.run_path(str(Path(__file__).with_name("test_mqtt.py")))
    monkeypatch.setenv("MQTT_TEST_PASSWORD", served["PASSWORD"])
    broker = served["Broker"](tmp_path / "broker", free_port())
    broker.start()
    sent, enough = [0], threading.Event()

    def flood() -> None:
        while not enough.is_set():
            broker.publish([served["_event"](n) for n in range(sent[0], sent[0] + 200)])
            sent[0] += 200

    try:
        served["_land"](tmp_path, broker.url)
        flooding = threading.Thread(target=flood, daemon=True)
        flooding.start()
        while sent[0] < 400:
            time.sleep(0.05)
        for _ in range(2):
            found = served["_land"](tmp_path, broker.url, messages=50, packages=3)
            landed = [p.landed for p in found.packages]
            assert 1 <= len(landed) <= 3, "so much and no more, while it goes on"
            assert all(0 < n <= 50 for n in landed)
        enough.set()
        flooding.join(60)
        while served["_land"](tmp_path, broker.url).packages:
            pass
        assert served["_ids"](tmp_path) == list(range(sent[0]))
    finally:
        enough.set()
        broker.stop()
