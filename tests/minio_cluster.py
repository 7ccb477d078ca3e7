"""A real MinIO cluster of processes on this machine: pools of four nodes with two drives each.

    with MinioCluster(folder, programs, free_port) as cluster:
        cluster.start()
        cluster.kill(0)          # a node dies
        cluster.add_pool()       # four more nodes; every node is started again with both pools
        cluster.admin("info")    # mc admin info, as JSON

Drives are small file systems of their own (tmpfs) where this user may mount them, so that they fill by themselves
and pools differ; else folders of one disk (`own_drives` says which). Each cluster has a loopback address of its own:
the port of a node that was killed is nobody else's until the node is back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import urllib3
import yaml

ROOT_USER, ROOT_PASSWORD = "test-root", "test-root-password"
NODES, DRIVES = 4, 2
_count = itertools.count(1)


@dataclass
class Node:
    """One server process with its drives; `pool` counts all pools that were ever made, from 0."""

    pool: int
    address: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    drives: list[Path] = field(default_factory=list)


class MinioCluster:
    """See the module's text. `programs`: the folder with `minio` and `mc`; `drive_mb`: size of a drive."""

    def __init__(
        self,
        folder: Path,
        programs: Path,
        free_port: Callable[[], int],
        *,
        nodes: int = NODES,
        drives: int = DRIVES,
        drive_mb: int = 256,
    ) -> None:
        self.folder, self._programs, self._free_port = folder, programs, free_port
        self._shape, self._drive_mb = (nodes, drives), drive_mb
        self.nodes: list[Node] = []
        self.own_drives = os.getuid() == 0
        self._mounted: list[Path] = []
        self.pools: list[list[str]] = []
        self._serials: list[int] = []
        self._made = 0
        self._host = f"127.{128 + os.getpid() // 256 % 127}.{os.getpid() % 256}.{next(_count)}"
        self.add_nodes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """URL of the first node that runs."""
        running = next((n for n in self.nodes if n.process and n.process.poll() is None), self.nodes[0])
        return f"http://{running.address}"

    def add_nodes(self) -> None:
        """Prepare one more pool's nodes; they run after the next `start`."""
        pool, (nodes, drives) = self._made, self._shape
        args = []
        for number in range(nodes):
            address = f"{self._host}:{self._free_port()}"
            node = Node(pool, address, self.folder / f"pool{pool}-node{number}")
            for drive in range(drives):
                path = node.folder / f"drive{drive}"
                self._make_drive(path)
                node.drives.append(path)
                args.append(f"http://{node.address}{path}")
            self.nodes.append(node)
        self.pools.append(args)
        self._serials.append(pool)
        self._made += 1

    def start(self, seconds: float = 60) -> Self:
        """Start the nodes that do not run, and wait until the cluster can be written to."""
        for node in self.nodes:
            if node.process is None or node.process.poll() is not None:
                self._start(node)
        self.wait(seconds)
        return self

    def restart(self, seconds: float = 60) -> None:
        """Every node at once, as MinIO wants it when its pools change."""
        self.stop()
        self.start(seconds)

    def add_pool(self, seconds: float = 90) -> None:
        """Four more nodes as a second pool; all nodes are started again with both."""
        self.add_nodes()
        self.restart(seconds)

    def forget_pool(self, pool: int, seconds: float = 90) -> None:
        """Start all nodes again without a pool, which was drained before."""
        self.stop()
        self.pools.pop(pool)
        gone = self._serials.pop(pool)
        self.nodes = [n for n in self.nodes if n.pool != gone]
        self.start(seconds)

    def kill(self, number: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End one node without a word."""
        node = self.nodes[number]
        if node.process:
            node.process.send_signal(how)
            node.process.wait(20)

    def stop(self) -> None:
        """End every node."""
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.process.terminate()
        for node in self.nodes:
            if node.process:
                try:
                    node.process.wait(15)
                except subprocess.TimeoutExpired:
                    node.process.kill()
                    node.process.wait(5)

    def close(self) -> None:
        """End everything and take the drives away."""
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.process.kill()
                node.process.wait(10)
        for path in self._mounted:
            subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)
        self._mounted = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait(self, seconds: float = 60) -> None:
        """Until every node says that the whole cluster can be written to.

        Raises:
            TimeoutError: it did not; the message holds the nodes' last words.
        """
        end = time.monotonic() + seconds
        waiting = [n.address for n in self.nodes]
        while waiting:
            if time.monotonic() > end:
                raise TimeoutError(f"MinIO is not ready: {waiting}: {self.last_words()}")
            waiting = [a for a in waiting if not _healthy(a)]
            if waiting:
                time.sleep(0.1)

    def last_words(self) -> str:
        """The ends of the nodes' logs."""
        logs = [n.folder / "log" for n in self.nodes]
        return "\n".join(f"{p}: {p.read_text(errors='replace')[-600:]}" for p in logs if p.exists())

    def mc(self, *arguments: str) -> list[dict[str, Any]]:
        """Run MinIO's client as root with `--json`; the answer's objects.

        Raises:
            RuntimeError: it failed.
        """
        host = self.endpoint.removeprefix("http://")
        environment = os.environ | {
            "MC_CONFIG_DIR": str(self.folder / "mc"),
            "MC_HOST_test": f"http://{ROOT_USER}:{ROOT_PASSWORD}@{host}",
        }
        command = [str(self._programs / "mc"), "--json", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"mc {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def _start(self, node: Node) -> None:
        config = node.folder / "config.yaml"
        pools = [{"args": args} for args in self.pools]
        config.write_text(yaml.safe_dump({"version": "v2", "address": node.address, "pools": pools}))
        environment = os.environ | {
            "MINIO_ROOT_USER": ROOT_USER,
            "MINIO_ROOT_PASSWORD": ROOT_PASSWORD,
            "MINIO_CI_CD": "1",
            "_MINIO_SERVER_LOCAL": node.address,
            "MINIO_UPDATE": "off",
            "MINIO_BROWSER": "off",
            "MINIO_PROMETHEUS_AUTH_TYPE": "public",
            "GOMAXPROCS": "2",
            "GOMEMLIMIT": "200MiB",
        }
        with (node.folder / "log").open("ab") as log:
            node.process = subprocess.Popen(
                [str(self._programs / "minio"), "server", "--config", str(config), "--address", node.address],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=node.folder,
            )

    def _make_drive(self, path: Path) -> None:
        path.mkdir(parents=True)
        if self.own_drives:
            options = f"size={self._drive_mb}m"
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
            done = subprocess.run(command, check=False, capture_output=True)
            self.own_drives = done.returncode == 0
            if self.own_drives:
                self._mounted.append(path)


def _healthy(address: str) -> bool:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return (
            urllib3.request("GET", f"http://{address}/minio/health/cluster", retries=False, timeout=2).status == 200
        )
    return False
