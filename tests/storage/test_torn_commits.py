"""Commits that too few drives hold, on a real cluster with a node away: torn ones are passed, hidden ones waited for.

The drives are put into the state that a put leaves which is cut off, by taking objects from some of them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from onefold_storage.buckets import prepare
from onefold_storage.errors import Unavailable
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_storage.torn import log_key

TESTS = Path(__file__).parents[1]
TABLE = "bronze/people"
LISTED, UNLISTED = {3, 4, 5, 6, 7}, {4, 5, 6, 7}
"""Drives that keep an object which nobody gives while the last node is away; the first are shown to hold it."""
ROOT: dict[str, Any] = {"s3_root_user": "test-root", "s3_root_password": "test-root-password"}

pytestmark = [pytest.mark.needs_minio, pytest.mark.slow]


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


minio_cluster = module("minio_cluster")


@pytest.fixture(scope="module")
def cluster(free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder, programs = tmp_path_factory.mktemp("torn"), TESTS.parent / ".tools" / "minio"
    with minio_cluster.MinioCluster(folder / "cluster", programs, free_port, drive_mb=96) as made:
        yield made.start(120)


class Torn:
    """A lake on the cluster; `land` lands a package of one row, `ids` are the rows that are seen."""

    def __init__(
        self, cluster: Any, home: Path, make_contract: Any, make_delivery: Any, ledger: str | None
    ) -> None:
        self.cluster, self._delivery, self._contract = cluster, make_delivery, make_contract()
        cluster.start(120)
        keys: dict[str, Any] = {"s3_access_key": "the-platform", "s3_secret_key": "secret-of-the-platform"}
        given = {"lake_url": f"s3://torn/{home.parent.name}", "s3_endpoint": cluster.endpoint, "ledger_url": ledger}
        patience = {"s3_timeout": 5.0, "s3_patience": 5.0}
        self.settings = StorageSettings(home=home, **keys, **given, **patience)
        prepare(self.settings.model_copy(update={k: StorageSettings(**ROOT).__dict__[k] for k in ROOT}))
        self.installation = Installation(self.settings)
        self._wait_for_every_drive()

    def _wait_for_every_drive(self) -> None:
        """Nodes that have just started are left out of puts until the others have found them."""
        objects, bucket = self.installation.lake.objects, self.settings.lake.removeprefix("s3://")
        end = time.monotonic() + 120
        while True:
            key = f"probe-{uuid.uuid4().hex}"
            objects.put(key, b"probe")
            there = [(d / bucket / key).is_dir() for node in self.cluster.nodes for d in node.drives]
            objects.delete(key)
            if all(there):
                return
            assert time.monotonic() < end, f"drives that are left out: {there}"
            time.sleep(0.5)

    def land(self, key: int) -> None:
        self.installation.lander.land(self._contract, self._delivery({"id": [str(key)], "name": ["somebody"]}))

    def land_again(self, key: int) -> None:
        """As a flow would, until nodes that have just started have found each other."""
        for _ in range(60):
            with suppress(Unavailable):
                return self.land(key)
            time.sleep(1)
        return self.land(key)

    def ids(self) -> list[int]:
        """As a process sees them that has just begun."""
        fresh = Installation(self.settings)
        return fresh.lake.scan(TABLE).collect().get_column("id").sort().to_list()

    def version(self) -> int:
        return Installation(self.settings).lake.version(TABLE)

    def leave(self, version: int, drives: set[int], what: str = ".json") -> None:
        """A commit's object stays on these drives alone."""
        key = f"{self.settings.lake.removeprefix('s3://')}/{log_key(TABLE, version)}".replace(".json", what)
        for number, drive in enumerate(d for node in self.cluster.nodes for d in node.drives):
            if number not in drives:
                shutil.rmtree(drive / key)

    def tear(self, drives: set[int]) -> int:
        """A commit that somebody began and did not end."""
        torn = self.version() + 1
        self.installation.lake.objects.put(log_key(TABLE, torn), b'{"add":{"path":"never-acknowledged"}}')
        self.leave(torn, drives)
        return torn


