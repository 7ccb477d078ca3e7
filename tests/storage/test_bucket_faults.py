"""Storage that is slow, busy, refuses or forgets to answer: nothing is lost or doubled, and the error is one line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onefold_storage.errors import Forbidden, NotFound, OnefoldError, Unavailable
from onefold_storage.faults import fault_of, told
from onefold_storage.installation import Installation
from onefold_storage.objects import filesystem
from onefold_storage.parts import PartWriter
from onefold_storage.settings import StorageSettings

NOW = datetime(2018, 1, 1, tzinfo=UTC)
SEGMENTS = "gold/segments"
GATEWAY = Path(__file__).with_name("gateway.py")
ALL = "GET,PUT,POST,DELETE,HEAD"

pytestmark = pytest.mark.needs_minio


class Behind:
    """A server that misbehaves before the session's MinIO, and an installation that goes through it."""

    def __init__(self, upstream: str, seed: int, home: Path, settings: dict[str, Any]) -> None:
        self._mood = home.with_name("mood")
        self.mood("pass")
        self._command = [sys.executable, str(GATEWAY), upstream, str(self._mood), str(seed)]
        self.url = self._start()
        self.installation = Installation(StorageSettings(home=home, **{**settings, "s3_endpoint": self.url}))

    def _start(self, *port: str) -> str:
        self.process = subprocess.Popen([*self._command, *port], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def restart(self, away: float) -> None:
        """Stop at once, and be back at the same address after a while; connections are refused meanwhile."""
        self.process.kill()
        self.process.wait()
        time.sleep(away)
        assert self._start(self.url.rpartition(":")[2]) == self.url

    def mood(self, mood: str) -> None:
        draft = self._mood.with_name("next")
        draft.write_text(mood)
        draft.replace(self._mood)

    def told(self) -> int:
        with urllib.request.urlopen(f"{self.url}/told") as answer:
            return int(answer.read())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.installation.ledger.close()


@pytest.fixture
def behind(minio: Any, bucket: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., Behind]]:
    """`behind(seed, **settings)`."""
    made: list[Behind] = []

    def go(seed: int = 7, **given: Any) -> Behind:
        upstream = minio.endpoint.removeprefix("http://")
        made.append(Behind(upstream, seed, tmp_path / "home", {**bucket, **given}))
        return made[-1]

    yield go
    for one in made:
        one.close()


def _landed(installation: Installation) -> list[int]:
    return installation.lake.scan("bronze/people").collect().get_column("id").sort().to_list()


def test_a_server_that_is_busy_half_the_time_loses_and_doubles_nothing(
    behind: Any, make_contract: Any, make_delivery: Any
) -> None:
    gateway = behind()
    installation, contract = gateway.installation, make_contract()
    gateway.mood(f"busy {ALL} 0.5")
    for n in range(2):
        package = installation.lander.land(contract, make_delivery({"id": [2 * n, 2 * n + 1], "name": ["a", "b"]}))
        assert (package.sent, package.landed) == (2, 2)
    assert gateway.told() > 10, "it was busy"
    assert _landed(installation) == list(range(4))
    assert [p.landed for p in installation.ledger.packages.list()] == [2, 2]


def test_a_server_that_restarts_meanwhile_stops_nothing(
    behind: Any, make_contract: Any, make_delivery: Any
) -> None:
    gateway = behind()
    installation, contract = gateway.installation, make_contract()
    objects = installation.lake.objects
    with ThreadPoolExecutor() as pool:
        back = pool.submit(gateway.restart, 4.0)
        package = installation.lander.land(contract, make_delivery({"id": [1], "name": ["a"]}))
        assert (package.status, package.landed) == ("committed", 1)
        back.result()
        back = pool.submit(gateway.restart, 4.0)
        time.sleep(0.5)
        objects.put("models/x.json", b"1")
        assert objects.get("models/x.json") == b"1"
        back.result()
    assert _landed(installation) == [1]


def test_a_large_part_is_sent_again_until_it_is_whole(behind: Any) -> None:
    gateway = behind(s3_patience=60)
    objects = gateway.installation.lake.objects
    rows = pa.table({"id": range(250), "value": [os.urandom(100_000) for _ in range(250)]})
    gateway.mood("busy PUT,POST 0.7")
    writer = PartWriter(objects, "bronze/large", rows.schema)
    writer.write(rows)
    (part,) = writer.close()
    assert gateway.told() > 2, "it was busy"
    gateway.mood("pass")
    assert objects.size(f"bronze/large/{part.path}") == part.size > 20e6
    with objects.stream(f"bronze/large/{part.path}") as file:
        assert pq.read_table(file).equals(rows)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.chaos) for n in (2, 3))])
def test_answers_that_are_lost_after_the_work_was_done_double_nothing(
    seed: int, behind: Any, make_contract: Any, make_delivery: Any
) -> None:
    gateway = behind(seed)
    installation, contract = gateway.installation, make_contract()
    gateway.mood("lost PUT,POST 0.5")
    for n in range(2):
        rows = {"id": [2 * n, 2 * n + 1], "name": ["a", None]}
        installation.lander.land(contract, make_delivery(rows))
    for name in "abc":
        installation.lake.append(SEGMENTS, pa.table({"golden_id": [name], "segment": ["all"], "as_of": [NOW]}))
    assert gateway.told() > 3
    assert sorted(installation.lake.read(SEGMENTS, ["golden_id"]).column(0).to_pylist()) == ["a", "b", "c"]
    assert _landed(installation) == list(range(4))
    assert [p.seq for p in installation.ledger.packages.list()] in ([1, 2], [2, 1])


