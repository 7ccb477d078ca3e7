"""Arrow IPC, file or stream (Feather too): record batch by record batch, with the file's own types."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._typed import batch, check_names

ROWS = 65_536
"""Rows of a batch, at most."""
_MAGIC = b"ARROW1"


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The file's rows with its types, a record batch at a time, in batches of `ROWS` at most.

    Raises:
        BadInput: truncated or corrupt, not Arrow, or two columns share a name.
    """
    del options, expected
    row = 0
    try:
        with file.seekable() as stream:
            magic = stream.read(len(_MAGIC))
            stream.seek(0)
            reader = pa.ipc.open_file(stream) if magic == _MAGIC else pa.ipc.open_stream(stream)
            check_names(file, reader.schema)
            pieces = (reader.get_batch(i) for i in range(reader.num_record_batches)) if magic == _MAGIC else reader
            for piece in pieces:
                for at in range(0, piece.num_rows, ROWS):  # several threads can share a large one
                    some = piece.slice(at, ROWS)
                    yield batch(some, row)
                    row += some.num_rows
            if row == 0:
                yield Batch(reader.schema.empty_table(), pa.array([], pa.int64()))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise file.bad(f"is truncated, corrupt or not Arrow IPC, after row {row} ({error})") from error


FORMAT = Format("arrow", ("arrow", "ipc", "feather", "arrows"), read)
