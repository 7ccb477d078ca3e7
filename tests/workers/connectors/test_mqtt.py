"""MQTT with a real broker: devices publish, the lander is killed at any moment, each message lands exactly once."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from typer.testing import CliRunner

from onefold import cli
from onefold_storage import contracts
from onefold_storage.errors import BadInput, OnefoldError, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.connectors import mqtt as connector
from onefold_workers.stages.landing import Landed, land_source

pytestmark = pytest.mark.needs_services
PROGRAM = Path(__file__).with_name("mqtt_program.py")
PASSWORD = "s3cret-of-the-broker"
_context = multiprocessing.get_context("forkserver")


class Broker:
    """A mosquitto of its own, which keeps what it holds over a restart."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url, self._port = f"mqtt://127.0.0.1:{port}", port
        folder.mkdir()
        folder.chmod(0o700)
        passwords, self._conf = folder / "passwords", folder / "mosquitto.conf"
        subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "onefold", PASSWORD], check=True)
        user = "root" if os.getuid() == 0 else ""
        self._conf.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\nautosave_interval 1\n"
            + (f"user {user}\n" if user else "")
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        found = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or "mosquitto"
        self._process = subprocess.Popen([found, "-c", str(self._conf)], stderr=subprocess.DEVNULL)
        self.publish([])

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(10)

    def publish(self, payloads: list[bytes], topic: str = "sources/devices/7") -> None:
        """Send, each acknowledged by the broker."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.username_pw_set("onefold", PASSWORD)
        for _ in range(100):
            try:
                client.connect("127.0.0.1", self._port)
                break
            except OSError:
                time.sleep(0.05)
        client.loop_start()
        sent = [client.publish(topic, p, qos=1) for p in payloads]
        for one in sent:
            one.wait_for_publish(20)
        client.disconnect()
        client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    monkeypatch.setenv("MQTT_TEST_PASSWORD", PASSWORD)
    made = Broker(tmp_path / "broker", free_port())
    made.start()
    yield made
    made.stop()


COLUMNS = {"id": "integer", "celsius": "number", connector.TOPIC: "string"}


def _text(url: str, columns: dict[str, str] = COLUMNS, **options: Any) -> str:
    properties = [{"name": n, "logicalType": t, "required": n == "id"} for n, t in columns.items()]
    given = {
        "topics": ["sources/devices/#"], "username": "onefold", "password": "${MQTT_TEST_PASSWORD}", "wait_s": 0.3,
        **options,
    }  # fmt: skip
    rules = {"connector": "mqtt", "location": url, "options": given}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "devices", "version": "1.0.0", "status": "active",
        "schema": [{"name": "devices", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip
    return orjson.dumps(document).decode()


def _land(folder: Path, url: str, columns: dict[str, str] = COLUMNS, **options: Any) -> Landed:
    settings = StorageSettings(home=folder / "home", now=datetime(2018, 2, 1, tzinfo=UTC))
    return land_source(settings, contracts.parse(_text(url, columns, **options), "devices.yaml"), folder)


def _event(n: int) -> bytes:
    return json.dumps({"id": n, "celsius": 20.5}).encode()


def _ids(folder: Path) -> list[int]:
    lake = Installation(StorageSettings(home=folder / "home")).lake
    return sorted(lake.scan("bronze/devices").collect()["id"].to_list()) if lake.exists("bronze/devices") else []


def test_devices_that_send_more_and_a_contract_that_follows(broker: Broker, tmp_path: Path) -> None:
    """A new key is kept and told, a column that is added or widened holds what comes, a breaking change waits."""
    _land(tmp_path, broker.url)
    broker.publish([b'{"id": 1, "celsius": 20, "battery": 80}', b'{"id": 2, "celsius": 21}'])
    (package,) = _land(tmp_path, broker.url).packages
    assert (package.landed, package.failed) == (2, 0)
    assert "battery" in str(package.message)
    broker.publish([b'{"id": 3, "celsius": 22, "battery": 70}'])
    assert [p.landed for p in _land(tmp_path, broker.url, COLUMNS | {"battery": "integer"}).packages] == [1]
    broker.publish([b'{"id": 4, "celsius": 23, "battery": "low"}'])
    held = _land(tmp_path, broker.url, COLUMNS | {"battery": "integer", "celsius": "boolean"})
    assert not [p for p in held.packages if p.landed]
    assert "celsius" in " ".join(held.errors)
    assert [p.landed for p in _land(tmp_path, broker.url, COLUMNS | {"battery": "string"}).packages] == [1]
    rows = Installation(StorageSettings(home=tmp_path / "home")).lake.scan("bronze/devices").collect().sort("id")
    assert rows["id"].to_list() == [1, 2, 3, 4]
    assert rows["battery"].to_list() == [None, None, "70", "low"]
    assert json.loads(rows["_extra"][0]) == {"battery": "80"}


def test_what_devices_send_lands_once(broker: Broker, tmp_path: Path) -> None:
    assert _land(tmp_path, broker.url) == Landed("devices")  # from now on the broker keeps messages for us
    broker.publish([_event(n) for n in range(30)])
    assert [p.landed for p in _land(tmp_path, broker.url, messages=20).packages] == [20, 10]
    assert _land(tmp_path, broker.url) == Landed("devices")
    broker.publish([_event(7)])  # the same words again are another message
    assert [p.landed for p in _land(tmp_path, broker.url).packages] == [1]
    broker.publish([b"\xff", b"", b"5", b'{"id": 8', _event(9), b'{"celsius": 1}'], "sources/devices/odd")
    (package,) = _land(tmp_path, broker.url).packages
    assert (package.sent, package.landed, package.failed) == (6, 1, 5)
    assert _ids(tmp_path) == sorted([*range(30), 7, 9])
    rows = Installation(StorageSettings(home=tmp_path / "home")).lake.scan("bronze/devices").collect()
    assert set(rows[connector.TOPIC]) == {"sources/devices/7", "sources/devices/odd"}


def test_messages_come_at_a_pace_and_the_others_wait_at_the_broker(broker: Broker, tmp_path: Path) -> None:
    _land(tmp_path, broker.url)
    broker.publish([_event(n) for n in range(120)])
    began = time.monotonic()
    landed = [p.landed for p in _land(tmp_path, broker.url, messages=30, messages_per_second=60).packages]
    assert (sum(landed), max(landed)) == (120, 30)
    assert time.monotonic() - began >= (120 - 1) / 60 - 0.01
    broker.publish([_event(n) for n in range(120, 200)])
    slow = _land(tmp_path, broker.url, messages=20, packages=1, messages_per_second=200)
    assert [p.landed for p in slow.packages] == [20], "the rest has not been acknowledged"
    broker.stop()
    broker.start()
    assert sum(p.landed for p in _land(tmp_path, broker.url).packages) == 60
    assert _ids(tmp_path) == list(range(200))


def test_what_was_committed_and_not_acknowledged_is_repeated(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _land(tmp_path, broker.url)
    broker.publish([_event(n) for n in range(10)])
    with monkeypatch.context() as patched:
        patched.setattr(connector, "_acknowledged", lambda *_: None)
        assert [p.landed for p in _land(tmp_path, broker.url).packages] == [10]
    broker.stop()
    broker.start()
    broker.publish([_event(n) for n in range(5, 12)])
    assert [(p.landed, p.repeated) for p in _land(tmp_path, broker.url).packages] == [(7, 10)]
    assert _land(tmp_path, broker.url) == Landed("devices")


def _killed(broker: Broker, folder: Path, rounds: int) -> None:
    _land(folder, broker.url)
    given = {
        "contract": _text(broker.url, messages=40, wait_s=0.1),
        "folder": str(folder),
        "ready": str(folder / "r"),
    }
    sent = 0
    for n in range(rounds):
        (folder / "r").unlink(missing_ok=True)
        process = _context.Process(
            target=runpy.run_path, args=(str(PROGRAM),), kwargs={"init_globals": {"given": given}}
        )
        process.start()
        while not (folder / "r").exists():
            time.sleep(0.01)
        broker.publish([_event(i) for i in range(sent, sent + 100)])
        sent += 100
        time.sleep(0.07 * (n % 5))
        process.kill()
        process.join()
    while _land(folder, broker.url).packages:
        pass
    assert _ids(folder) == list(range(sent))


def test_killed_at_any_moment_nothing_is_lost_or_doubled(broker: Broker, tmp_path: Path) -> None:
    _killed(broker, tmp_path, 4)


@pytest.mark.chaos
def test_killed_many_times(broker: Broker, tmp_path: Path) -> None:
    _killed(broker, tmp_path, 60)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"username": "nobody"}, BadInput, "refuses us; check `username`"),
        ({"password": "${NO_SUCH_PASSWORD}"}, BadInput, "NO_SUCH_PASSWORD is not set"),
        ({"password": "written-out"}, BadInput, "is a secret"),
    ],
)
def test_a_broker_that_refuses_is_told(
    broker: Broker, tmp_path: Path, options: dict[str, Any], kind: type[OnefoldError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        list(connectors.deliveries(contracts.parse(_text(broker.url, **options), "devices.yaml"), tmp_path))
    assert "written-out" not in str(caught.value)


def test_a_broker_that_is_not_there_is_unavailable(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with pytest.raises(Unavailable, match="the broker does not answer"):
        url = f"mqtt://127.0.0.1:{free_port()}"
        list(connectors.deliveries(contracts.parse(_text(url, password=None), "devices.yaml"), tmp_path))


def test_a_source_that_may_be_away_is_noted_and_holds_nothing_up(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    text = orjson.loads(_text(f"mqtt://127.0.0.1:{free_port()}", password=None))
    settings = StorageSettings(home=tmp_path / "home", now=datetime(2018, 2, 1, tzinfo=UTC))
    strict = land_source(settings, contracts.parse(orjson.dumps(text).decode(), "devices.yaml"), tmp_path)
    assert (len(strict.errors), strict.away) == (1, None)
    text["customProperties"][0]["value"]["may_be_away"] = True
    lenient = land_source(settings, contracts.parse(orjson.dumps(text).decode(), "devices.yaml"), tmp_path)
    assert lenient.errors == ()
    assert "devices is away: 127.0.0.1" in str(lenient.away)


def test_a_stream_that_is_never_quiet_lands_all_the_same(broker: Broker, tmp_path: Path) -> None:
    """Messages closer together than `wait_s` end no reading: `within_s` ends the package."""
    _land(tmp_path, broker.url)
    ended = threading.Event()

    def send() -> None:
        n = 0
        while not ended.wait(0.05):
            broker.publish([_event(n)])
            n += 1

    sending = threading.Thread(target=send)
    sending.start()
    try:
        landed = _land(tmp_path, broker.url, wait_s=30.0, within_s=1.0, packages=2)
    finally:
        ended.set()
        sending.join()
    assert (landed.errors, len(landed.packages)) == ((), 2)
    assert _ids(tmp_path) == list(range(len(_ids(tmp_path))))
    assert len(_ids(tmp_path)) > 2


def _heeds_interrupts() -> None:
    """Where the tests run in the background, interrupts are ignored, and what they start would ignore them too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_onefold_listen_lands_as_they_come(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    assert CliRunner().invoke(cli.app, ["init"]).exit_code == 0
    (tmp_path / "home/workspace/contracts/devices.yaml").write_text(_text(broker.url))
    assert CliRunner().invoke(cli.app, ["listen", "--once"]).exit_code == 0
    listening = subprocess.Popen(
        [str(Path(sys.executable).with_name("onefold")), "listen"],
        stderr=subprocess.PIPE,
        preexec_fn=_heeds_interrupts,  # noqa: PLW1509
    )
    try:
        for n in range(3):
            broker.publish([_event(n)])
            ends = time.monotonic() + 20
            while len(_ids(tmp_path)) <= n and time.monotonic() < ends:
                time.sleep(0.1)
        assert _ids(tmp_path) == [0, 1, 2]
        broker.stop()
    finally:
        listening.send_signal(signal.SIGINT)
        _, told = listening.communicate(timeout=60)
    assert listening.returncode == 130
    assert told.endswith(b"interrupted; run it again to go on\n")
    done = CliRunner().invoke(cli.app, ["listen", "--once"])
    assert "the broker does not answer" in str(done.exception)


def test_a_sample_leaves_the_session_alone(broker: Broker, tmp_path: Path) -> None:
    options = {"topics": ["sources/#"], "username": "onefold", "password": "${MQTT_TEST_PASSWORD}"}
    _land(tmp_path, broker.url)
    broker.publish([_event(1)])
    table, name, _ = connectors.sample(broker.url, tmp_path, rows=1, options=options | {"wait_s": 0.2})
    assert (name, table.num_rows) == ("mqtt", 0)
    assert [p.landed for p in _land(tmp_path, broker.url).packages] == [1]
