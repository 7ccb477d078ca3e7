"""Pools come and go, twice over, while three landers land and nodes are killed in the middle of each movement."""

from __future__ import annotations

import importlib.util
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onefold_storage.buckets import prepare
from onefold_storage.errors import OnefoldError
from onefold_storage.room import room

TESTS = Path(__file__).parents[1]
ROUNDS = 2

pytestmark = [pytest.mark.chaos, pytest.mark.needs_minio, pytest.mark.timeout(3600)]


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


minio_cluster, growing = module("minio_cluster"), module("growing_storage")


class Killer:
    """Kills one node at a time, some seconds in, and starts it again some seconds later, until told to stop."""

    def __init__(self, cluster: Any, seed: int) -> None:
        self._cluster, self._draw, self._over = cluster, random.Random(seed), threading.Event()
        self.kills = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._cluster.start(120)

    def _run(self) -> None:
        # The first node is what the landers and the commands are connected to; there is no balancer here.
        while not self._over.wait(self._draw.uniform(0.2, 2)):
            self._cluster.kill(self._draw.randrange(1, len(self._cluster.nodes)))
            self.kills += 1
            if self._over.wait(self._draw.uniform(0.5, 3)):
                return
            self._cluster.start(120)


def run_until_done(site: Any, *words: str) -> dict[str, Any]:
    """Ask again until it is done, as a person would whose movement was disturbed; every refusal is a clear one."""
    end, said = time.monotonic() + 300, ""
    while time.monotonic() < end:
        try:
            told: dict[str, Any] = growing.onefold(site, *words)
            return told
        except AssertionError as error:
            said = str(error)
            assert "Traceback" not in said, said
            time.sleep(1)
    raise AssertionError(said)


def check_at_last(site: Any, seconds: float = 60) -> None:
    """The exact check, once nodes that have just started have found each other; a failure shows where keys lie."""
    end = time.monotonic() + seconds
    while True:
        try:
            site.check(exact=True)
        except OnefoldError as error:  # storage does not answer as it should
            if time.monotonic() < end:
                time.sleep(1)
                continue
            lost = re.search(r"lake/\S+?\.(?:json|parquet)", str(error.__cause__ or error))
            held = [d for n in site.cluster.nodes for d in n.drives if lost and (d / "grows" / lost[0]).exists()]
            raise AssertionError(
                f"{lost and lost[0]} is not read; it lies on {len(held)} drives: {held}"
            ) from error
        else:
            return


def test_pools_come_and_go_while_nodes_die(tmp_path: Path, free_port: Callable[[], int]) -> None:
    programs = TESTS.parent / ".tools" / "minio"
    kills = 0
    with minio_cluster.MinioCluster(tmp_path / "cluster", programs, free_port, drive_mb=96) as cluster:
        site = growing.Site(cluster.start(), tmp_path)
        prepare(site.settings(root=True), None)
        for turn in range(ROUNDS):
            (tmp_path / "stop").unlink(missing_ok=True)
            for number, source in enumerate(("one", "two", "three")):
                site.start(source, 100_000 if number == 0 else 100)
            site.wait_for(5)
            cluster.add_pool()
            with Killer(cluster, turn) as killer:
                run_until_done(site, "rebalance")
                site.wait_for(2, 300)
            kills += killer.kills
            site.check(exact=False)
            with Killer(cluster, 100 + turn) as killer:
                run_until_done(site, "drain", "1")
                site.wait_for(2, 300)
            kills += killer.kills
            told = run_until_done(site, "drain", "1")
            assert [(s["state"], s["failed"]) for s in told["steps"]] == [("done", 0)]
            site.stop()
            site.check(exact=True)
            cluster.forget_pool(0)
            check_at_last(site)
            assert len(room(site.settings(root=True)).pools) == 1
    assert kills > 2 * ROUNDS
