"""The four floors: import-linter holds them, and is shown to catch an import that runs upward."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = str(Path(sys.executable).with_name("lint-imports"))
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]


def test_no_import_runs_upward() -> None:
    done = subprocess.run([LINTER, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("importer", "line", "kept"),
    [
        ("onefold_storage", "import onefold", False),
        ("onefold_storage", "import onefold_workers", False),
        ("onefold_workers", "import onefold_flows", False),
        ("onefold_workers", "import prefect", False),
        ("onefold_storage", "import dask", False),
        ("onefold_flows", "import onefold_workers", True),
    ],
)
def test_the_contracts_catch(tmp_path: Path, importer: str, line: str, kept: bool) -> None:
    """The same contracts, held against four small packages of the same names."""
    text = (ROOT / "pyproject.toml").read_text()
    start = text.index("[tool.importlinter]")
    (tmp_path / "pyproject.toml").write_text(text[start : text.index("[tool.ruff]")])
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(line if package == importer else "")
    command = [LINTER, "--no-logo", "--no-cache", "--config", "pyproject.toml"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is kept, done.stdout + done.stderr
