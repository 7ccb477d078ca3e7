"""Events over HTTP with real faults: servers killed at any moment, storage cut off, a full volume, two replicas."""

from __future__ import annotations

import random
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import polars as pl
import psutil
import pytest

from onefold_storage.installation import Installation

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture(scope="session")
def bench() -> Any:
    """The words of `tests/bench/ingest.py`: `Server`, `SOURCE`, …"""
    return SimpleNamespace(**runpy.run_path(str(BENCH / "ingest.py")))


class Load:
    """The load generator in the background; `end()` gives the numbers of the acknowledged events."""

    def __init__(self, server: Any, *, batch: int, connections: int = 8, keys: bool = False) -> None:
        self.out, self.batch = server.folder / "acknowledged", batch
        given = {
            "port": server.port, "token": server.token, "source": "visits", "seconds": 3600,
            "connections": connections, "batch": batch, "keys": int(keys), "out": self.out,
        }  # fmt: skip
        arguments = [part for k, v in given.items() for part in (f"--{k}", str(v))]
        self.process = subprocess.Popen([sys.executable, str(BENCH / "ingest_load.py"), *arguments])

    def end(self) -> pl.Series:
        """Stop sending."""
        self.process.terminate()
        assert self.process.wait(30) == 0
        numbers = pl.DataFrame({"n": [int(n) for n in self.out.read_text().split()]}, schema={"n": pl.Int64})
        return numbers.select(pl.int_ranges(pl.col("n") * self.batch, (pl.col("n") + 1) * self.batch).explode())[
            "n"
        ]


def killed_again_and_again(bench: Any, folder: Path, rounds: int, seed: int, *, keys: bool) -> None:
    """Kill the server, its drainer, or both, while events come in; then nothing acknowledged is lost or doubled.

    `keys`: requests are named by a key, and sent again where the answer was lost.
    """
    chance = random.Random(seed)
    server = bench.Server(folder).start()
    load = Load(server, batch=5, keys=keys)
    try:
        for _ in range(rounds):
            time.sleep(chance.uniform(0.2, 1.8))
            drainers = psutil.Process(server.process.pid).children()
            whom = chance.choice(["server", "drainer", "both"])
            if whom != "server":
                for drainer in drainers:
                    with suppress(psutil.NoSuchProcess):
                        drainer.kill()
            if whom != "drainer":
                server.process.kill()
                server.process.wait()
                server.start()
        time.sleep(0.3)
        acknowledged = load.end()
        server.drained()
        assert acknowledged.len() > 0
        assert server.compared(acknowledged) == (0, 0)
        totals = Installation(server.settings).ledger.packages.totals()[bench.SOURCE]
        assert totals.sent == totals.landed + totals.failed + totals.repeated + totals.suppressed
        assert totals.failed == 0
    finally:
        if load.process.poll() is None:
            load.process.kill()
        server.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "rounds"), [(False, 2), (True, 4)])
def test_killed_at_any_moment_nothing_is_lost_or_doubled(
    bench: Any, tmp_path: Path, keys: bool, rounds: int
) -> None:
    killed_again_and_again(bench, tmp_path, rounds, seed=1, keys=keys)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("keys", [False, True])
def test_killed_fifty_times(bench: Any, tmp_path: Path, keys: bool) -> None:
    killed_again_and_again(bench, tmp_path, 50, seed=2, keys=keys)


class Gate:
    """A TCP way to a server that can be shut: new connections are refused, open ones are cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.open()

    def open(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Cut all, and take no more."""
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return  # shut
            with suppress(OSError):
                there = socket.create_connection(self._target)
                self._open += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate(minio: Any) -> Iterator[Gate]:
    """A way to the session's MinIO."""
    host, port = minio.endpoint.removeprefix("http://").split(":")
    made = Gate((host, int(port)))
    yield made
    with suppress(OSError):
        made.shut()


