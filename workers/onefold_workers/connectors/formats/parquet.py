"""Parquet: row group by row group, with the file's own types.

Compressed pages, and a dictionary page whose one long text stands in every row, let some kilobytes become gigabytes.
How wide a row can be is therefore looked up before rows are read, and batches hold as many as memory has room for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._typed import batch, check_names

ROWS = 65_536
"""Rows of a batch, at most."""
BYTES = 64 << 20
"""Bytes that a batch may come to if each of its rows is as wide as one can be."""


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The file's rows with its types, `ROWS` at a time, and fewer where rows can be wide.

    Raises:
        BadInput: truncated or corrupt, not Parquet, larger than it may be, or two columns share a name.
    """
    del options, expected
    row = unpacked = 0
    try:
        with file.seekable() as stream, parquet.ParquetFile(stream, pre_buffer=False) as table:
            check_names(file, table.schema_arrow)
            for piece in table.iter_batches(max(1, min(ROWS, BYTES // max(1, _width(stream, table.metadata))))):
                unpacked += piece.nbytes
                if unpacked > file.most:
                    raise file.beyond(file.most)
                yield batch(piece, row)
                row += piece.num_rows
            if row == 0:
                yield Batch(table.schema_arrow.empty_table(), pa.array([], pa.int64()))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise file.bad(f"is truncated, corrupt or not Parquet, after row {row} ({error})") from error


def _width(stream: IO[bytes], facts: parquet.FileMetaData) -> int:
    """Bytes that a row comes to at most, as far as dictionaries go, and on average of all else."""
    widest = 0
    for g in range(facts.num_row_groups):
        group = facts.row_group(g)
        chunks = [group.column(i) for i in range(facts.num_columns)]
        plain = sum(c.total_uncompressed_size for c in chunks) // max(1, group.num_rows)
        coded = [c.path_in_schema for c in chunks if c.has_dictionary_page and _may_be_wide(c)]
        widest = max(widest, plain + (_longest(stream, g, coded) if coded else 0))
    return widest


def _may_be_wide(chunk: parquet.ColumnChunkMetaData) -> bool:
    """Whether a dictionary of flat texts has room for one that is long."""
    flat = chunk.physical_type == "BYTE_ARRAY" and "." not in chunk.path_in_schema
    return flat and chunk.total_uncompressed_size * ROWS > BYTES


def _longest(stream: IO[bytes], group: int, coded: list[str]) -> int:
    """The longest texts of these columns' dictionaries in a row group, together."""
    with parquet.ParquetFile(stream, pre_buffer=False, read_dictionary=coded) as table:
        first = next(table.iter_batches(1, row_groups=[group], columns=coded), None)
    columns = [c for c in first.columns if pa.types.is_dictionary(c.type)] if first else []
    return sum(pc.max(pc.binary_length(c.dictionary)).as_py() or 0 for c in columns)


FORMAT = Format("parquet", ("parquet", "pq"), read)
