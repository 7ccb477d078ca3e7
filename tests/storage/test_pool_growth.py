"""A real cluster grows from one pool to two, evens itself out and gives the first pool up, while landing goes on.

Four MinIO nodes with two drives each, four more for the second pool; two landers in processes of their own land all
the while. After each step: every acknowledged row is there once, every commit is in the log.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from onefold_storage.buckets import prepare
from onefold_storage.capacity import of_information
from onefold_storage.errors import Conflict
from onefold_storage.expansion import (
    drains,
    follow,
    rebalances,
    start_drain,
    stop_drain,
    stop_rebalance,
    wait_for_pools,
)
from onefold_storage.installation import Installation
from onefold_storage.minio_admin import AdminApi
from onefold_storage.minio_figures import of_figures, read_figures
from onefold_storage.room import room

HERE = Path(__file__).parent

pytestmark = [pytest.mark.needs_minio, pytest.mark.slow]


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, HERE.parent / f"{name}.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # dataclasses look themselves up
    spec.loader.exec_module(made)
    return made


minio_cluster, growing = module("minio_cluster"), module("growing_storage")
Site, onefold, spread = growing.Site, growing.onefold, growing.spread


@pytest.fixture(scope="module")
def site(free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("growth")
    programs = HERE.parents[1] / ".tools" / "minio"
    with minio_cluster.MinioCluster(folder / "cluster", programs, free_port, drive_mb=48) as cluster:
        made = Site(cluster.start(), folder)
        prepare(made.settings(root=True), None)
        try:
            yield made
        finally:
            for lander in made.landers.values():
                lander.kill()


def test_status_says_the_same_as_the_cluster_to_root_and_to_the_platform(site: Any) -> None:
    told = onefold(site, "status")
    assert (told["kind"], told["drives"], told["drives_online"], told["parity"]) == ("cluster", 8, 8, 4)
    assert len(told["nodes"]) == 4
    (pool,) = told["pools"]
    assert (pool["number"], pool["nodes"], pool["set_drives"]) == (1, 4, 8)
    figures = of_figures(read_figures(site.cluster.endpoint) or {})
    assert told["usable_bytes"] == figures.usable_bytes, "MinIO's own figure after erasure coding"
    assert abs(told["free_bytes"] - (figures.free_bytes or 0)) < told["usable_bytes"] / 100
    (info,) = site.cluster.mc("admin", "info", "test")
    assert of_information(info["info"]).usable_bytes == told["usable_bytes"]
    platform = room(site.settings())
    assert platform.usable_bytes == told["usable_bytes"]
    assert platform.drives == 8
    assert "ONEFOLD_S3_ROOT_USER" in platform.unknown[0]
    wrong = room(site.settings(root=True).model_copy(update={"s3_root_password": SecretStr("not-the-password")}))
    assert wrong.usable_bytes == told["usable_bytes"], "public figures tell it"
    assert "credentials are refused (SignatureDoesNotMatch); check ONEFOLD_S3_ROOT_USER" in wrong.unknown[0]


def test_with_one_pool_nothing_is_stopped(site: Any) -> None:
    with pytest.raises(AssertionError, match=r"onefold: pool 1 is not being drained; nothing was changed"):
        onefold(site, "drain", "1", "--cancel")
    with pytest.raises(AssertionError, match=r"onefold: no rebalance is running; nothing was changed"):
        onefold(site, "rebalance", "--stop")


def test_a_second_pool_joins_while_landing_goes_on(site: Any) -> None:
    site.start("steady", 100)
    site.start("heavy", 200_000)
    site.wait_for(6)
    before = room(site.settings(root=True))
    compose, fragment = growing.definition(site, [*site.cluster.pools]), site.folder / "pool-2.yml"
    site.cluster.add_nodes()
    (site.folder / "pools-2.yml").write_text(growing.pools_text(site.cluster.pools))
    fragment.write_text(growing.services_text("pools-2.yml"))
    restarted = growing.restarter(site)
    words = ["add-pool", str(fragment), "--folder", str(compose.parent), "--restart-with", restarted]
    told = onefold(site, *words)
    assert told["changed"]
    assert [p["drives_online"] for p in told["pools"]] == [8, 8]
    assert told["usable_bytes"] == 2 * (before.usable_bytes or 0)
    assert not onefold(site, *words)["changed"], "asked again, it is there"
    assert "COMPOSE_FILE=docker-compose.yml:pool-2.yml" in (compose.parent / ".env").read_text()
    site.wait_for(2)
    site.check(exact=False)


def test_two_conditional_puts_of_one_key_may_both_win(site: Any) -> None:
    """Why commits are serialised by the ledger's lock: what S3 promises, two pools do not keep."""
    import botocore.session

    said = site.environment
    start, wins = threading.Barrier(2), [0, 0]
    clients = [
        botocore.session.get_session().create_client(
            "s3",
            endpoint_url=f"http://{site.cluster.nodes[number].address}",
            aws_access_key_id=said["ONEFOLD_S3_ACCESS_KEY"],
            aws_secret_access_key=said["ONEFOLD_S3_SECRET_KEY"],
            region_name="us-east-1",
        )
        for number in (0, 5)
    ]

    def put(who: int, key: str) -> None:
        start.wait(30)
        try:
            clients[who].put_object(Bucket="grows", Key=key, Body=b"x", IfNoneMatch="*")
            wins[who] += 1
        except clients[who].exceptions.ClientError:
            return

    for attempt in range(1, 201):
        pair = [threading.Thread(target=put, args=(who, f"race/{attempt}")) for who in (0, 1)]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
        if sum(wins) > attempt:
            return
    pytest.fail("never did both win: the lock may no longer be needed on this MinIO")


