"""A storage that grows: a real MinIO cluster, the lake on it, landers in processes of their own, and the commands.

Shared by `storage/test_pool_growth.py` and `chaos/test_pools_under_fire.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from onefold_storage.errors import OnefoldError
from onefold_storage.installation import Installation
from onefold_storage.minio_admin import AdminApi
from onefold_storage.settings import StorageSettings

PROGRAM = Path(__file__).parent / "storage" / "grow_program.py"
ROWS = 50
ROOT_USER, ROOT_PASSWORD = "test-root", "test-root-password"


@dataclass
class Site:
    """The cluster, the lake on it, and the landers."""

    cluster: Any
    folder: Path
    landers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ONEFOLD_HOME": str(self.folder / "home"),
            "ONEFOLD_LAKE_URL": "s3://grows/lake",
            "ONEFOLD_S3_ENDPOINT": self.cluster.endpoint,
            "ONEFOLD_S3_ACCESS_KEY": "the-platform",
            "ONEFOLD_S3_SECRET_KEY": "secret-of-the-platform",
        }

    @property
    def root(self) -> dict[str, str]:
        user, password = ROOT_USER, ROOT_PASSWORD
        return self.environment | {"ONEFOLD_S3_ROOT_USER": user, "ONEFOLD_S3_ROOT_PASSWORD": password}

    def settings(self, *, root: bool = False) -> StorageSettings:
        named = self.root if root else self.environment
        return StorageSettings(**{k.removeprefix("ONEFOLD_").lower(): v for k, v in named.items()})

    @property
    def api(self) -> AdminApi:
        made = AdminApi.of(self.settings(root=True))
        assert made
        return made

    def start(self, source: str, payload: int) -> None:
        command = [sys.executable, str(PROGRAM), source, str(self.folder), str(payload)]
        self.landers[source] = subprocess.Popen(command, env=os.environ | self.environment)

    def acknowledged(self, source: str) -> int:
        acks = self.folder / f"{source}.acks"
        return len(acks.read_text().split()) if acks.exists() else 0

    def wait_for(self, more: int, seconds: float = 120) -> None:
        """Until each lander has landed so many packages more."""
        goals = {s: self.acknowledged(s) + more for s in self.landers}
        end = time.monotonic() + seconds
        while any(self.acknowledged(s) < goal for s, goal in goals.items()):
            assert time.monotonic() < end, [(p.read_text()[-400:]) for p in self.folder.glob("*.failures")]
            assert all(p.poll() is None for p in self.landers.values())
            time.sleep(0.1)

    def stop(self) -> None:
        (self.folder / "stop").touch()
        for lander in self.landers.values():
            lander.wait(60)

    def check(self, *, exact: bool) -> None:
        """Every acknowledged row is there once, and every commit; `exact`: nothing else is (landers have ended)."""
        installation = Installation(self.settings())
        for source in self.landers:
            said = self.acknowledged(source)
            name = f"bronze/{source}"
            version = installation.lake.version(name)
            keys = installation.lake.objects.keys(f"{name}/_delta_log")
            log = {int(Path(k).stem) for k in keys if k.endswith(".json") and Path(k).stem.isdigit()}
            assert log >= set(range(version + 1)), "a commit is missing from the log"
            ids = installation.lake.scan(name, version).select("id").collect()["id"]
            packages = installation.lake.transaction(name, "land")
            assert ids.n_unique() == ids.len(), f"{source}: rows are there twice"
            landed = set((ids // ROWS).unique())
            assert set(range(said)) <= landed, f"{source}: acknowledged packages are lost"
            if exact:
                assert ids.len() == said * ROWS
                assert packages == said
                assert installation.ledger.packages.totals()[source].landed == said * ROWS
        installation.ledger.close()


def onefold(site: Site, *words: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """A command of `onefold storage`, as an administrator runs it; its JSON."""
    program = str(Path(sys.executable).with_name("onefold"))
    try:
        done = subprocess.run(
            [program, "storage", *words, "--json"],
            env=os.environ | (environment or site.root), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{words} takes over 300 s: {error.stderr!r}\n{_seen(site)}") from error
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{_seen(site)}"
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _seen(site: Site) -> str:
    """What each node says of the pools, and the nodes' last words."""
    said = []
    for node in site.cluster.nodes:
        try:
            said.append(f"{node.address}: {AdminApi(f'http://{node.address}', ROOT_USER, ROOT_PASSWORD).pools()}")
        except OnefoldError as error:
            said.append(f"{node.address}: {error}")
    return "\n".join([*said, site.cluster.last_words()])


def spread(pools: Any) -> float:
    shares = [1 - p.free_bytes / p.usable_bytes for p in pools]
    return float(max(shares) - min(shares))


def pools_text(pools: list[list[str]]) -> str:
    return yaml.safe_dump({"version": "v2", "pools": [{"args": args} for args in pools]})


def services_text(pools: str) -> str:
    service = {"image": "minio", "volumes": [f"./{pools}:/etc/minio/pools.yml:ro"]}
    return yaml.safe_dump({"services": {"minio-1": service, "minio-2": service}})


def definition(site: Site, pools: list[list[str]]) -> Path:
    (site.folder / "pools.yml").write_text(pools_text(pools))
    compose = site.folder / "docker-compose.yml"
    compose.write_text(services_text("pools.yml"))
    return compose


def restarter(site: Site) -> str:
    """A command that has this process start the cluster again, as an engine would, and waits for it."""
    asked, done = site.folder / "restart-asked", site.folder / "restart-done"

    def serve() -> None:
        while not asked.exists():
            time.sleep(0.05)
        site.cluster.restart()
        done.touch()

    threading.Thread(target=serve, daemon=True).start()
    script = site.folder / "restart.sh"
    script.write_text(f"touch {asked}\nuntil [ -e {done} ]; do sleep 0.1; done\n")
    return f"sh {script}"
