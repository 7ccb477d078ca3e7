"""What lands under fire, each a process of its own; run by `storage_under_fire.py` with globals that say what.

- `land`: package after package of every source, into `FOLDER/SOURCE.acks`, a synced line for each that was returned.
- `events`: events into the write-ahead log, acknowledged in `FOLDER/visits.acks` when the log has them; the product's
  own drainer brings them into the lake.
- `finish`: one more package of every source, then the log until it is empty: the next run, without a hand.

What fails is noted in `FOLDER/failures` and done again by the same process, as a flow or a drainer would.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from onefold_storage import contracts
from onefold_storage.deliveries import Batch, Delivery
from onefold_storage.errors import OnefoldError
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Spool
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import Writer, segments

SOURCES, VISITS = ("one", "two"), "visits"
ROWS, BAD = 20, 2
"""Rows of a package, and how many of them break the contract."""
PATIENCE, BEHIND = 240.0, 2
"""Seconds to wait at most, twice what MinIO keeps the lock of a node that was killed while it wrote (it looks once a
minute for locks that are a minute old); and sealed segments that wait."""
CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: {id}
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties: [{{name: id, logicalType: integer, primaryKey: true}}, {{name: value, logicalType: integer}}]
customProperties:
  - {{property: onefold, value: {{{how}, lawful_basis: contract, data_use: [service]}}}}
"""


def package_rows(n: int) -> tuple[list[str], list[str]]:
    """Keys and values of the n-th package: keys of its own; the last values are no integers."""
    keys = [str(n * ROWS + i) for i in range(ROWS)]
    return keys, [*(["1"] * (ROWS - BAD)), *(["x"] * BAD)]


def _delivery(source: str, n: int) -> Delivery:
    def batches() -> Iterator[Batch]:
        keys, values = package_rows(n)
        yield Batch(pa.table({"id": keys, "value": values}), pa.array(range(ROWS), pa.int64()))

    return Delivery(f"{source}-{n}", f"{source}-{n}.csv", batches())


class Acknowledgements:
    """A file of numbers, one a line, each durable before anybody is told."""

    def __init__(self, path: Path) -> None:
        self.count = len(path.read_text().split()) if path.exists() else 0
        self._file = path.open("a")

    def add(self, *numbers: int) -> None:
        self._file.write("".join(f"{n}\n" for n in numbers))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.count += len(numbers)


def _note(folder: Path, what: str, error: Exception) -> None:
    clear = isinstance(error, OnefoldError)
    with (folder / "failures").open("a") as file:
        told = f"{type(error).__name__}: {error}"[:300]
        cause = f" | {type(error.__cause__).__name__}: {error.__cause__}"[:300] if error.__cause__ else ""
        file.write(f"{'clear' if clear else 'UNCLEAR'} {what} {told}{cause}".replace("\n", " ") + "\n")


def _stopped(folder: Path) -> bool:
    return (folder / "stop").exists()


def land(settings: StorageSettings, folder: Path, packages: int | None = None) -> None:
    """Land until told to stop, or so many packages of each source."""
    installation = Installation(settings)
    known = {s: Acknowledgements(folder / f"{s}.acks") for s in SOURCES}
    described = {s: contracts.parse(CONTRACT.format(id=s, how="location: x"), s) for s in SOURCES}
    goal = {s: known[s].count + packages if packages else None for s in SOURCES}
    end = time.monotonic() + PATIENCE
    while any(goal[s] != known[s].count for s in SOURCES) and (packages or not _stopped(folder)):
        for source, acks in known.items():
            if goal[source] == acks.count:
                continue
            try:
                done = installation.lander.land(described[source], _delivery(source, acks.count))
            except Exception as error:
                _note(folder, source, error)
                if packages and time.monotonic() > end:
                    raise
                time.sleep(0.1)
                continue
            assert done.sent == ROWS == done.landed + done.failed + done.repeated + done.suppressed
            acks.add(acks.count)


def events(settings: StorageSettings, folder: Path, first: int) -> None:
    """Take events until told to stop. `first`: keys from here on are this process's own."""
    from onefold.api.ingest_drain import DrainProcess

    acks, writer = Acknowledgements(folder / f"{VISITS}.acks"), Writer(settings.spool_folder / "logs")
    drainer = DrainProcess(settings, writer.id, lambda _: None)
    chance, since = random.Random(first), time.monotonic()
    while not _stopped(folder):
        keys = range(first, first + chance.randint(1, 8))
        first = keys.stop
        body = b"\n".join(b'{"id":%d,"value":%b}' % (k, b'"x"' if k % 50 == 0 else b"1") for k in keys)
        writer.append([Frame(VISITS, body, len(keys))])
        acks.add(*keys)
        # As the API does: what the drainer is behind with waits in one segment.
        if time.monotonic() - since > 0.2 and len(segments(writer.folder)) < BEHIND:
            writer.seal()
            drainer.start()
            drainer.kick()
            since = time.monotonic()
        time.sleep(chance.uniform(0, 0.04))
    writer.close()
    drainer.close()


def finish(settings: StorageSettings, folder: Path) -> None:
    """Land one more package of each source, and drain the log."""
    from onefold_workers.stages.draining import Drainer

    land(settings, folder, packages=1)
    drainer, spool = Drainer(Installation(settings)), Spool(settings.spool_folder)
    end = time.monotonic() + PATIENCE
    while spool.depth().total:
        try:
            drainer.step()
        except Exception as error:
            _note(folder, VISITS, error)
        assert time.monotonic() < end, f"the log does not drain: {spool.depth()}"
        time.sleep(0.05)
    drainer.close()


def run(what: str, settings: StorageSettings, folder: Path, given: dict[str, Any]) -> None:
    """One of the above. `given`: its arguments, or `arm`, which prepares this process to die at a point."""
    if arm := given.pop("arm", None):
        import runpy

        program = Path(__file__).parents[1] / "storage" / "land_program.py"
        runpy.run_path(str(program))["arm"](*arm)
    programs: dict[str, Callable[..., None]] = {"land": land, "events": events, "finish": finish}
    programs[what](settings, folder, **given)


if "fire" in globals():
    run(*globals()["fire"])
