"""Landing on a real cluster of four nodes while everything around it fails, round after round.

A round is one fault at a random moment while packages and events land, then the next run, then the reckoning: every
acknowledged row is there once, and the book agrees with the lake. `make test` runs a short form of each fault;
`make chaos` draws more than two hundred rounds. The seed is printed and stands in the test's name.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from onefold_storage.installation import Installation
from onefold_workers.cluster import cluster as dask_cluster
from onefold_workers.settings import WorkerSettings
from onefold_workers.stages.landing import land_sources

TESTS = Path(__file__).parents[1]
ROUNDS_A_LAKE = 26
LAKES = 8

pytestmark = pytest.mark.needs_minio


def module(path: str) -> Any:
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, TESTS / path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


minio_cluster, under_fire = module("minio_cluster.py"), module("chaos/storage_under_fire.py")
SOURCES, VISITS = under_fire.program.SOURCES, under_fire.program.VISITS


@pytest.fixture(scope="module")
def storage(free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("fire")
    programs = TESTS.parent / ".tools" / "minio"
    with minio_cluster.MinioCluster(folder / "cluster", programs, free_port, drive_mb=192) as cluster:
        made = under_fire.Storage(cluster.start(), folder)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def site(storage: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    made = under_fire.Site(storage, f"lake{abs(hash(request.node.name))}", tmp_path / "site")
    try:
        yield made
    finally:
        made.abandon()
        storage.mood("pass")
        for node in storage.cluster.nodes:
            with suppress(ProcessLookupError):
                node.process.send_signal(signal.SIGCONT)
        storage.cluster.start(120)


def lander_killed(site: Any, chance: random.Random, _long: bool) -> None:
    lander = site.start("land")
    time.sleep(chance.uniform(0.05, 1.5))
    lander.kill()
    site.stop()


def committer_killed(site: Any, chance: random.Random, _long: bool) -> None:
    """Between the upload and the commit of bronze, and at its neighbours."""
    point = chance.choice(["bronze/one", "bronze/two", "bronze/one", "bronze/failed_events", "manifest", "record"])
    lander = site.start("land", arm=(point, chance.randint(1, 3)))
    lander.join(60)
    assert lander.exitcode == -9, "it did not come to the point"
    site.stop()


def events_killed(site: Any, chance: random.Random, _long: bool) -> None:
    """Who takes events, who drains them, or both."""
    taker = site.start("events")
    site.wait_for(1, VISITS)
    time.sleep(chance.uniform(0.05, 3))
    whom = chance.choice(["taker", "drainer", "both"])
    if whom != "taker":
        for drainer in psutil.Process(taker.pid).children():
            with suppress(psutil.NoSuchProcess):
                drainer.kill()
    if whom != "drainer":
        taker.kill()
    else:
        site.wait_for(5, VISITS)
    site.stop()


def worker_killed(site: Any, chance: random.Random, _long: bool) -> None:
    """A Dask worker, in the middle of the cluster's landing stage."""
    site.add_files()
    contracts = [site.settings.workspace_folder / "contracts" / f"{s}.yaml" for s in under_fire.FILES]
    installation = Installation(site.settings)
    described = [installation.workspace.contract(p.stem) for p in contracts]
    with dask_cluster(WorkerSettings(dask_workers=2)) as client:
        workers = list(client.run(os.getpid).values())
        timer = threading.Timer(chance.uniform(0.02, 0.8), os.kill, (chance.choice(workers), signal.SIGKILL))
        timer.start()
        try:
            told = land_sources(installation, described)
        finally:
            timer.join()
    assert [t.errors for t in told] == [()] * len(told)
    assert all(p.status in ("committed", "repeated") for t in told for p in t.packages)
    installation.ledger.close()


def node_killed(site: Any, chance: random.Random, _long: bool) -> None:
    site.start("land")
    time.sleep(chance.uniform(0.05, 1.5))
    site.cluster.kill(chance.randrange(4))
    time.sleep(chance.uniform(0.05, 1.5))
    site.cluster.start(120)
    site.wait_for(1, *SOURCES)
    site.stop()


