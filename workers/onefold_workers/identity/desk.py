"""Where the steps of a resolution lay arrays down for each other: in memory, or in a folder all workers can read.

A handle is what travels with a task: the array itself in memory, a file's name in a folder. Files are mapped
into memory, so that a worker reads the pages that it touches and nothing else.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Handle = Any
_MAPPED = 4096


class Desk(Protocol):
    """Puts arrays and columns of text down and takes them up again."""

    def put(self, found: npt.NDArray[Any] | pl.Series) -> Handle:
        """Lay an array or a column down; the handle gives it back in any process that shares the desk."""

    def get(self, handle: Handle) -> Any:
        """What was laid down; it must not be written to."""


@dataclass(frozen=True)
class InMemory:
    """Everything stays where it is: for one process."""

    def put(self, found: npt.NDArray[Any] | pl.Series) -> Handle:
        """The thing itself."""
        return found

    def get(self, handle: Handle) -> Any:
        """The thing itself."""
        return handle


@dataclass(frozen=True)
class InFolder:
    """Files in a folder; whole or absent, so that a task that died half-way leaves nothing that looks done."""

    folder: str

    def put(self, found: npt.NDArray[Any] | pl.Series) -> Handle:
        """Write a file under a new name."""
        name = uuid.uuid4().hex + (".npy" if isinstance(found, np.ndarray) else ".arrow")
        path = Path(self.folder) / name
        part = path.with_suffix(".part")
        if isinstance(found, np.ndarray):
            with part.open("wb") as file:
                np.save(file, found, allow_pickle=False)
        else:
            found.alias("v").to_frame().write_ipc(part, compression="uncompressed")
        part.replace(path)
        return name

    def get(self, handle: Handle) -> Any:
        """The file, mapped into memory."""
        path = Path(self.folder) / str(handle)
        if path.suffix == ".arrow":
            with pa.memory_map(str(path)) as file:
                return pl.Series("v", pa.ipc.open_file(file).read_all()["v"])
        return np.load(path, mmap_mode="r" if path.stat().st_size > _MAPPED else None, allow_pickle=False)
