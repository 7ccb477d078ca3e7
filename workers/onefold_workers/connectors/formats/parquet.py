"""Parquet: row group by row group, with the file's own types."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyarrow import parquet

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._typed import batch, check_names

ROWS = 65_536
"""Rows of a batch."""


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The file's rows with its types, `ROWS` at a time.

    Raises:
        BadInput: truncated or corrupt, not Parquet, or two columns share a name.
    """
    del options, expected
    row = 0
    try:
        with file.seekable() as stream, parquet.ParquetFile(stream, pre_buffer=False) as table:
            check_names(file, table.schema_arrow)
            for piece in table.iter_batches(ROWS):
                yield batch(piece, row)
                row += piece.num_rows
            if row == 0:
                yield Batch(table.schema_arrow.empty_table(), pa.array([], pa.int64()))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise file.bad(f"is truncated, corrupt or not Parquet, after row {row} ({error})") from error


FORMAT = Format("parquet", ("parquet", "pq"), read)
