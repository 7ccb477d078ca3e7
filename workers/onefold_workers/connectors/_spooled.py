"""What a server streams, kept as it comes, so that one can go back in it without asking again."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from typing import IO, Any


class Spooled(io.RawIOBase):
    """A stream as a file to read; no more of it is taken than was asked for, but for its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._kept: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this file
        self._size = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is, also beyond what has come."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._kept.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere else."""
        if whence == io.SEEK_END:
            self._take(None)
        return self._kept.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        self._take(self.tell() + len(buffer))
        return self._kept.readinto(buffer)  # type: ignore[attr-defined,no-any-return]

    def close(self) -> None:
        """Forget what has come."""
        self._kept.close()
        super().close()

    def _take(self, until: int | None) -> None:
        at = self._kept.tell()
        while (until is None or self._size < until) and (piece := next(self._pieces, b"")):
            self._kept.seek(self._size)
            self._size += self._kept.write(piece)
        self._kept.seek(at)
