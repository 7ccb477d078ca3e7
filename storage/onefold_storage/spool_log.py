"""One write-ahead log: the writer of a process, its segments, and what becomes of them.

A log is a folder `<id>/` with `lock` (held by the process that writes it, or that has taken it over), one
`NNNNNNNNNN.open` segment and sealed ones. A sealed segment never changes but for an erasure; it goes when every
source's events in it are committed. An id is never used twice, so a segment's place names its content for ever.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from onefold_storage.errors import Full, Unavailable
from onefold_storage.spool_frames import Found, Frame, head, pack, unpack

OPEN, SEALED, DAMAGED = ".open", ".sealed", ".damaged"
ASIDE = ".new"
"""A log or a segment that is being made; nobody else looks at it."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Segment:
    """A sealed segment: file `path` of the log `log`, its `number`-th."""

    log: str
    number: int
    path: Path

    @property
    def content(self) -> str:
        """What identifies each source's events in it: the same for the same segment, whenever it is read."""
        return content_of(self.log, self.number)

    def read(self) -> Found:
        """Its frames."""
        return read_sealed(self.path)


def content_of(log: str, number: int) -> str:
    """The content that landing knows a segment's events by."""
    return hashlib.sha256(f"segment {log} {number}".encode()).hexdigest()


class Writer:
    """Writes a new log. One thread at a time; nothing is on disk before the first `append`."""

    def __init__(self, logs: Path) -> None:
        self.id = secrets.token_hex(8)
        self.folder = logs / self.id
        self.number = 0
        """Of the segment that is open, or was last; segments count from 1."""
        self.size = 0
        """Bytes of the open segment."""
        self._lock: FileLock | None = None
        self._file: int | None = None
        self._sequence = 0
        self._begun = b""
        self._rows: Counter[str] = Counter()

    def append(self, frames: Sequence[Frame]) -> list[tuple[int, int]]:
        """Write frames as one group and sync it; each is then in the log for good.

        Returns, for each, the segment's number and the place of its first event there.

        Raises:
            Full: the volume has no room. Unavailable: it does not take the write. Nothing of the group stays.
        """
        try:
            file = self._open() if self._file is None else self._file
            rows = Counter(self._rows)
            placed: list[Frame] = []
            for frame in frames:
                placed.append(replace(frame, first=rows[frame.source]))
                rows[frame.source] += frame.events
            data = pack(placed, self._sequence, self._begun)
            data = data if self.size else self._begun + data
            _write(file, data)
            os.fdatasync(file)
        except OSError as error:
            self._undo()
            raise _refused(error, self.folder) from error
        self._sequence += 1
        self.size += len(data)
        self._rows = rows
        return [(self.number, f.first) for f in placed]

    def seal(self) -> bool:
        """Close the open segment, so that it can be committed; whether there was one."""
        if self._file is None:
            return False
        os.close(self._file)
        self._file = None
        if self.size:
            os.replace(self._path(OPEN), self._path(SEALED))  # noqa: PTH105
            sync_folder(self.folder)
        else:
            self._path(OPEN).unlink()
        self.size = 0
        return True

    def close(self) -> None:
        """Seal, and let others take the log over."""
        self.seal()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _open(self) -> int:
        if self._lock is None:
            self._lock = self._begin()
        if not self.number:
            sync_folder(self.folder.parent)
        self.number += 1
        self._sequence, self.size, self._rows, self._begun = 0, 0, Counter(), head()
        self._file = os.open(self._path(OPEN), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        sync_folder(self.folder)
        return self._file

    def _begin(self) -> FileLock:
        """Make the folder; it is held before it has its name, since a log that nobody holds is taken over."""
        aside = self.folder.with_suffix(ASIDE)
        aside.mkdir(parents=True, exist_ok=True)  # left by a try that found no room
        lock = FileLock(aside / "lock", timeout=0)
        lock.acquire()
        try:
            os.replace(aside, self.folder)  # noqa: PTH105
        except OSError:
            lock.release()
            raise
        return lock

    def _undo(self) -> None:
        """Take a group that failed off the segment and begin a new one: after a failed sync none can be trusted."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self.size)
            os.fsync(self._file)
            self.seal()
        except OSError:
            # What is there stays, is not written to any more, and is looked through when the log is taken over.
            self._file, self.size = None, 0

    def _path(self, state: str) -> Path:
        return self.folder / f"{self.number:010d}{state}"


def take_over(folder: Path) -> FileLock | None:
    """Take over a log that nobody writes any more: cut what a crash left half written, seal what is whole.

    Returns the held lock; None while somebody holds it.
    """
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except (Timeout, FileNotFoundError):
        return None
    for path in folder.glob(f"*{ASIDE}"):
        path.unlink()  # a rewrite that was cut off
    for path in sorted(folder.glob(f"*{OPEN}")):
        found = unpack(path.read_bytes())
        if found.frames and not found.damaged:
            _cut(path, found.whole)
        if found.frames or found.damaged:
            os.replace(path, path.with_suffix(SEALED))  # noqa: PTH105
        else:
            path.unlink()
    sync_folder(folder)
    return lock


def read_sealed(path: Path) -> Found:
    """The frames of a sealed segment, which was whole: what is not is damage, at its end too."""
    data = path.read_bytes()
    found = unpack(data)
    return replace(found, damaged=found.damaged + len(data) - found.whole) if found.whole else found


def set_aside(path: Path, frames: Sequence[Frame]) -> None:
    """Keep a damaged segment under another name, for people, and go on with what is whole of it."""
    with suppress(FileExistsError):  # a drainer and an erasure have both come upon it
        os.link(path, path.with_suffix(DAMAGED))
    rewrite(path, frames)


def _cut(path: Path, size: int) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(file, size)
        os.fsync(file)
    finally:
        os.close(file)


def segments(folder: Path) -> list[Segment]:
    """The sealed segments of a log, in order."""
    return [Segment(folder.name, int(p.stem), p) for p in sorted(folder.glob(f"*{SEALED}"))]


def rewrite(path: Path, frames: Sequence[Frame]) -> None:
    """Replace a segment by these frames, whole or not at all."""
    begun = head()
    write_anew(path, begun + pack(frames, 0, begun), path.with_suffix(ASIDE))


def write_anew(path: Path, data: bytes, aside: Path) -> None:
    """Replace a file's bytes by way of the file `aside`, whole or not at all."""
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write(file, data)
        os.fsync(file)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise _refused(error, path.parent) from error
    finally:
        os.close(file)
    os.replace(aside, path)  # noqa: PTH105
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file, durably; it may be gone."""
    path.with_suffix(ASIDE).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _refused(error: OSError, folder: Path) -> Full | Unavailable:
    if error.errno in _FULL:
        return Full(f"{folder}: the volume of the log is full; make room, or give it a larger one, and send again")
    return Unavailable(f"{folder}: the volume of the log does not take writes ({error.strerror}); look after it")
