"""How fast events are taken over HTTP, by a real server over a real lake, with the load generator beside it.

    python tests/bench/ingest.py [--seconds 10] [--lake s3://bucket/prefix]     # S3 as ONEFOLD_S3_… say

`measure(folder, environment, seconds)` is for other benches: it starts `onefold serve`, sends batches, then single
events, waits until all is committed, and compares what was acknowledged with what the lake holds. It gives
`ingest_events_per_s`, `ingest_requests_per_s`, `lost`, `doubled` (both 0), and how long it took under that load from
sending an event to its commit.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Spool

SOURCE = "visits"
BATCH, BATCH_CONNECTIONS, SINGLE_CONNECTIONS = 200, 8, 64
_CONTRACT = f"""
kind: DataContract
apiVersion: v3.1.0
id: {SOURCE}
version: 1.0.0
status: active
schema:
  - name: {SOURCE}
    logicalType: object
    properties:
      - {{name: id, logicalType: integer, required: true}}
      - {{name: visitor, logicalType: string}}
      - {{name: page, logicalType: string}}
      - {{name: referrer, logicalType: string}}
      - {{name: at, logicalType: timestamp}}
      - {{name: seconds, logicalType: integer}}
      - {{name: amount, logicalType: number, physicalType: "decimal(12,2)"}}
customProperties:
  - property: onefold
    value: {{connector: http, lawful_basis: contract, data_use: [service]}}
"""


class Server:
    """`onefold serve` over an installation in a folder."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.environment = {**os.environ, **(environment or {}), "ONEFOLD_HOME": str(folder / "home")}
        contracts = folder / "home" / "workspace" / "contracts"
        if not contracts.exists():
            contracts.mkdir(parents=True)
            (contracts.parent / "onefold.yaml").write_text("name: bench\n")
            (contracts / f"{SOURCE}.yaml").write_text(_CONTRACT)
        self.folder = folder
        self.settings = StorageSettings.model_validate(_settings(self.environment))
        with Installation(self.settings).ledger as ledger:
            self.token = ledger.keys.create("load", ["ingest"])[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        """Start it and wait until it answers."""
        onefold = str(Path(sys.executable).with_name("onefold"))
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            [onefold, "serve", "--port", str(self.port)], env=self.environment, stdout=log, stderr=log
        )
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5)
                return self
            except urllib.error.HTTPError:
                return self  # nothing is published: it answers
            except OSError:
                time.sleep(0.05)
        raise RuntimeError((self.folder / "server.log").read_text()[-2000:])

    def stop(self) -> None:
        """End it in good order."""
        if self.process:
            self.process.terminate()
            self.process.wait(30)

    def load(self, name: str, *, seconds: float, connections: int, batch: int, first: int = 0) -> dict[str, Any]:
        """Run the load generator; its facts, and under `acknowledged` the events' numbers."""
        out = self.folder / f"{name}.acknowledged"
        arguments = {
            "port": self.port, "token": self.token, "source": SOURCE, "seconds": seconds,
            "connections": connections, "batch": batch, "first": first, "out": out,
        }  # fmt: skip
        program = [sys.executable, str(Path(__file__).with_name("ingest_load.py"))]
        given = [part for k, v in arguments.items() for part in (f"--{k}", str(v))]
        done = subprocess.run([*program, *given], capture_output=True, text=True, check=True)
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        numbers = pl.Series("n", [int(n) for n in out.read_text().split()], dtype=pl.Int64)
        ids = pl.DataFrame(numbers).select(pl.int_ranges(pl.col("n") * batch, (pl.col("n") + 1) * batch).explode())
        return facts | {"acknowledged": ids.to_series()}

    def drained(self, patience: float = 120.0) -> float:
        """Wait until the log is empty; the seconds that took."""
        spool, began = Spool(self.settings.spool_folder), time.monotonic()
        while spool.depth().total:
            if time.monotonic() - began > patience:
                raise RuntimeError(f"the log was not drained: {spool.depth()}")
            time.sleep(0.05)
        return time.monotonic() - began

    def compared(self, acknowledged: pl.Series) -> tuple[int, int]:
        """(lost, doubled): acknowledged events that the lake has not, events that it has more than once."""
        counts = Installation(self.settings).lake.scan(f"bronze/{SOURCE}").group_by("id").len().collect()
        sent = pl.DataFrame({"id": acknowledged.cast(pl.Int64)})
        lost = sent.join(counts, on="id", how="anti").height
        return lost, counts.filter(pl.col("len") > 1).height


class Probe:
    """Sends one event after another beside the load and waits for the commit of each; `seconds` that each took."""

    def __init__(self, server: Server) -> None:
        self._server, self.seconds, self._ended = server, list[float](), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        number = 2_000_000_000
        while not self._ended.is_set():
            began = time.monotonic()
            receipt = self._ask("", b'{"id":%d}' % number)["receipt"]
            while self._ask(f"/receipts/{receipt}")["state"] != "committed":
                time.sleep(0.05)
            self.seconds.append(time.monotonic() - began)
            number += 1

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._server.token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._server.port}/v1/ingest/{SOURCE}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def measure(folder: Path, environment: dict[str, str] | None = None, seconds: float = 10.0) -> dict[str, Any]:
    """The figures of ingest. `folder`: an empty one to work in; `environment`: further variables of the server, such
    as ONEFOLD_LAKE_URL and ONEFOLD_S3_…; without them the lake is in the folder."""
    server = Server(folder, environment).start()
    try:
        server.load("warm", seconds=2, connections=8, batch=20, first=500_000_000)
        with Probe(server) as probe:
            batches = server.load("batches", seconds=seconds, connections=BATCH_CONNECTIONS, batch=BATCH)
            singles = server.load(
                "singles", seconds=seconds, connections=SINGLE_CONNECTIONS, batch=1, first=1_000_000_000
            )
        server.drained()
        lost, doubled = server.compared(pl.concat([batches["acknowledged"], singles["acknowledged"]]))
    finally:
        server.stop()
    return {
        "ingest_events_per_s": round(batches["events"] / batches["seconds"]),
        "ingest_requests_per_s": round(singles["requests"] / singles["seconds"]),
        "ingest_refused": batches["refused"] + singles["refused"],
        "ingest_commit_median_s": round(statistics.median(probe.seconds), 2),
        "ingest_commit_worst_s": round(max(probe.seconds), 2),
        "lost": lost,
        "doubled": doubled,
    }


def _settings(environment: dict[str, str]) -> dict[str, str]:
    """What the server will read from its environment, for this process."""
    names = StorageSettings.model_fields
    return {n: environment[f"ONEFOLD_{n.upper()}"] for n in names if f"ONEFOLD_{n.upper()}" in environment}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--lake")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        print(
            json.dumps(measure(Path(work), {"ONEFOLD_LAKE_URL": given.lake} if given.lake else {}, given.seconds))
        )
