"""Some hundred damaged files: each gives rows and bad rows, all accounted for, or one clear line; never a crash.

`make fuzz` lands ten thousand (`tests/chaos/test_ten_thousand_files.py`).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workers.connectors.fuzz_files import FORMATS, ROWS, fuzzed

from onefold_storage.errors import BadInput
from onefold_workers.connectors.formats import _input

# mypy: disable-error-code="no-untyped-def"

FILES = 40
"""Damaged files a format, one seed each; workbooks are fewer, since each is read by a process of its own."""
REFUSED = {"x.json", "x.parquet", "x.arrow", "x.xlsx", "x.mbox"}
"""Formats that are refused as a whole where they are damaged, or where their first line is."""


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(read_bytes, monkeypatch, name: str) -> None:
    read = 0
    files = 6 if name == "x.xlsx" else FILES
    for seed in range(files):
        file, rng = fuzzed(seed, (name,)), random.Random(seed)
        monkeypatch.setattr(_input, "CHUNK", rng.choice([50, 1000, 4 << 20]))
        try:
            found = read_bytes(file.data, name, max_row_bytes=2000, max_bytes=4 << 20)
        except BadInput as error:
            assert str(error).startswith(f"{name}: "), seed
            assert "\n" not in str(error), seed
            continue
        read += 1
        assert all(b.row_id in found.rules and b.message.startswith(f"{name}: ") for b in found.bad), seed
        if file.lines is not None:
            assert len(found.rows) + len(found.bad) == file.lines, seed
    assert name in REFUSED or read > files * 0.6


def test_damaged_files_land_or_leave_nothing(tmp_path: Path) -> None:
    """Through a real lake: what lands is accounted for row by row, what is refused leaves no row."""
    program = Path(__file__).with_name("fuzz_program.py")
    done = subprocess.run(
        [sys.executable, str(program), "1000000", "80", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["files"] == 80
    assert found["landed"] > 500
    assert found["failed"] > 100
    assert found["peak_mb"] < 800


@pytest.mark.parametrize("name", ["x.csv", "x.ndjson"])
def test_what_one_damaged_line_costs(read_bytes, monkeypatch, name: str) -> None:
    """One line replaced by junk without quotes and line ends: every other row is read as it was."""
    for seed in range(FILES):
        rng = random.Random(f"line {name} {seed}")
        lines = [b"%d,b,c,d" % i if name == "x.csv" else b'{"a":"%d"}' % i for i in range(ROWS)]
        at = rng.randrange(ROWS)
        lines[at] = bytes(
            rng.choice([b for b in range(256) if b not in b'"\r\n ']) for _ in range(rng.randint(1, 60))
        )
        monkeypatch.setattr(_input, "CHUNK", rng.choice([10, 100, 4 << 20]))
        head = b"a,b,c,d\n" if name == "x.csv" else b""
        found = read_bytes(head + b"\n".join(lines), name, columns=("a",))
        places = [i for i in range(ROWS) if i != at]
        assert [found.rows[i]["a"] for i in places] == [str(i) for i in places], seed
        assert at in {*found.rows, *found.rules}, seed
