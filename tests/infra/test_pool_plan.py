"""The plan's fragment: by the compose specification, laid over docker-compose.yml, and started as it stands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from onefold_storage.errors import BadInput
from onefold_storage.pool_compose import LIST, added, draw, keep_in_use, read_definition
from onefold_storage.pools import PoolPlan

ROOT = Path(__file__).parents[2]
PLAN = PoolPlan(2, 4, 2, 10**12, 8, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the repository's compose file and list of pools, as an installation has them."""
    made = tmp_path / "site"
    (made / "infra" / "minio").mkdir(parents=True)
    for name in ("docker-compose.yml", "infra/minio/pools.yml"):
        shutil.copy(ROOT / name, made / name)
    return made


def written(folder: Path, plan: PoolPlan = PLAN, name: str = "infra/minio/pool-2.yml") -> Path:
    at = folder / name
    definition = read_definition([folder / "docker-compose.yml", *sorted(folder.glob("infra/minio/pool-?.yml"))])
    for file, text in draw(definition, plan, at).items():
        file.write_text(text)
    return at


def test_the_fragment_gives_every_node_the_longer_list(folder: Path) -> None:
    before, after = added(written(folder), [folder / "docker-compose.yml"])
    assert before.services == tuple(f"minio-{n}" for n in range(1, 5))
    assert after.services == tuple(f"minio-{n}" for n in range(1, 9))
    assert after.arguments[:1] == before.arguments
    assert after.arguments[1] == [f"http://minio-{n}:9000/drive-{d}" for n in range(5, 9) for d in (1, 2)]
    assert after.pools["pools"][1]["set-drive-count"] == 8


def test_a_third_pool_follows_the_second(folder: Path) -> None:
    written(folder)
    third = written(folder, PoolPlan(3, 8, 4, 10**12, 16, 4), "infra/minio/pool-3.yml")
    _, after = added(third, [folder / "docker-compose.yml", folder / "infra/minio/pool-2.yml"])
    assert [len(p) for p in after.arguments] == [8, 8, 32]
    assert after.services[-1] == "minio-16"


def test_the_new_nodes_are_as_the_old_ones_but_for_their_drives(folder: Path, secrets_of_compose: Any) -> None:
    """As the local cluster reads both files, which is how docker compose lays one over the other."""
    from infra.local.definition import load

    services = load([folder / "docker-compose.yml", written(folder)], secrets_of_compose)
    old, new = services["minio-1"], services["minio-7"]
    assert (new.command, new.environment, new.image, new.aliases) == (
        old.command, old.environment, old.image, old.aliases,
    )  # fmt: skip
    lists = {m.source for n in range(1, 9) for m in services[f"minio-{n}"].mounts if m.target == LIST}
    assert lists == {"./infra/minio/pool-2.pools.yml"}
    drives = [m.source for n in range(1, 9) for m in services[f"minio-{n}"].mounts if m.target != LIST]
    assert len(drives) == len(set(drives)) == 16


