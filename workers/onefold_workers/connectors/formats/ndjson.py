"""NDJSON (JSON lines): one object a line, read a block at a time."""

from __future__ import annotations

from collections.abc import Iterator

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._objects import Objects
from onefold_workers.connectors.formats._text import stretches, utf8


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The file's rows as strings, in batches of about 4 MB of text, with every key met so far as a column.

    Lines that are no JSON object, longer than `max_row_bytes`, or no text come as bad rows: `json`, `too_long`,
    `encoding`.

    Raises:
        BadInput: empty file.
    """
    objects = Objects(file.name, dict.fromkeys(expected))
    empty = True
    for stretch in stretches(utf8(file.chunks(), options.encoding), options.max_row_bytes, carriage=False):
        empty = False
        if stretch.too_long:
            yield objects.too_long(stretch.data, stretch.too_long, options.max_row_bytes)
        else:
            yield objects.batch(stretch.data)
    if empty:
        raise file.bad("the file is empty; expected one JSON object a line")


class Lines:
    """Whole lines that are in memory already, such as events sent over HTTP, to batches."""

    def __init__(self, name: str, expected: tuple[str, ...]) -> None:
        self._objects = Objects(name, dict.fromkeys(expected))

    def batch(self, data: bytes, first: int) -> Batch:
        """The rows of the lines, of which the first that is not blank has the place `first`."""
        self._objects.row, self._objects.line = first, first + 1
        return self._objects.batch(data)


FORMAT = Format("ndjson", ("ndjson", "jsonl", "jsonlines"), read)
