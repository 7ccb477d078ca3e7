"""Small files that claim to be huge: an error in one line or a bad row, with bounded memory and what is good landed."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xlsxwriter
from pyarrow import parquet

from onefold_storage.errors import BadInput

MB = 1 << 20
LIMIT = 700
"""Peak of the whole process in MB, libraries included."""
PROGRAM = """
import sys
from pathlib import Path
from onefold_storage.errors import BadInput
from onefold_workers.connectors.formats import FileOptions, InputFile, discover
path, rows, bad, said = Path(sys.argv[1]), 0, 0, ""
try:
    for batch in discover()[sys.argv[2]].read(InputFile(path, path.name), FileOptions(), ("a",)):
        rows += batch.rows.num_rows
        bad += len(batch.bad)
except BadInput as error:
    said = str(error)
status = Path("/proc/self/status").read_text().splitlines()
print(rows, bad, next(int(s.split()[1]) for s in status if s.startswith("VmHWM")) // 1024, said)
"""


def measured(path: Path, form: str) -> tuple[int, int, str]:
    """Rows, bad rows and the error of a file, read in a process that stays below the limit."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), form], capture_output=True, text=True, check=True
    )
    rows, bad, peak, said = done.stdout.rstrip("\n").split(" ", 3)
    assert int(peak) < LIMIT, f"{path.name}: the process took {peak} MB"
    return int(rows), int(bad), said


def long_line(before: bytes, after: bytes) -> bytes:
    """A gzip file of two good lines with one of 1 GB between them: the same member again and again."""
    return gzip.compress(before, 1) + gzip.compress(b"x" * 16 * MB, 1) * 64 + gzip.compress(b"\n" + after, 1)


LOG = b'h - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1\n'


@pytest.mark.parametrize(
    ("form", "before", "after"),
    [("csv", b"a\n1\n", b"2\n"), ("ndjson", b'{"a":1}\n', b'{"a":2}\n'), ("weblog", LOG, LOG),
     ("mbox", b"From x\nSubject: a\n\n", b"\nFrom x\nSubject: b\n\nb\n\nFrom x\nSubject: c\n\nc\n")],
)  # fmt: skip
def test_a_line_of_a_gigabyte_costs_itself(tmp_path: Path, form: str, before: bytes, after: bytes) -> None:
    path = tmp_path / f"x.{form}.gz"
    path.write_bytes(long_line(before, after))
    assert path.stat().st_size < 6 * MB
    assert measured(path, form) == (2, 1, "")


def test_an_archive_that_unpacks_beyond_the_bound_is_refused(read_bytes: Callable[..., Any]) -> None:
    rows = b"a\n" + b"1\n" * MB
    for data, name in ((gzip.compress(rows), "x.csv"), (pa.compress(rows * 4, "zstd", asbytes=True), "x.parquet")):
        with pytest.raises(BadInput) as caught:
            read_bytes(data, name, max_unpacked_bytes=MB)
        assert str(caught.value).startswith(
            f"{name}: unpacks to more than 1048576 bytes; raise `max_unpacked_bytes`"
        )
    assert len(read_bytes(gzip.compress(b"a\n1\n2\n"), "x.csv", max_unpacked_bytes=MB).rows) == 2


@pytest.mark.parametrize("coded", [True, False], ids=["dictionary", "pages"])
def test_parquet_whose_texts_take_gigabytes(tmp_path: Path, coded: bool) -> None:
    """One text of a megabyte in 4,000 rows by a dictionary, or in 2,000 rows by pages that compress well."""
    rows = 4_000 if coded else 2_000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * MB]))
    path = tmp_path / "x.parquet"
    table = pa.table({"a": pa.array(range(rows)), "b": texts})
    if coded:
        parquet.write_table(table, path, compression="zstd", store_schema=False, dictionary_pagesize_limit=4 * MB)
    else:
        schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
        with parquet.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=False, store_schema=False
        ) as out:
            for at in range(0, rows, 100):
                some = table.slice(at, 100)
                out.write_batch(some.cast(schema).to_batches()[0], row_group_size=rows)
    assert path.stat().st_size < 3 * MB
    assert measured(path, "parquet") == (rows, 0, "")


def test_parquet_that_holds_more_than_it_may_is_refused(read_bytes: Callable[..., Any]) -> None:
    out = io.BytesIO()
    parquet.write_table(pa.table({"a": ["x" * MB] * 100}), out, compression="zstd")
    with pytest.raises(BadInput, match=r"x\.parquet: unpacks to more than 50000000 bytes"):
        read_bytes(out.getvalue(), "x.parquet", max_unpacked_bytes=50_000_000)


def workbook(cells: dict[tuple[int, int], object]) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    for (row, column), value in cells.items():
        sheet.write(row, column, value)
    book.close()
    return out.getvalue()


def test_a_workbook_with_cells_in_its_far_corners(tmp_path: Path) -> None:
    """Two cells that span seventeen billion: the library would ask for all of them."""
    (tmp_path / "x.xlsx").write_bytes(workbook({(0, 0): "a", (1, 0): 1, (1_048_575, 16_383): "x"}))
    rows, _, said = measured(tmp_path / "x.xlsx", "excel")
    assert rows == 0
    assert said.startswith("x.xlsx: is no workbook that can be read in 3072 MB of memory")
    assert said.endswith("save the sheet as CSV")


def test_a_workbook_that_lies_about_its_size(tmp_path: Path) -> None:
    """Its archive says that a sheet is a thousand bytes; it unpacks to more than two gigabytes."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    head = packer.compress(b'<worksheet><sheetData><row r="1"><c r="A1"><v>') + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 16 * MB) + packer.flush(zlib.Z_FULL_FLUSH)
    tail = packer.compress(b"</v></c></row></sheetData></worksheet>") + packer.flush()
    whole = zipfile.ZipFile(io.BytesIO(workbook({(0, 0): "a"})))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in whole.namelist():
            sheet = name.endswith("sheet1.xml")
            archive.writestr(name, head + block * 144 + tail if sheet else whole.read(name))
    data = bytearray(out.getvalue())
    for mark, method, size, named in ((b"PK\x03\x04", 8, 22, 30), (b"PK\x01\x02", 10, 24, 46)):
        at = data.find(mark)
        while at >= 0:
            if data[at + named :].startswith(b"xl/worksheets/sheet1.xml"):
                struct.pack_into("<H", data, at + method, zipfile.ZIP_DEFLATED)
                struct.pack_into("<I", data, at + size, 1000)
            at = data.find(mark, at + 4)
    (tmp_path / "x.xlsx").write_bytes(data)
    assert len(data) < 30 * MB
    rows, _, said = measured(tmp_path / "x.xlsx", "excel")
    assert rows == 0
    assert said.startswith("x.xlsx: is no workbook that can be read")
