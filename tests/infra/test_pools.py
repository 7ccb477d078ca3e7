"""A second pool of MinIO nodes by a file beside docker-compose.yml, as infra/README.md says: storage goes on as one."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MC = ROOT / ".tools" / "minio" / "mc"

pytestmark = [pytest.mark.slow, pytest.mark.needs_minio, pytest.mark.needs_services]


@pytest.fixture
def second_pool(tmp_path: Path) -> tuple[Path, Path]:
    """A compose file with nodes 5 to 8, and the list of both pools."""
    defined = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services, drives = {}, []
    for number in range(5, 9):
        node: dict[str, Any] = copy.deepcopy(defined["services"]["minio-1"])
        node["volumes"] = [volume.replace("minio-1-", f"minio-{number}-") for volume in node["volumes"]]
        services[f"minio-{number}"] = node
        drives += [f"http://minio-{number}:9000/drive-{drive}" for drive in (1, 2)]
    fragment = tmp_path / "pool-2.yml"
    fragment.write_text(yaml.safe_dump({"services": services}))
    pools = yaml.safe_load((ROOT / "infra" / "minio" / "pools.yml").read_text())
    pools["pools"].append({"args": drives})
    listed = tmp_path / "pools.yml"
    listed.write_text(yaml.safe_dump(pools))
    return fragment, listed


def test_a_pool_is_added_by_a_file_and_what_was_there_stays(make_stack, second_pool: tuple[Path, Path]) -> None:
    stack = make_stack()
    stack.run("up", "minio-balancer")

    def mc(*words: str, given: str | None = None) -> str:
        root = ":".join(stack.environment[f"MINIO_ROOT_{name}"] for name in ("USER", "PASSWORD"))
        environment = stack.environment | {
            "MC_HOST_it": f"http://{root}@{stack.at('minio-balancer', 9000)}",
            "MC_CONFIG_DIR": str(stack.root / "mc"),
        }
        done = subprocess.run(
            [MC, *words], env=environment, input=given, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    mc("mb", "it/box")
    mc("pipe", "it/box/before", given="kept")
    fragment, listed = second_pool
    stack.environment.update({"COMPOSE_FILE": f"docker-compose.yml:{fragment}", "MINIO_POOLS": str(listed)})
    stack.run("up", "minio-balancer", "minio-5", "minio-6", "minio-7", "minio-8")
    assert mc("cat", "it/box/before") == "kept"
    mc("pipe", "it/box/after", given="new")
    told = json.loads(mc("admin", "info", "--json", "it"))["info"]
    assert len(told["pools"]) == 2
    assert [server["state"] for server in told["servers"]] == ["online"] * 8
    lines = (stack.root / "files" / "minio-balancer" / "usr-local-etc-haproxy-haproxy.cfg").read_text()
    assert lines.count("  server node-") == 8
