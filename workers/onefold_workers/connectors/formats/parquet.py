"""Parquet: row group by row group, with the file's own types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile

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
            check_names(file, table.schema_arrow.names)
            for piece in table.iter_batches(ROWS):
                yield _batch(pa.Table.from_batches([piece]), row)
                row += piece.num_rows
            if row == 0:
                yield _batch(table.schema_arrow.empty_table(), 0)
    except (pa.ArrowException, OSError) as error:
        raise file.bad(f"is truncated, corrupt or not Parquet, after row {row} ({error})") from error


def check_names(file: InputFile, names: list[str]) -> None:
    """Refuse two columns of one name, and one without.

    Raises:
        BadInput: naming file and columns.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or "" in names:
        problem = f"named twice: {', '.join(map(repr, twice))}" if twice else "a column has no name"
        raise file.bad(f"columns: {problem}; every column needs its own name")


def _batch(rows: pa.Table, first: int) -> Batch:
    return Batch(rows, pa.array(np.arange(first, first + rows.num_rows, dtype=np.int64)))


FORMAT = Format("parquet", ("parquet", "pq"), read)
