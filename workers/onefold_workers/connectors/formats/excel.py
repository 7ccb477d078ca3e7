"""Excel workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods): one sheet, read whole, with the sheet's own types.

Cells that hold a formula give the value that was last computed, never the formula: nothing is run. The library that
reads runs in a process of its own, whose memory and time are bounded (`_workbook.py`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats import _workbook
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._typed import batch, check_names

ROWS = 65_536
_PROGRAM = Path(_workbook.__file__)
_OWN = 1536 << 20
"""Bytes of address space that the libraries take by themselves."""
_SECONDS = 900


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The sheet's rows below its header line, blank rows left out; columns of mixed types as text.

    Raises:
        BadInput: no workbook, no such sheet, larger than `max_bytes` once unpacked, more cells than memory for
            such a workbook holds, or columns without a name.
    """
    del expected
    with tempfile.TemporaryFile() as rows:
        _unpack(file, options, rows)
        rows.seek(0)
        with pa.ipc.open_stream(rows) as reader:
            check_names(file, reader.schema)
            row = 0
            for piece in reader:
                yield batch(piece, row)
                row += piece.num_rows
            if row == 0:
                yield Batch(reader.schema.empty_table(), pa.array([], pa.int64()))


def _unpack(file: InputFile, options: FileOptions, rows: IO[bytes]) -> None:
    """The sheet as an Arrow stream into `rows`, written by a process of its own."""
    memory = _OWN + 6 * options.max_bytes
    asked = [options.sheet or "", str(options.skip_lines), str(ROWS), str(memory), str(_SECONDS)]
    with file.seekable(options.max_bytes) as stream:
        size = stream.seek(0, os.SEEK_END)
        if max(size, _says(stream)) > options.max_bytes:
            raise file.bad(f"is larger than {options.max_bytes} bytes unpacked; raise `max_bytes` or split it")
        os.lseek(stream.fileno(), 0, os.SEEK_SET)
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, str(_PROGRAM), *asked], stdin=stream.fileno(), stdout=rows, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
    if done.returncode:
        told = [line for line in done.stderr.decode(errors="replace").splitlines() if line]
        problem = next((t for t in told if t.startswith(_workbook.PROBLEM)), None)
        if problem:
            raise file.bad(problem.removeprefix(_workbook.PROBLEM))
        raise file.bad(
            f"is no workbook that can be read in {memory >> 20} MB of memory and {_SECONDS} seconds: it is damaged, "
            "or has cells far from its others, or unpacks to more than it says; save the sheet as CSV"
        )


def _says(stream: IO[bytes]) -> int:
    """Bytes that a zipped workbook says it unpacks to; 0 for one that is not zipped."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError):
        return 0


FORMAT = Format("excel", ("xlsx", "xlsm", "xlsb", "xls", "ods"), read)
