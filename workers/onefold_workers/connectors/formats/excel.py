"""Excel workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods): one sheet, read whole, with the sheet's own types.

Cells that hold a formula give the value that was last computed, never the formula: nothing is run.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._typed import batch, check_names

ROWS = 65_536
_UNNAMED = "__UNNAMED__"


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The sheet's rows below its header line, blank rows left out; columns of mixed types as text.

    Raises:
        BadInput: no workbook, no such sheet, larger than `max_bytes` once unpacked, or columns without a name.
    """
    del expected
    table = _table(file, options)
    check_names(file, table.schema)
    row = 0
    for piece in table.to_batches(ROWS):
        yield batch(piece, row)
        row += piece.num_rows
    if row == 0:
        yield Batch(table.schema.empty_table(), pa.array([], pa.int64()))


def _table(file: InputFile, options: FileOptions) -> pa.Table:
    import fastexcel

    with file.seekable() as stream:
        unpacked = _unpacked(stream)
        stream.seek(0)
        data = stream.read(options.max_bytes + 1)
        if max(len(data), unpacked) > options.max_bytes:
            raise file.bad(f"is larger than {options.max_bytes} bytes unpacked; raise `max_bytes` or split it")
    try:
        book = fastexcel.read_excel(data)
        names = book.sheet_names
        if options.sheet is not None and options.sheet not in names:
            raise file.bad(f"has no sheet {options.sheet!r}; it has {', '.join(names)}")
        sheet = book.load_sheet(options.sheet or 0, schema_sample_rows=None)
        rows = pa.Table.from_batches([sheet.to_arrow()])
    except fastexcel.FastExcelError as error:
        raise file.bad(f"is no workbook that can be read ({str(error).splitlines()[0]})") from None
    unnamed = [n for n in rows.column_names if n.startswith(_UNNAMED)]
    if any(rows.column(n).null_count < rows.num_rows for n in unnamed):
        raise file.bad("columns: one has values and no name; every column needs its own name")
    return _without_blank_rows(rows.drop_columns(unnamed))


def _without_blank_rows(rows: pa.Table) -> pa.Table:
    if not rows.num_columns:
        return rows
    filled = None
    for column in rows.columns:
        some = column.is_valid()
        filled = some if filled is None else pa.compute.or_(filled, some)
    return rows.filter(filled)


def _unpacked(stream: IO[bytes]) -> int:
    """Bytes that a zipped workbook says it unpacks to; 0 for one that is not zipped."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        return 0


FORMAT = Format("excel", ("xlsx", "xlsm", "xlsb", "xls", "ods"), read)
