"""Commands are quick to start: none imports what it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FLOWS = ("prefect", "dask", "distributed", "mlflow", "sklearn", "pandas", "fastapi")
ANY = (*FLOWS, "numpy", "polars", "pyarrow", "deltalake", "sqlalchemy")
PROGRAM = """
import atexit, sys
atexit.register(lambda: print(sorted(set({heavy}) & set(sys.modules)), file=sys.stderr))
from onefold import cli
cli.main()
"""


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("--help", ANY),
        ("status --json", FLOWS),
        ("key list", FLOWS),
        ("failed list", FLOWS),
        ("refresh --help", ANY),
    ],
)
def test_a_command_imports_nothing_that_it_does_not_need(
    tmp_path: Path, command: str, heavy: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(heavy=heavy), *command.split()],
        env=os.environ | {"ONEFOLD_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