def test_a_server_that_stalls_is_given_up_by_every_way_in(
    behind: Any, make_contract: Any, make_delivery: Any
) -> None:
    gateway = behind(s3_timeout=0.5, s3_patience=1.0)
    installation = gateway.installation
    lake = installation.lake
    installation.lander.land(make_contract(), make_delivery({"id": [1], "name": ["a"]}))
    waiting = lake.scan("bronze/people")
    gateway.mood("stall")
    ways: dict[str, Callable[[], Any]] = {
        "put": lambda: lake.objects.put("work/x", b"x"),
        "get": lambda: lake.objects.get("work/x"),
        "keys": lambda: lake.objects.keys("work"),
        "size": lambda: lake.objects.size("work/x"),
        "delete": lambda: lake.objects.delete("work/x"),
        "exists": lambda: lake.exists("bronze/people"),
        "handle": lambda: lake.handle("bronze/people"),
        "collect": waiting.collect,
        "land": lambda: installation.lander.land(make_contract(), make_delivery({"id": [2], "name": ["a"]})),
    }
    for name, way in ways.items():
        begin = time.monotonic()
        with pytest.raises(Exception) as told:
            way()
        fault = told.value if isinstance(told.value, OnefoldError) else fault_of(told.value)
        assert isinstance(fault, Unavailable), (name, told.value)
        assert len(str(fault).splitlines()) == 1
        assert time.monotonic() - begin < 30, f"{name} waits without end"
    gateway.mood("pass")
    assert installation.lander.land(make_contract(), make_delivery({"id": [2], "name": ["a"]})).landed == 1
    assert _landed(installation) == [1, 2], "as soon as it answers, all goes on"


def test_a_part_that_is_listed_and_not_given_is_storage_at_fault(bucket: dict[str, Any], tmp_path: Path) -> None:
    """As with half of the nodes away, for parts that a put had brought to few of the others."""
    lake = Installation(StorageSettings(home=tmp_path, **bucket)).lake
    lake.append(SEGMENTS, pa.table({"golden_id": ["a"], "segment": ["all"], "as_of": [NOW]}))
    ((part, _),) = lake.standing(SEGMENTS)
    lake.objects.delete(f"{SEGMENTS}/{part}")
    ways: tuple[Callable[[], Any], ...] = (
        lambda: lake.handle(SEGMENTS).delete("golden_id = 'a'"),
        lake.scan(SEGMENTS).collect,
    )
    for way in ways:
        with pytest.raises(Unavailable, match=rf"storage lists \S*{part} and cannot give it"), told():
            way()


def _command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("onefold")), *words]
    given = {**os.environ, **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ({"s3_secret_key": "another-secret"}, 5, "ONEFOLD_S3_SECRET_KEY"),
        ({"s3_access_key": "nobody"}, 5, "ONEFOLD_S3_ACCESS_KEY"),
        ({"lake_url": "s3://elsewhere/lake"}, 5, "bucket elsewhere"),
        ({"s3_endpoint": "http://127.0.0.1:9", "s3_patience": "1"}, 6, "does not answer"),
    ],
)
def test_the_command_line_says_in_one_line_what_storage_refuses(
    wrong: dict[str, str], code: int, says: str, bucket: dict[str, Any], tmp_path: Path
) -> None:
    given = {f"ONEFOLD_{k.upper()}": str(v) for k, v in {**bucket, **wrong, "home": tmp_path / "home"}.items()}
    done = _command("status", **given)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert says in line
    assert "Traceback" not in line
    assert "secret-of" not in line
    assert "another-secret" not in line


def test_a_bucket_that_is_gone_is_told_and_not_taken_for_an_empty_lake(minio: Any, tmp_path: Path) -> None:
    from minio import Minio

    from onefold_storage.buckets import prepare

    settings = StorageSettings(home=tmp_path, **minio.settings("gone-soon"), **minio.root())
    prepare(settings)
    objects = Installation(settings).lake.objects
    assert objects.get("work/x") is None
    server = minio.endpoint.removeprefix("http://")
    Minio(server, access_key=minio.root_user, secret_key=minio.root_password, secure=False).remove_bucket(
        "gone-soon"
    )
    for way in (lambda: objects.get("x"), lambda: objects.keys(""), lambda: objects.put("x", b"x")):
        with pytest.raises((NotFound, Forbidden), match="gone-soon"):
            way()


def test_of_several_puts_of_one_new_key_exactly_one_wins(bucket: dict[str, Any]) -> None:
    """What the table engine's commits rest on."""
    settings = StorageSettings(**bucket)
    files = filesystem(settings.lake, settings.storage_options)

    def put(n: int) -> bool:
        try:
            files.pipe_file(f"{settings.lake.removeprefix('s3://')}/one", str(n).encode(), mode="create")
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [n for n, mine in enumerate(pool.map(put, range(8))) if mine]
    assert len(won) == 1
    assert Installation(settings).lake.objects.get("one") == str(won[0]).encode()
