"""Memory does not grow with the file: each case runs in a process of its own, whose peak is measured."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

# mypy: disable-error-code="no-untyped-def"

PROGRAM = """
import os, sys
from pathlib import Path
from onefold_workers.connectors.formats import FileOptions, InputFile, discover
# VmHWM is this program's own; ru_maxrss begins with the size of the process that started it.
status = Path("/proc/self/status")
peak = lambda: next(int(s.split()[1]) for s in status.read_text().splitlines() if s.startswith("VmHWM")) // 1024
path = Path(sys.argv[1])
read = discover()[path.name.split(".")[1]].read
rows = bad = 0
for batch in read(InputFile(path, path.name), FileOptions(), ("a",)):
    rows += batch.rows.num_rows
    bad += len(batch.bad)
print(rows, bad, peak(), flush=True)
os._exit(0)  # Arrow's threads may still be letting go of the last block, which the interpreter's end would abort
"""
MB = 1 << 20
LIMIT = 400
"""Peak of the whole process in MB, libraries included; the files hold 200 MB and more."""


def csv_rows() -> tuple[bytes, int]:
    row = b'31198000000,"12, Some Street",2017-01-01T12:00:00Z,2.50,abcdefgh\n'
    return row * (4 * MB // len(row)), 4 * MB // len(row)


def ndjson_rows() -> tuple[bytes, int]:
    row = b'{"a":"u00000001","ts":"2017-01-01T12:00:00Z","amount":2.50,"n":{"k":[1,2]}}\n'
    return row * (4 * MB // len(row)), 4 * MB // len(row)


@pytest.mark.parametrize(("name", "block", "rows"), [("x.csv", *csv_rows()), ("x.ndjson", *ndjson_rows())])
def test_a_large_file(tmp_path: Path, name: str, block: bytes, rows: int) -> None:
    with (tmp_path / name).open("wb") as file:
        file.write(b"a,b,c,d,e\n" if name == "x.csv" else b"")
        for _ in range(50):
            file.write(block)
    assert measured(tmp_path / name) == (rows * 50, 0)


@pytest.mark.parametrize("name", ["x.csv.gz", "x.ndjson.gz"])
def test_a_line_without_end_in_a_small_archive(tmp_path: Path, name: str) -> None:
    head = b"a\n1\n" if "csv" in name else b'{"a":1}\n'
    with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(100):
            file.write(b"x" * 3 * MB)
        file.write(b"\n" + head[2:] if "csv" in name else b"\n" + head)
    assert (tmp_path / name).stat().st_size < 5 * MB
    assert measured(tmp_path / name) == (2, 1)


def measured(path: Path) -> tuple[int, int]:
    """Rows and bad rows of a file, read in a process that stays below the limit."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
    rows, bad, peak = map(int, done.stdout.split())
    assert peak < LIMIT, f"{path.name}: the process took {peak} MB"

    return rows, bad
