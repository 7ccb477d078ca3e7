"""Set-up: quick when nothing changed, plain when something is missing; and what an API host gets really serves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def setup(where: Path, kind: str = "dev", **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(where / "infra" / "setup.sh"), kind]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A bare tree with the files that setup.sh reads, and an environment that is up to date."""
    (tmp_path / "infra").mkdir()
    shutil.copy(ROOT / "infra" / "setup.sh", tmp_path / "infra")
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-build.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_nothing_is_done_when_the_stamp_is_newer_than_the_locks(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    program = clone / ".venv" / "bin" / "onefold"
    program.touch(mode=0o755)
    (clone / ".venv" / ".setup-dev").touch()
    begin = time.monotonic()
    for kind in ("dev", "run"):
        done = setup(clone, kind, PYTHON="no-python-is-needed")
        assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - begin < 2
    later = time.time() + 5
    os.utime(clone / "requirements.txt", (later, later))
    assert setup(clone, "run", PYTHON="no-such-python").returncode == 1


def test_a_python_that_is_missing_or_old_is_told_in_one_line(clone: Path, tmp_path: Path) -> None:
    done = setup(clone, PYTHON="no-such-python")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "setup: Python >= 3.11 is needed; found no no-such-python (name another with PYTHON=...)"
    ]
    old = tmp_path / "old-python"
    old.write_text(
        f"#!/bin/sh\nshift\n(echo 'import sys; sys.version_info = (3, 9)'; cat) | {sys.executable} - \"$@\"\n"
    )
    old.chmod(0o755)
    done = setup(clone, PYTHON=str(old))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "this machine lacks: Python >= 3.11" in done.stderr


def test_an_unknown_kind_is_told(clone: Path) -> None:
    done = setup(clone, "everything")
    assert (done.returncode, done.stderr) == (2, "usage: infra/setup.sh run|dev\n")


@pytest.mark.slow
def test_an_api_host_installs_from_its_lock_alone_and_serves(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".tools" / "uv" / "bin" / "uv")
    if not Path(uv).exists():
        pytest.skip("uv is neither on the PATH nor in .tools (make setup brings it)")
    python = tmp_path / "venv" / "bin" / "python"
    lock = ["--require-hashes", "-r", str(ROOT / "requirements-api.txt")]
    itself = ["--no-deps", "--build-constraints", str(ROOT / "requirements-build.txt"), str(ROOT)]
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv")],
        ["pip", "install", "--quiet", "--python", str(python), *lock],
        ["pip", "install", "--quiet", "--python", str(python), *itself],
    ):
        done = subprocess.run([uv, *command], capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr
    code = (
        "import importlib.util as u\n"
        "assert not [n for n in ('dask', 'distributed', 'sklearn', 'mlflow', 'prefect') if u.find_spec(n)]\n"
        "from fastapi import FastAPI\n"
        "from onefold.api.app import create_app\n"
        "from onefold_storage.settings import StorageSettings\n"
        "assert isinstance(create_app(StorageSettings()), FastAPI)\n"
    )
    home = {**os.environ, "ONEFOLD_HOME": str(tmp_path / "home")}
    done = subprocess.run([python, "-c", code], env=home, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status = [str(python.with_name("onefold")), "status", "--json"]
    subprocess.run(status, env=home, cwd=tmp_path, capture_output=True, check=True, timeout=60)
