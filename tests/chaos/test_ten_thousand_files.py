"""Ten thousand damaged files landed into real lakes, in processes whose memory is watched; `make fuzz`, some half an hour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "workers" / "connectors" / "fuzz_program.py"
SHARDS, FILES = 20, 500


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_five_hundred_damaged_files(shard: int, tmp_path: Path) -> None:
    """No process dies, no file is half landed, every row is accounted for, memory stays bounded."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(shard * FILES), str(FILES), str(tmp_path)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )  # fmt: skip
    assert done.returncode == 0, f"at seed {(tmp_path / 'seed').read_text()}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    print(found)
    assert found["files"] == FILES
    assert found["peak_mb"] < 800
