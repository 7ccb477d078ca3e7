"""What a remote source sent, kept as JSON lines in a nameless temporary file until landing reads it.

Landing must know a delivery's content before its first row, and a remote source should be asked once and not wait
for us: so pages are written down and hashed as they come.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

import orjson

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats.ndjson import Lines
from onefold_workers.progress import came

_BLOCK = 4 << 20


class Pages:
    """Rows as JSON lines on disk; written once, then read once."""

    def __init__(self, asked: str) -> None:
        self._digest = hashlib.sha256(asked.encode())
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its batches
        self.rows = 0

    def write(self, rows: Iterable[Any]) -> None:
        """Add rows, each a JSON value."""
        for row in rows:
            self.write_line(orjson.dumps(row))

    def write_line(self, line: bytes) -> None:
        """Add a row that is a JSON line already; what is none becomes a bad row."""
        self._digest.update(line + b"\n")
        self._file.write(line + b"\n")
        self.rows += 1
        came(1)

    @property
    def content(self) -> str:
        """SHA-256 of what was asked and of all rows in order."""
        return self._digest.hexdigest()

    def batches(self, name: str, expected: tuple[str, ...]) -> Iterator[Batch]:
        """The rows as strings, as NDJSON files give them; what is no object is a bad row."""
        lines = Lines(name, expected)
        at = 0
        with self._file as file:
            file.seek(0)
            while block := file.readlines(_BLOCK):
                yield lines.batch(b"".join(block), at)
                at += len(block)