@pytest.mark.slow
@pytest.mark.needs_minio
def test_while_storage_is_cut_off_events_are_taken_and_land_when_it_is_back(
    bench: Any, tmp_path: Path, bucket: dict[str, Any], gate: Gate, minio: Any
) -> None:
    given = bucket | {"s3_endpoint": f"http://127.0.0.1:{gate.port}"}
    server = bench.Server(tmp_path, {f"ONEFOLD_{k.upper()}": v for k, v in given.items()}).start()
    load = Load(server, batch=5, connections=2)
    address = f"http://127.0.0.1:{server.port}"
    try:
        time.sleep(1.5)
        gate.shut()
        time.sleep(1.5)
        server.process.kill()  # and the server dies while storage is away
        server.process.wait()
        server.start()
        before = httpx.get(f"{address}/health").json()["events"]["waiting_bytes"]
        time.sleep(2.5)
        during = httpx.get(f"{address}/health").json()["events"]["waiting_bytes"]
        assert during > before > 0  # it takes events all the same
        acknowledged = load.end()
        gate.open()
        server.drained()
        # delta-rs keeps other threads of this process, and so the gate, from running: past the gate, then
        server.settings = server.settings.model_copy(update={"s3_endpoint": minio.endpoint})
        assert server.compared(acknowledged) == (0, 0)
    finally:
        if load.process.poll() is None:
            load.process.kill()
        server.stop()


def test_a_full_volume_refuses_with_507_and_takes_again(bench: Any, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(volume)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small volume can only be mounted by root")
    server = bench.Server(tmp_path, {"ONEFOLD_SPOOL": str(volume / "spool")})
    filler = volume / "filler"
    try:
        server.start()
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{server.port}", headers={"Authorization": f"Bearer {server.token}"}
        )
        filler.write_bytes(b"x" * 700_000)
        taken = []
        for n in range(20):  # each half of what is left: some fit, some do not
            answer = client.post("/v1/ingest/visits", json={"id": n, "page": "x" * 150_000})
            if answer.status_code == 202:
                taken.append(n)
            else:
                assert answer.status_code == 507 and answer.headers["Retry-After"]
                assert answer.json()["error"]["code"] == "full"
        assert 0 < len(taken) < 20
        filler.unlink()
        assert client.post("/v1/ingest/visits", json={"id": 100}).status_code == 202
        server.drained()
        landed = Installation(server.settings).lake.scan("bronze/visits").sort("_package_id", "_row_id").collect()
        assert landed["id"].to_list() == [*taken, 100]
    finally:
        server.stop()
        subprocess.run(["umount", str(volume)], check=True)


def test_two_replicas_that_get_the_same_keys_land_each_once(bench: Any, tmp_path: Path) -> None:
    """Each has its own log on its own volume; which of them landed a key is decided by the commit."""
    first = bench.Server(tmp_path, {"ONEFOLD_SPOOL": str(tmp_path / "one")}).start()
    second = bench.Server(tmp_path, {"ONEFOLD_SPOOL": str(tmp_path / "two")}).start()
    try:
        clients = [
            httpx.Client(base_url=f"http://127.0.0.1:{s.port}", headers={"Authorization": f"Bearer {s.token}"})
            for s in (first, second)
        ]

        def send(at: int) -> tuple[int, str]:
            client, n = clients[at % 2], at // 2
            headers = {"Idempotency-Key": f"key {n}"}
            answer = client.post("/v1/ingest/visits", json=[{"id": 2 * n}, {"id": 2 * n + 1}], headers=headers)
            assert answer.status_code == 202
            return n, answer.json()["receipt"]

        with ThreadPoolExecutor(8) as pool:
            receipts = list(pool.map(send, range(200)))
        assert len(set(receipts)) == 100  # both replicas give a request the same receipt
        first.drained()
        second.drained()
        rows = Installation(first.settings).lake.scan("bronze/visits").collect()["id"].to_list()
        assert sorted(rows) == list(range(200))
        totals = Installation(first.settings).ledger.packages.totals()["visits"]
        assert (totals.landed, totals.failed) == (200, 0)
        told = {c.get(f"/v1/ingest/visits/receipts/{receipts[0][1]}").json()["package_id"] for c in clients}
        assert len(told) == 1
        for at in range(4):  # after the commit, at either
            assert send(at)[1] == dict(receipts)[at // 2]
        other = clients[1].post("/v1/ingest/visits", json={"id": 5}, headers={"Idempotency-Key": "key 0"})
        assert other.status_code == 409
    finally:
        first.stop()
        second.stop()
