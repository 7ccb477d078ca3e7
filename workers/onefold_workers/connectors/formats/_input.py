"""One file to read: its bytes decompressed, its digest, and errors that name it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from onefold_storage.errors import BadInput

CHUNK = 4 << 20
"""Bytes read at a time. Measured: blocks of 4 MB parse as fast as a whole file (see the README)."""
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True)
class InputFile:
    """A file on disk. `name`: how origin and errors call it. `compression`: auto, none, gzip or zstd.

    `most`: bytes that it may unpack to, where it or its format is compressed.
    """

    path: Path
    name: str
    compression: str = "auto"
    most: int = 64 << 30

    def bad(self, problem: str) -> BadInput:
        """An error about this file, on one line."""
        return BadInput(f"{self.name}: {' '.join(problem.split())}")

    def beyond(self, most: int) -> BadInput:
        """The error of a file that holds more than it may."""
        return self.bad(
            f"unpacks to more than {most} bytes; raise `max_unpacked_bytes` if that is meant, or split it"
        )

    def digest(self) -> str:
        """SHA-256 of the file's bytes as they lie on disk (hexadecimal), read as a stream."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self.bad(f"cannot be read ({error.strerror})") from error

    @contextmanager
    def reading(self) -> Iterator[IO[bytes]]:
        """The decompressed bytes as a stream; what the library says about broken ones becomes BadInput.

        Raises:
            BadInput: missing, truncated, corrupt, or changed while it was read.
        """
        try:
            with self.path.open("rb") as raw:
                before = os.fstat(raw.fileno())
                kind = self._compression(raw)
                stream = raw if kind == "none" else pa.CompressedInputStream(pa.PythonFile(raw), kind)
                yield stream
                after = self.path.stat()
        except OSError as error:
            raise self.bad(f"cannot be read ({error.strerror or error})") from error
        except pa.ArrowException as error:
            raise self.bad(f"is not what it was taken for ({error})") from error
        if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
            raise self.bad("changed while it was read; wait until it is complete and land it again")

    @contextmanager
    def seekable(self, most: int | None = None) -> Iterator[IO[bytes]]:
        """As `reading`, for formats that jump about: a compressed file is unpacked to a nameless temporary one.

        `most`: bytes that it may unpack to, where fewer are enough than the file's own bound.
        """
        with self.reading() as stream:
            if isinstance(stream, pa.NativeFile):
                with tempfile.TemporaryFile() as unpacked:
                    for chunk in self._bounded(stream, min(self.most, most or self.most)):
                        unpacked.write(chunk)
                    unpacked.seek(0)
                    yield unpacked
            else:
                yield stream

    def chunks(self) -> Iterator[bytes]:
        """The decompressed bytes, at most `CHUNK` at a time."""
        with self.reading() as stream:
            if isinstance(stream, pa.NativeFile):
                yield from self._bounded(stream, self.most)
                return
            while chunk := stream.read(CHUNK):
                yield chunk

    def _bounded(self, stream: pa.NativeFile, most: int) -> Iterator[bytes]:
        read = 0
        while chunk := stream.read(CHUNK):
            read += len(chunk)
            if read > most:
                raise self.beyond(most)
            yield bytes(chunk)

    def _compression(self, raw: IO[bytes]) -> str:
        if self.compression != "auto":
            return self.compression
        head = raw.read(4)
        raw.seek(0)
        return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "none")