def node_and_lander_killed(site: Any, chance: random.Random, _long: bool) -> None:
    site.heal()
    lander = site.start("land")
    time.sleep(chance.uniform(0.05, 1.5))
    site.cluster.kill(chance.randrange(4))
    time.sleep(chance.uniform(0, 0.5))
    lander.kill()
    site.stop()
    site.next_run()  # with a node away
    site.cluster.start(120)


def network_cut(site: Any, chance: random.Random, long: bool) -> None:
    """The way from workers to storage: broken, or swallowing everything; events are taken all the same."""
    site.start("land")
    site.start("events")
    site.wait_for(1, *SOURCES, VISITS)
    site.storage.mood(chance.choice(["cut", "silent"]))
    begin = time.monotonic()
    site.wait_for(20, VISITS)
    time.sleep(max(0.0, (30 if long else 3) - (time.monotonic() - begin)))
    site.wait_for(1, VISITS)
    site.storage.mood("pass")
    site.wait_for(2, *SOURCES)
    site.stop()


def storage_frozen(site: Any, chance: random.Random, long: bool) -> None:
    """Some nodes, or all, stop and say nothing."""
    site.start("land")
    time.sleep(chance.uniform(0.05, 1.5))
    frozen = chance.sample(site.cluster.nodes, chance.choice([1, 2, 4]))
    for node in frozen:
        node.process.send_signal(signal.SIGSTOP)
    time.sleep(chance.uniform(3, 8) if long else 3)
    for node in frozen:
        node.process.send_signal(signal.SIGCONT)
    site.wait_for(1, *SOURCES)
    site.stop()


def one_node_gone(site: Any, chance: random.Random, _long: bool) -> None:
    """Landing goes on, and so does a lander that begins without the node."""
    site.heal()
    site.start("land")
    site.wait_for(1, *SOURCES)
    site.cluster.kill(chance.randrange(4))
    site.wait_for(2, *SOURCES)
    site.stop()
    site.next_run()
    site.cluster.start(120)


def two_nodes_gone(site: Any, chance: random.Random, _long: bool) -> None:
    """Reads go on; packages are refused by a clear error, events wait in the log; both go on when the nodes are back."""
    site.heal()
    site.start("land")
    site.start("events")
    site.wait_for(2, *SOURCES)
    site.wait_for(1, VISITS)
    for number in chance.sample(range(4), 2):
        site.cluster.kill(number)
    refused = len(site.failures())
    site.until(lambda: len(site.failures()) > refused, lambda: "packages are not refused")
    before = [len(site.acknowledged(s)) for s in SOURCES]
    site.wait_for(30, VISITS)
    installation = Installation(site.settings)
    for source, packages in zip(SOURCES, before, strict=True):
        rows = packages * (under_fire.program.ROWS - under_fire.program.BAD)
        assert installation.lake.rows(f"bronze/{source}") >= rows
        assert installation.lake.scan(f"bronze/{source}").collect().height >= rows, "reads go on"
    installation.ledger.close()
    assert any("Unavailable" in line for line in site.failures()[refused:]), site.failures()[refused:]
    site.cluster.start(120)
    site.wait_for(1, *SOURCES)
    site.stop()


def drives_full(site: Any, chance: random.Random, _long: bool) -> None:
    """One full drive, which is enough for MinIO to refuse, or all: it is told, and landing goes on with room again."""
    if not site.cluster.own_drives:
        return  # only root can mount drives that fill by themselves
    drives = [d for node in site.cluster.nodes for d in node.drives]
    filled = drives if chance.random() < 0.7 else [chance.choice(drives)]
    site.start("land")
    site.wait_for(1, *SOURCES)
    refused = len(site.failures())
    try:
        for drive in filled:
            with suppress(OSError), (drive / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(1 << 20))
        site.until(
            lambda: any(" Full: " in line for line in site.failures()[refused:]),
            lambda: f"a full storage is not told: {site.failures()[refused:]}",
        )
        site.until(lambda: site.full_drives() >= len(filled), lambda: f"{site.full_drives()} drives are full")
    finally:
        for drive in filled:
            (drive / "filler").unlink(missing_ok=True)
    site.wait_for(1, *SOURCES)
    site.stop()


