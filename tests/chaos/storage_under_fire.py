"""A lake on a real cluster that is under fire: the cluster, the balancer before it, what lands, and the reckoning.

Used by `test_storage_faults.py`. A `Site` is one lake; many may follow each other on one cluster.
"""

from __future__ import annotations

import multiprocessing
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl

from onefold_storage.buckets import prepare
from onefold_storage.capacity import of_information
from onefold_storage.errors import OnefoldError, Unavailable
from onefold_storage.faults import fault_of
from onefold_storage.healing import heal
from onefold_storage.installation import Installation
from onefold_storage.minio_admin import AdminApi
from onefold_storage.objects import Objects
from onefold_storage.settings import StorageSettings

HERE = Path(__file__).parent
PROGRAM = HERE / "fire_program.py"
program = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
FILES = ("files_a", "files_b", "files_c")
_context = multiprocessing.get_context("forkserver")
_preload = ["__main__", "onefold_storage.installation", "alembic.command", "onefold_workers.stages.draining"]
_context.set_forkserver_preload(_preload)


class Storage:
    """The cluster with its balancer."""

    def __init__(self, cluster: Any, folder: Path) -> None:
        self.cluster, self.folder, self._mood = cluster, folder, folder / "mood"
        self.mood("pass")
        nodes = [n.address for n in cluster.nodes]
        command = [sys.executable, str(HERE / "fire_balancer.py"), str(self._mood), *nodes]
        self.balancer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.balancer.stdout
        self.endpoint = f"http://127.0.0.1:{int(self.balancer.stdout.readline())}"
        root: dict[str, Any] = {"s3_root_user": "test-root", "s3_root_password": "test-root-password"}
        prepare(StorageSettings(**self.settings("fire"), **root))

    def mood(self, mood: str) -> None:
        """Let the network pass, or cut it: see `fire_balancer.py`."""
        draft = self._mood.with_suffix(".new")
        draft.write_text(mood)
        draft.replace(self._mood)

    def settings(self, lake: str) -> dict[str, Any]:
        """Settings of a lake; little patience, so that what is away is soon told."""
        keys = {"s3_access_key": "the-platform", "s3_secret_key": "secret-of-the-platform"}
        where = {"lake_url": f"s3://fire/{lake}", "s3_endpoint": self.endpoint}
        return keys | where | {"s3_timeout": 2.0, "s3_patience": 3.0}

    def close(self) -> None:
        self.balancer.kill()
        self.balancer.wait()


