"""One file elsewhere: what its server tells of it, and its bytes, fetched or looked into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO

import pyarrow as pa

from onefold_workers.connectors.formats._input import InputFile


@dataclass(frozen=True)
class Remote:
    """One file elsewhere. `version`: changes when the file does; empty, and `size` None, where the server does not tell."""

    path: str
    name: str
    version: str
    changed: str
    size: int | None


@dataclass(frozen=True)
class Fetched(InputFile):
    """A fetched file, on disk without a name."""

    file: IO[bytes] = field(kw_only=True)
    sha256: str = field(kw_only=True)

    def digest(self) -> str:
        """SHA-256 of the bytes, as they came."""
        return self.sha256

    @contextmanager
    def reading(self) -> Iterator[IO[bytes]]:
        """As `InputFile.reading`; nobody else can change the file."""
        self.file.seek(0)
        try:
            kind = self._compression(self.file)
            yield self.file if kind == "none" else pa.CompressedInputStream(pa.PythonFile(self.file), kind)
        except (OSError, pa.ArrowException) as error:
            raise self.bad(f"is not what it was taken for ({error})") from error


@dataclass(frozen=True)
class Peeked(InputFile):
    """A file elsewhere of which only what is asked for is sent. It is read for a look, and never lands."""

    opened: Callable[[], AbstractContextManager[IO[bytes]]] = field(kw_only=True)

    def digest(self) -> str:
        """Its name: the whole file would have to be read for more."""
        return self.name

    @contextmanager
    def reading(self) -> Iterator[IO[bytes]]:
        """As `InputFile.reading`."""
        try:
            with self.opened() as stream:
                kind = self._compression(stream)
                yield stream if kind == "none" else pa.CompressedInputStream(pa.PythonFile(stream), kind)
        except (OSError, pa.ArrowException) as error:
            raise self.bad(f"is not what it was taken for ({error})") from error
