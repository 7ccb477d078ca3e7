"""The services of docker-compose.yml as processes of this machine, as `make up-local` starts them."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # infra/ is no part of the distribution: `import infra.local` is from the repository


@dataclass(frozen=True)
class Stack:
    """A folder of `infra.local`, and the command line for it."""

    root: Path
    environment: dict[str, str]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin one of its commands."""
        command = [sys.executable, "-m", "infra.local", "--root", str(self.root), *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *words: str, code: int = 0) -> str:
        """Run one of its commands and see how it ends."""
        process = self.start(*words)
        said = process.communicate(timeout=300)[0]
        assert process.returncode == code, said
        return said

    def state(self) -> dict[str, dict[str, Any]]:
        """What the supervisor tells of each replica."""
        told: dict[str, dict[str, Any]] = json.loads((self.root / "state.json").read_text())["services"]
        return told

    def at(self, name: str, port: int) -> str:
        """Address of a replica's port."""
        return f"{self.state()[name]['address']}:{port}"

    def processes(self) -> list[str]:
        """Command lines of everything that was started for the folder and lives."""
        mark, found = f"ONEFOLD_LOCAL_RUN={self.root}".encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found


@pytest.fixture(scope="session")
def secrets_of_compose() -> dict[str, str]:
    """A random value for every variable that the compose file requires."""
    names = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    return {name: secrets.token_hex(10) for name in sorted(names)}


@pytest.fixture(scope="module")
def make_stack(secrets_of_compose: dict[str, str]) -> Iterator[Callable[[], Stack]]:
    """Makes stacks that are ended with the module, whatever became of them."""
    made: list[Stack] = []
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ONEFOLD_", "COMPOSE_"))}

    def make() -> Stack:
        # Not below pytest's own folder, which nobody else may pass: some services have an account of their own.
        folder = Path(tempfile.mkdtemp(prefix="onefold-stack-"))
        folder.chmod(0o711)
        made.append(Stack(folder / "local", kept | secrets_of_compose))
        return made[-1]

    yield make
    for stack in made:
        stack.run("down", "--volumes")
        stack.root.parent.rmdir()