def drives_read_only(site: Any, chance: random.Random, _long: bool) -> None:
    """A drive, or every drive, takes no writes any more, as after an error of its file system; then it does again."""
    if not site.cluster.own_drives:
        return  # only root can
    drives = [d for node in site.cluster.nodes for d in node.drives]
    struck = drives if chance.random() < 0.5 else [chance.choice(drives)]
    site.start("land")
    site.wait_for(1, *SOURCES)
    refused = len(site.failures())
    try:
        for drive in struck:
            remount(drive, "ro")
        if len(struck) > 1:
            site.until(lambda: len(site.failures()) > refused, lambda: "storage that takes no writes is not told")
        else:
            site.wait_for(2, *SOURCES)
    finally:
        for drive in struck:
            remount(drive, "rw")
    site.wait_for(1, *SOURCES)
    site.stop()


def remount(drive: Path, how: str) -> None:
    """Twice if need be: a file that is being written to keeps a drive from becoming read-only."""
    command = ["mount", "-o", f"remount,{how}", str(drive)]
    for _ in range(100):
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    raise AssertionError(f"{drive} does not become {how}")


Fault = Callable[[Any, random.Random, bool], None]
SHORT: dict[Fault, int] = {
    lander_killed: 3,
    committer_killed: 3,
    events_killed: 3,
    worker_killed: 2,
    node_killed: 2,
    node_and_lander_killed: 1,
    network_cut: 1,
    storage_frozen: 1,
    one_node_gone: 1,
    two_nodes_gone: 1,
    drives_full: 1,
    drives_read_only: 1,
}
assert sum(SHORT.values()) >= 20
WEIGHTS = {
    **SHORT,
    one_node_gone: 2,
    two_nodes_gone: 2,
    drives_full: 2,
    drives_read_only: 2,
    node_and_lander_killed: 2,
    network_cut: 1,
}


def campaign(site: Any, faults: list[Fault], chance: random.Random, *, long: bool) -> Counter[str]:
    """A round for each fault; the names of those that were carried out."""
    done: Counter[str] = Counter()
    for number, fault in enumerate(faults):
        begin = time.monotonic()
        try:
            fault(site, chance, long)
            site.next_run()
            site.check()
        except Exception as error:
            error.add_note(f"round {number}: {fault.__name__}, after {dict(done)}")
            raise
        done[fault.__name__] += 1
        print(f"round {number}: {fault.__name__} {time.monotonic() - begin:.1f} s", flush=True)
    return done


@pytest.mark.needs_dask
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [20180101])
def test_every_fault_and_nothing_is_lost_or_doubled(site: Any, seed: int) -> None:
    chance = random.Random(seed)
    faults = [fault for fault, times in SHORT.items() for _ in range(times)]
    chance.shuffle(faults)
    with dask_cluster(WorkerSettings(dask_workers=2)):
        done = campaign(site, faults, chance, long=False)
    assert done.total() == len(faults) >= 20


@pytest.mark.chaos
@pytest.mark.needs_dask
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("seed", [int(os.environ.get("ONEFOLD_CHAOS_SEED", "1")) + n for n in range(LAKES)])
def test_hundreds_of_rounds(site: Any, seed: int) -> None:
    """Eight lakes after each other; every fault at least once in each, the rest drawn."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    drawn = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=ROUNDS_A_LAKE - len(WEIGHTS))
    faults = [*WEIGHTS, *drawn]
    chance.shuffle(faults)
    with dask_cluster(WorkerSettings(dask_workers=2)):
        done = campaign(site, faults, chance, long=True)
    assert done.total() == ROUNDS_A_LAKE
    assert set(done) == {fault.__name__ for fault in WEIGHTS}


assert ROUNDS_A_LAKE * LAKES >= 200