@pytest.mark.needs_go
def test_the_fragment_is_one_by_the_specification(folder: Path, secrets_of_compose: dict[str, str]) -> None:
    from infra.local.interpolation import fill

    programs = sorted((ROOT / ".tools" / "compose").glob("*/cmd"))
    if not programs:
        pytest.skip("the reference parser is built by test_compose_schema.py, which runs first")
    fragment = written(folder)
    for file in (folder / "docker-compose.yml", fragment):  # the parser's own command reads no environment
        file.write_text(yaml.safe_dump(fill(yaml.safe_load(file.read_text()), secrets_of_compose)))
    command = [str(programs[-1]), "-format", "json", "-no-interpolation", "docker-compose.yml", str(fragment)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert {f"minio-{n}" for n in range(1, 9)} <= set(services)
    sources = [v["source"] for v in services["minio-1"]["volumes"] if v["target"] == LIST]
    assert len(sources) == 1, "the longer list takes the place of the shorter one"
    assert sources[0].endswith("pool-2.pools.yml")


def test_a_fragment_that_changes_a_pool_is_refused(folder: Path) -> None:
    fragment = written(folder)
    beside = fragment.with_name("pool-2.pools.yml")
    pools = yaml.safe_load(beside.read_text())
    beside.write_text(yaml.safe_dump({**pools, "pools": pools["pools"][::-1]}))
    with pytest.raises(BadInput, match="must stay as they are, in their order"):
        added(fragment, [folder / "docker-compose.yml"])
    beside.write_text(yaml.safe_dump({**pools, "pools": pools["pools"][:1]}))
    with pytest.raises(BadInput, match="adds 0 pools"):
        added(fragment, [folder / "docker-compose.yml"])


def test_the_fragment_is_kept_in_use_and_the_secrets_stay_as_they_are(folder: Path) -> None:
    env = folder / ".env"
    env.write_text("MINIO_ROOT_PASSWORD=secret\n")
    fragment = written(folder)
    assert keep_in_use(folder, fragment)
    assert not keep_in_use(folder, fragment)
    assert env.read_text() == (
        "MINIO_ROOT_PASSWORD=secret\nCOMPOSE_FILE=docker-compose.yml:infra/minio/pool-2.yml\n"
    )
    assert env.stat().st_mode & 0o077 == 0


@pytest.fixture
def one_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound cluster of one pool, and neither docker compose nor a local cluster that it could be started with."""
    from onefold.commands import storage_pools
    from onefold_storage import expansion

    monkeypatch.setattr(storage_pools, "_api", lambda: None)
    monkeypatch.setattr(storage_pools.shutil, "which", lambda _: None)
    monkeypatch.setattr(expansion, "pools_of", lambda _: SimpleNamespace(pools=[None]))
    monkeypatch.setattr(expansion, "sound", lambda _: None)
    monkeypatch.setattr(expansion, "calm", lambda _: None)


@pytest.mark.usefixtures("one_pool")
@pytest.mark.parametrize(
    ("restart_with", "why"),
    [
        (None, "neither docker compose nor a local cluster"),
        ("no-such -x", "no such program"),
        (" ", "no such program"),
    ],
)
def test_a_pool_that_is_refused_leaves_the_settings_as_they_were(
    folder: Path, restart_with: str | None, why: str
) -> None:
    from onefold.commands.storage_pools import add_pool
    from onefold_storage.errors import Conflict

    env = folder / ".env"
    env.write_text("MINIO_ROOT_PASSWORD=secret\n")
    with pytest.raises(Conflict, match=why):
        add_pool(written(folder), folder=folder, restart_with=restart_with, timeout=1)
    assert env.read_text() == "MINIO_ROOT_PASSWORD=secret\n"


def test_the_first_file_is_no_fragment_and_is_named(folder: Path) -> None:
    first = folder / "docker-compose.yml"
    for files in ([first], [first, written(folder)]):
        with pytest.raises(BadInput, match=r"^\S+/docker-compose\.yml: is the file that a fragment is laid over"):
            added(first, files)


@pytest.mark.slow
@pytest.mark.needs_minio
@pytest.mark.needs_services
def test_planned_and_added_on_the_services_of_the_compose_file(make_stack: Callable[[], Any], folder: Path) -> None:
    """`onefold storage plan`, then `add-pool`, on the nodes and the balancer that docker-compose.yml defines."""
    stack = make_stack()
    stack.run("up", "minio-balancer")
    said = stack.environment
    environment = said | {
        "ONEFOLD_HOME": str(folder / "home"),
        "ONEFOLD_LAKE_URL": "s3://onefold/lake",
        "ONEFOLD_S3_ENDPOINT": f"http://{stack.at('minio-balancer', 9000)}",
        "ONEFOLD_S3_ROOT_USER": said["MINIO_ROOT_USER"],
        "ONEFOLD_S3_ROOT_PASSWORD": said["MINIO_ROOT_PASSWORD"],
    }
    fragment = folder / "infra" / "minio" / "pool-2.yml"

    def onefold(*words: str) -> dict[str, Any]:
        program = str(Path(sys.executable).with_name("onefold"))
        done = subprocess.run(
            [program, "storage", *words, "--json"],
            env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    onefold("init")
    planned = onefold("plan", "--per-day", "1GB", "--nodes", "4", "--drive-size", "1TB", "--folder", str(folder),
                      "--out", str(fragment))  # fmt: skip
    assert (planned["pool"]["nodes"], planned["pool"]["set_drives"]) == (4, 8)
    # The repository's folder is where the services run: a path of the site is named in full there.
    fragment.write_text(
        fragment.read_text().replace("./infra/minio/pool-2.pools.yml", f"{fragment.parent}/pool-2.pools.yml")
    )
    files = f"COMPOSE_FILE=docker-compose.yml:{fragment}"
    start = f"{sys.executable} -m infra.local --root {stack.root} up minio-balancer"
    nodes = " ".join(f"minio-{n}" for n in range(5, 9))
    script = folder / "start.sh"
    script.write_text(f"cd {ROOT} && exec env {files} {start} {nodes}\n")
    told = onefold("add-pool", str(fragment), "--folder", str(folder), "--restart-with", f"sh {script}")
    assert told["changed"]
    assert [(p["number"], p["drives_online"]) for p in told["pools"]] == [(1, 8), (2, 8)]
    assert onefold("status")["drives_online"] == 16
    assert os.environ.get("COMPOSE_FILE") is None