@pytest.fixture
def torn(
    cluster: Any, tmp_path: Path, make_contract: Any, make_delivery: Any, request: pytest.FixtureRequest
) -> Iterator[Torn]:
    ledger = None
    if getattr(request, "param", None) == "postgresql":
        address: str = request.getfixturevalue("postgres")
        database = f"torn_{uuid.uuid4().hex}"
        with create_engine(address, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {database}")
        ledger = address.rpartition("/")[0] + f"/{database}"
    one = Torn(cluster, tmp_path / "home", make_contract, make_delivery, ledger)
    yield one
    one.installation.ledger.close()


def test_a_commit_that_was_cut_off_is_passed(torn: Torn) -> None:
    torn.land(1)
    torn.land(2)
    version = torn.tear({0, 2, 4})
    torn.cluster.kill(3)
    objects = torn.installation.lake.objects
    key = log_key(TABLE, version)
    assert key in objects.keys(f"{TABLE}/_delta_log"), "MinIO lists it,"
    assert objects.get(key) is None, "and does not give it: else this test shows nothing"
    assert torn.ids() == [1, 2], "reads go on"
    assert torn.version() == version - 1
    torn.land(3)
    torn.land(4)
    assert torn.ids() == [1, 2, 3, 4], "landing goes on"
    assert torn.version() == version + 2
    torn.cluster.start(120)
    assert torn.ids() == [1, 2, 3, 4]


def test_the_first_commit_of_a_table_that_was_cut_off_is_none(torn: Torn) -> None:
    assert torn.tear({0, 2, 4}) == 0
    torn.cluster.kill(3)
    assert torn.version() == -1
    assert torn.installation.lake.rows(TABLE) == 0
    torn.land(1)
    assert torn.ids() == [1]
    torn.cluster.start(120)
    assert torn.ids() == [1]


def test_a_checkpoint_that_was_cut_off_is_made_again(torn: Torn) -> None:
    torn.land(1)
    torn.land(2)
    lake = torn.installation.lake
    version = torn.version()
    lake.handle(TABLE).create_checkpoint()
    lake.objects.delete(f"{TABLE}/_delta_log/_last_checkpoint")
    torn.leave(version, {0, 2, 4}, ".checkpoint.parquet")
    torn.cluster.kill(3)
    key = f"{TABLE}/_delta_log/{version:020d}.checkpoint.parquet"
    assert key in lake.objects.keys(f"{TABLE}/_delta_log")
    assert lake.objects.get(key) is None
    assert torn.ids() == [1, 2], "reads go on"
    torn.land(3)
    assert torn.ids() == [1, 2, 3], "and so does landing"
    torn.cluster.start(120)
    assert torn.ids() == [1, 2, 3]


def test_a_checkpoint_is_not_made_again_of_commits_that_are_not_all_given(torn: Torn) -> None:
    torn.land(1)
    torn.land(2)
    lake, version = torn.installation.lake, torn.version()
    lake.handle(TABLE).create_checkpoint()
    lake.objects.delete(f"{TABLE}/_delta_log/_last_checkpoint")
    for what in (".checkpoint.parquet", ".json"):
        torn.leave(version, LISTED, what)
    torn.cluster.kill(3)
    with pytest.raises(Unavailable, match=f"does not show version {version}"):
        torn.ids()
    torn.cluster.start(120)
    torn.land_again(3)
    assert torn.ids() == [1, 2, 3]


def test_what_landed_without_a_node_is_read_without_two_others_once_it_is_healed(torn: Torn) -> None:
    torn.cluster.kill(3)
    torn.land(1)
    torn.cluster.start(120)
    last = torn.cluster.nodes[3].drives
    lake = torn.settings.lake.removeprefix("s3://")
    given = {k: getattr(torn.settings, k) for k in ("lake_url", "s3_endpoint", "s3_access_key", "home")}
    given |= {"s3_secret_key": "secret-of-the-platform", **ROOT}
    command = [str(Path(sys.executable).with_name("onefold")), "storage", "heal", "--json"]
    environment = os.environ | {f"ONEFOLD_{k.upper()}": str(v) for k, v in given.items()}

    def heal() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    end = time.monotonic() + 60
    while (done := heal()).returncode == 4:  # the node was not seen yet
        assert time.monotonic() < end, done.stderr
        time.sleep(1)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["left"] == 0
    assert told["seen"] > 3
    parts = [p.parent.name for p in (last[0] / lake / TABLE).glob("*.parquet/xl.meta")]
    assert len(parts) == 1, "the node that was away has it too"
    for node in (1, 2):
        torn.cluster.kill(node)
    assert torn.ids() == [1]
    torn.cluster.start(120)


@pytest.mark.parametrize(("torn", "drives"), [("sqlite", LISTED), ("postgresql", UNLISTED)], indirect=["torn"])
def test_a_commit_that_was_acknowledged_and_is_not_shown_is_waited_for(torn: Torn, drives: set[int]) -> None:
    torn.land(1)
    torn.land(2)
    torn.leave(torn.version(), drives)
    torn.cluster.kill(3)
    with pytest.raises(Unavailable, match="does not show version 2, which was committed"):
        torn.land(3)
    torn.cluster.start(120)
    torn.land_again(3)
    assert torn.ids() == [1, 2, 3], "nothing that was acknowledged is lost"


def test_a_node_that_comes_back_in_time_is_noticed_by_nobody(torn: Torn) -> None:
    torn.land(1)
    torn.land(2)
    torn.leave(torn.version(), LISTED)
    torn.cluster.kill(3)
    with pytest.raises(Unavailable):
        torn.ids()
    torn.settings = torn.settings.model_copy(update={"s3_patience": 90.0})
    back = threading.Timer(2, torn.cluster.start, (120,))
    back.start()
    assert torn.ids() == [1, 2], "whoever reads waits for it"
    back.join()


def test_a_lake_that_was_put_back_on_purpose_is_taken_as_it_is(torn: Torn) -> None:
    from onefold_storage.restoring import ledger_from_lake

    torn.land(1)
    torn.land(2)
    torn.installation.lake.objects.delete(log_key(TABLE, torn.version()))
    with pytest.raises(Unavailable, match="ledger-from-lake"):
        torn.land(3)
    ledger_from_lake(torn.installation)
    torn.land(3)
    assert torn.ids() == [1, 3]