class Site:
    """One lake under fire, what lands into it, and what it said."""

    def __init__(self, storage: Storage, name: str, folder: Path) -> None:
        self.storage, self.cluster, self.folder = storage, storage.cluster, folder
        folder.mkdir()
        home = folder / "home"
        self.settings = StorageSettings(home=home, **storage.settings(name))
        self.patient = self.settings.model_copy(update={"s3_timeout": 30.0, "s3_patience": 60.0})
        self._events = 0
        self._running: list[Any] = []
        self.files = 0
        described = home / "workspace" / "contracts"
        described.mkdir(parents=True)
        (described.parent / "onefold.yaml").write_text("name: fire\n")
        how = {program.VISITS: "connector: http"} | {s: f"location: '{s}/*.csv'" for s in FILES}
        for source, given in how.items():
            (described / f"{source}.yaml").write_text(program.CONTRACT.format(id=source, how=given))
        for source in FILES:
            (described.parent / source).mkdir()

    # what lands

    def start(self, what: str, **given: Any) -> Any:
        """A process of `fire_program.py`; the next run is as patient with a busy machine as one would be."""
        (self.folder / "stop").unlink(missing_ok=True)
        if what == "events":
            self._events += 1_000_000
            given |= {"first": self._events}
        settings = self.patient if what == "finish" else self.settings
        fire = {"fire": (what, settings, self.folder, given)}
        process = _context.Process(target=runpy.run_path, args=(str(PROGRAM),), kwargs={"init_globals": fire})
        process.start()
        self._running.append(process)
        return process

    def stop(self) -> None:
        """End what runs, in good order."""
        (self.folder / "stop").touch()
        for process in self._running:
            process.join(90)
            assert process.exitcode in (0, -9), f"a process ended with {process.exitcode}: {self.failures()[-3:]}"
        self._running = []

    def abandon(self) -> None:
        """Kill what runs."""
        for process in self._running:
            process.kill()
            process.join(10)
        self._running = []

    def acknowledged(self, source: str) -> list[int]:
        """The packages, or events, that were acknowledged."""
        path = self.folder / f"{source}.acks"
        return [int(n) for n in path.read_text().split()] if path.exists() else []

    def failures(self) -> list[str]:
        """What was refused, a line each."""
        path = self.folder / "failures"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, more: int, *sources: str) -> None:
        """Until so many packages or events more of each source are acknowledged."""
        goals = {s: len(self.acknowledged(s)) + more for s in sources}
        self.until(
            lambda: all(len(self.acknowledged(s)) >= goal for s, goal in goals.items()),
            lambda: f"nothing of {goals} is acknowledged: {self.failures()[-3:]}",
        )

    def until(self, there: Callable[[], bool], why: Callable[[], str]) -> None:
        """Wait until it is so."""
        end = time.monotonic() + program.PATIENCE
        while not there():
            assert time.monotonic() < end, f"{why()} (processes: {[p.exitcode for p in self._running]})"
            time.sleep(0.05)

    def full_drives(self) -> int:
        """Drives without room, as the storage's own administration tells it."""
        return of_information(
            AdminApi(self.storage.endpoint, "test-root", "test-root-password").information()
        ).drives_full

    def heal(self) -> None:
        """Until every object lies on every drive, as an administrator would after nodes were away.

        What was written meanwhile may lie on five drives of eight, and be out of reach when another node goes.
        """
        api = AdminApi(self.storage.endpoint, "test-root", "test-root-password")

        def whole() -> bool:
            with suppress(OnefoldError):  # nodes that have just started are still finding each other
                return all(map(self._reaches_every_drive, self.cluster.nodes)) and heal(api, "fire").left == 0
            return False

        self.until(whole, lambda: "not everything heals")

    def _reaches_every_drive(self, node: Any) -> bool:
        through = self.settings.model_copy(update={"s3_endpoint": f"http://{node.address}"})
        objects, place = Objects(through.lake, through.storage_options), through.lake.removeprefix("s3://")
        objects.put("probe", b"probe")
        reached = [(drive / place / "probe").is_dir() for n in self.cluster.nodes for drive in n.drives]
        objects.delete("probe")
        return all(reached)

    def add_files(self) -> None:
        """A file more for each source of files."""
        for source in FILES:
            keys, values = program.package_rows(self.files)
            rows = "".join(f"{k},{v}\n" for k, v in zip(keys, values, strict=True))
            (self.settings.workspace_folder / source / f"{self.files:05d}.csv").write_text(f"id,value\n{rows}")
        self.files += 1

    # the reckoning

    def next_run(self) -> None:
        """What was left half done is completed by the next run, which needs no hand."""
        process = self.start("finish")
        process.join(program.PATIENCE * 2)
        assert process.exitcode == 0, f"the next run does not go through: {self.failures()[-5:]}"
        self._running = []
        unclear = [line for line in self.failures() if line.startswith("UNCLEAR")]
        assert not unclear, unclear

    def check(self) -> None:
        """Every acknowledged row is there once, nothing else is but what is whole; and the book agrees.

        Nodes that have just met do not give every part at once.
        """

        def given() -> bool:
            try:
                self._reckon()
            except Exception as error:
                if not isinstance(fault_of(error) or error, Unavailable):
                    raise
                return False
            return True

        self.until(given, lambda: "not every part is given")

    def _reckon(self) -> None:
        installation = Installation(self.patient)
        good, rows = program.ROWS - program.BAD, program.ROWS
        totals = installation.ledger.packages.totals()
        expected = {s: self.acknowledged(s) for s in program.SOURCES}
        expected |= {s: list(range(self.files)) for s in FILES if self.files}
        for source, packages in expected.items():
            assert packages == list(range(len(packages)))
            wanted = {n * rows + i for n in packages for i in range(good)}
            assert self._keys(installation, source) == wanted, f"{source}: rows are lost"
            book = totals[source]
            assert (book.packages, book.sent) == (len(packages), len(packages) * rows)
            assert (book.landed, book.failed) == (len(packages) * good, len(packages) * program.BAD)
            assert installation.lake.transaction(f"bronze/{source}", "land") == len(packages)
        if events := self.acknowledged(program.VISITS):
            landed = self._keys(installation, program.VISITS)
            wanted = {e for e in events if e % 50}
            assert landed >= wanted, f"{len(wanted - landed)} acknowledged events are lost"
            assert totals[program.VISITS].landed == len(landed)
            assert totals[program.VISITS].failed >= len(events) - len(wanted)
        for book in totals.values():
            assert book.sent == book.landed + book.failed + book.repeated + book.suppressed
        failed = installation.lake.scan("bronze/failed_events").select("source", "package_id", "row_id").collect()
        assert failed.height == failed.unique().height, "failed events are told twice"
        counted = dict(failed.group_by("source").len().iter_rows())
        assert counted == {s: b.failed for s, b in totals.items() if b.failed}
        installation.ledger.close()

    def _keys(self, installation: Installation, source: str) -> set[int]:
        ids = installation.lake.scan(f"bronze/{source}").select(pl.col("id")).collect()["id"]
        assert ids.n_unique() == ids.len(), f"{source}: rows are there twice"
        return set(ids)
