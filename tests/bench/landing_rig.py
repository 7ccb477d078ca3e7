"""What the landing benchmarks stand on: a MinIO process of their own, an installation in it, and a meter.

Without a MinIO server (`make minio` gets one) the lake is a folder, and `where` says so.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onefold_storage.buckets import prepare
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings

ROOT = Path(__file__).resolve().parents[2]
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Rig:
    """A home with a lake. `pids`: processes beside this one that work for it, for the meter."""

    settings: StorageSettings
    work: Path
    where: str
    pids: list[int] = field(default_factory=list)

    def installation(self) -> Installation:
        """A fresh opening of it."""
        return Installation(self.settings)


@contextmanager
def rig(work: Path) -> Iterator[Rig]:
    """An empty installation below `work`, in a bucket of a MinIO process that ends with it."""
    home = work / "home"
    (home / "workspace").mkdir(parents=True)
    server = ROOT / ".tools" / "minio" / "minio"
    if not os.access(server, os.X_OK):
        yield Rig(StorageSettings(home=home), work, "file (no MinIO server; make minio gets one)")
        return
    with _minio(server, work / "minio") as (endpoint, root, pid):
        facts: dict[str, Any] = {
            "lake_url": "s3://onefold/lake",
            "s3_endpoint": endpoint,
            "s3_access_key": "lander",
            "s3_secret_key": secrets.token_hex(16),
        }
        prepare(StorageSettings(home=home, **facts, **root))
        yield Rig(StorageSettings(home=home, **facts), work, "MinIO, one node, one drive", [pid])


@contextmanager
def _minio(server: Path, folder: Path) -> Iterator[tuple[str, dict[str, str], int]]:
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    root = {"s3_root_user": secrets.token_hex(8), "s3_root_password": secrets.token_hex(16)}
    private = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MINIO_ROOT_USER": root["s3_root_user"],
        "MINIO_ROOT_PASSWORD": root["s3_root_password"],
        "MINIO_UPDATE": "off",
        "MINIO_BROWSER": "off",
        "MINIO_CI_CD": "1",
    }
    command = [str(server), "server", "--quiet", "--address", address, str(folder / "data")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=private, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(f"http://{address}/minio/health/ready", process)
        yield f"http://{address}", root, process.pid
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise SystemExit(f"MinIO did not start; see {process.args!r}")


@dataclass
class Span:
    """What a piece of work took: seconds by the clock, and of processors: this process's, and the others'."""

    wall: float = 0.0
    own: float = 0.0
    others: float = 0.0

    def __str__(self) -> str:
        return f"{self.wall:6.2f} s ({self.own:.2f} + {self.others:.2f} s of processors)"


@contextmanager
def metered(pids: Iterable[int] = ()) -> Iterator[Span]:
    """Measure the block; `pids` are other processes that work for it."""
    listed, span = list(pids), Span()
    before, own, start = sum(map(_used, listed)), time.process_time(), time.perf_counter()
    yield span
    span.wall = time.perf_counter() - start
    span.own, span.others = time.process_time() - own, sum(map(_used, listed)) - before


def _used(pid: int) -> float:
    facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(facts[11]) + int(facts[12])) / _TICK


def best(rounds: list[Span]) -> Span:
    """The round that others disturbed least."""
    return min(rounds, key=lambda s: s.wall)


def load() -> str:
    """The machine's load now, for reports."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


Say = Callable[[str], None]