def test_two_writers_on_two_pools_lose_no_commit(site: Any) -> None:
    """Through the lake, which takes the lock; without it some of these commits are lost (7 of 50 in a trial)."""
    program = (
        "import sys; from datetime import UTC, datetime; import pyarrow as pa\n"
        "from onefold_storage.installation import Installation\n"
        "from onefold_storage.schema import DECLARATIONS as D\n"
        "from onefold_storage.settings import StorageSettings\n"
        "lake = Installation(StorageSettings()).lake\n"
        "for n in range(4):\n"
        "    row = dict(kind='contract', name=f'{sys.argv[1]}{n}', version=1, digest='d',"
        " registered_at=datetime.now(UTC))\n"
        "    lake.append(D.name, pa.Table.from_pylist([row], D.arrow))\n"
    )
    ends = [f"http://{site.cluster.nodes[n].address}" for n in (0, 5)]
    for end in ends:  # each has met all the others
        wait_for_pools(AdminApi(end, growing.ROOT_USER, growing.ROOT_PASSWORD), 2, 120, lambda _seen: None)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(n)],
            env=os.environ | site.environment | {"ONEFOLD_S3_ENDPOINT": end},
        )
        for n, end in enumerate(ends)
    ]
    assert [w.wait(180) for w in writers] == [0, 0]
    lake = Installation(site.settings()).lake
    names = lake.read("registry/declarations", ["name"])["name"].to_pylist()
    assert sorted(names) == sorted(f"{w}{n}" for w in (0, 1) for n in range(4))
    assert lake.version("registry/declarations") == len(names)


def test_rebalance_evens_the_pools_out_while_landing_goes_on(site: Any) -> None:
    before = of_information(site.api.information()).pools
    if not site.cluster.own_drives:
        pytest.skip("drives of one disk are all as full: file systems of their own need the right to mount")
    told = onefold(site, "rebalance")
    assert [s["state"] for s in told["steps"]] == ["done"]
    assert told["steps"][0]["objects"] > 0
    after = of_information(site.api.information()).pools
    assert spread(after) < spread(before)
    assert not [s for s in rebalances(site.api) if not s.over]
    with pytest.raises(Conflict, match="no rebalance is running"):
        stop_rebalance(site.api)
    site.wait_for(1)
    site.check(exact=False)


def take_away_an_object(site: Any) -> dict[Path, Path]:
    """Of an object of the first pool, what most of its drives hold; places, and where they are now."""
    objects = Installation(site.settings()).lake.objects
    for n in range(16):  # some of them in the first pool
        objects.put(f"spare/{n}", os.urandom(1_000_000))
    places = [
        next((drive / "grows").rglob("spare/*/*/part.1")).parent
        for node in site.cluster.nodes[:4]
        for drive in node.drives
    ]
    away = {place: place.with_name("aside") for place in places[:5] if place.parent.name == places[0].parent.name}
    for place, aside in away.items():
        place.rename(aside)
    return away


def test_the_first_pool_is_drained_and_taken_away(site: Any) -> None:
    away = take_away_an_object(site)
    start_drain(site.api, 1)
    with pytest.raises(Conflict, match="left 1 objects where they were; nothing is lost"):
        follow(lambda: drains(site.api), lambda _step: None, 120)
    for place, aside in away.items():
        aside.rename(place)
    start_drain(site.api, 1)
    with suppress(Conflict):  # one object is soon moved
        stop_drain(site.api, 1)
    ended = (
        r"its drain is over \((stopped|failed|done)\); nothing"  # failed: what was on its way when it was stopped
    )
    with pytest.raises(AssertionError, match=f"onefold: pool 1 is not being drained, {ended}"):
        onefold(site, "drain", "1", "--cancel")
    found = room(site.settings(root=True))
    assert found.usable_bytes == found.pools[1].usable_bytes, "nothing new is put into it"
    assert onefold(site, "drain", "1")["steps"][0]["state"] == "done", "and it is begun again"
    (step,) = drains(site.api)
    assert (step.pool, step.state, step.failed) == (1, "done", 0)
    found = room(site.settings(root=True))
    assert found.usable_bytes == found.pools[1].usable_bytes, "a pool given up is no room"
    start_drain(site.api, 1)  # asked again, it is done
    with pytest.raises(Conflict, match=r"not being drained, its drain is over \(done\)"):
        stop_drain(site.api, 1)
    assert [s.over for s in drains(site.api)] == [True]
    site.wait_for(1)
    site.stop()
    site.check(exact=True)
    site.cluster.forget_pool(0)
    site.check(exact=True)
    found = room(site.settings(root=True))
    assert [p.number for p in found.pools] == [0]
