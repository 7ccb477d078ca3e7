"""docker-compose.yml against the compose specification: read by its reference parser, which checks the schema first.

The parser (and with it the schema) is compose-go, which `docker compose` itself is built on; the Go client brings it
by module name and keeps it out of the repository.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from infra.local.definition import load
from infra.local.interpolation import fill

ROOT = Path(__file__).parents[2]
PARSER = "github.com/compose-spec/compose-go/v2/cmd@v2.9.0"

pytestmark = pytest.mark.needs_go

Read = Callable[[Any], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory, lacking: Callable[[str, str], None]) -> Read:
    """Reads a compose file's tree with the reference parser; its whole model comes as JSON."""
    folder = ROOT / ".tools" / "compose"
    program = folder / PARSER.rpartition("@")[2] / "cmd"
    if not program.exists():
        environment = {**os.environ, "GOBIN": str(program.parent), "GOFLAGS": ""}
        command = ["go", "install", PARSER]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            lacking("go", f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")

    def parse(tree: Any) -> subprocess.CompletedProcess[str]:
        path = tmp_path_factory.mktemp("compose") / "docker-compose.yml"
        path.write_text(yaml.safe_dump(tree))
        command = [str(program), "-no-interpolation", "-format", "json", str(path)]
        return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False, timeout=60)

    return parse


@pytest.fixture(scope="module")
def tree(secrets_of_compose: dict[str, str]) -> Any:
    """The compose file as YAML, its variables filled in: the parser's own command reads no environment."""
    return fill(yaml.safe_load((ROOT / "docker-compose.yml").read_text()), secrets_of_compose)


def test_the_compose_file_is_one_by_the_specification(read: Read, tree: Any) -> None:
    done = read(tree)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["services"]) == set(tree["services"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"restart_policy": "always"}, "additional properties 'restart_policy' not allowed"),
        ({"ports": "8000"}, "services.api-1.ports must be a array"),
        ({"depends_on": {"postgres": {"condition": "soon"}}}, "service_healthy"),
        ({"healthcheck": {"test": ["CMD", "x"], "every": "3s"}}, "'every' not allowed"),
    ],
)
def test_a_file_that_breaks_it_is_refused(read: Read, tree: Any, change: dict[str, Any], why: str) -> None:
    broken = {**tree, "services": {**tree["services"], "api-1": {**tree["services"]["api-1"], **change}}}
    done = read(broken)
    assert done.returncode != 0
    assert why in done.stderr


def test_what_runs_here_is_what_the_reference_reads(read: Read, tree: Any, secrets_of_compose) -> None:
    """Commands, variables, mounts, needs and checks of `make up-local` are those that an engine would take."""
    theirs = json.loads(read(tree).stdout)["services"]
    ours = load([ROOT / "docker-compose.yml"], secrets_of_compose, ["monitoring"])
    assert set(ours) == set(theirs)
    for name, service in ours.items():
        said = theirs[name]
        assert list(service.command) == (said.get("command") or []), name
        assert dict(service.environment) == (said.get("environment") or {}), name
        assert {m.target for m in service.mounts} == {v["target"] for v in said.get("volumes", [])}, name
        assert dict(service.needs) == {n: how["condition"] for n, how in said.get("depends_on", {}).items()}, name
        assert service.ports == tuple(int(port["target"]) for port in said.get("ports", [])), name
        assert service.restart == said["restart"], name
        if service.check:
            assert ["CMD", *service.check.test] == said["healthcheck"]["test"], name
