"""What formats that bring their own types share: checks of names and of bytes that claim to be text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats._input import InputFile


def check_names(file: InputFile, schema: pa.Schema) -> None:
    """Refuse two columns of one name, and one without.

    Raises:
        BadInput: naming file and columns.
        UnicodeDecodeError: a name is no text.
    """
    names = schema.names
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or "" in names:
        problem = f"named twice: {', '.join(map(repr, twice))}" if twice else "one has no name"
        raise file.bad(f"columns: {problem}; every column needs its own name")


def batch(rows: pa.RecordBatch, first: int) -> Batch:
    """The batch, from row `first` of the file on; readers do not check text, so that is done here.

    A text column with bytes that are no UTF-8 becomes `binary`: landing then finds the rows.

    Raises:
        ArrowInvalid: nested or corrupt beyond that.
    """
    try:
        rows.validate(full=True)
    except pa.ArrowInvalid:
        rows = pa.RecordBatch.from_arrays([_honest(c) for c in rows.columns], names=rows.schema.names)
        rows.validate(full=True)
    ids = np.arange(first, first + rows.num_rows, dtype=np.int64)
    return Batch(pa.Table.from_batches([rows]), pa.array(ids))


def _honest(column: pa.Array) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return column.cast(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
    return column
