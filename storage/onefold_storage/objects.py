"""One door to objects: a folder on disk or a bucket, through fsspec.

Keys are relative to the lake's root. A put is whole or absent: on disk it is written aside, synced and renamed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import fsspec
import pyarrow as pa

from onefold_storage.faults import told
from onefold_storage.streams import Streams


@dataclass(frozen=True)
class Entry:
    """One object: bytes, when it was written (by storage's clock), and a mark that differs when its content does."""

    size: int
    modified: datetime
    mark: str


class Objects:
    """Objects below one root, which is an absolute path or `s3://bucket/prefix`."""

    def __init__(self, root: str, storage_options: dict[str, str] | None = None) -> None:
        self.root = root
        self._fs: Any = filesystem(root, storage_options or {})
        self.local = not root.startswith("s3://")
        self._streams = None if self.local else Streams(storage_options or {})

    def path(self, key: str) -> str:
        """The full path of a key, as fsspec wants it."""
        return f"{self.root.removeprefix('s3://')}/{key}"

    @told()
    def put(self, key: str, data: bytes) -> None:
        """Write an object, replacing what was there; it is durable when this returns."""
        if not self.local:
            self._fs.pipe_file(self.path(key), data)
            return
        path = self.path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103,PTH120
        aside = f"{path}.{uuid.uuid4().hex}.tmp"
        with open(aside, "wb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)  # noqa: PTH105
        self.sync(key)

    @told()
    def send(self, key: str, data: pa.Buffer) -> None:
        """As `put`, by Arrow, for large objects.

        Raises:
            Unavailable: it could not be sent, and may still appear, cut short: put it under another key.
        """
        if self._streams is None:
            self.put_stream(key, [memoryview(data)])
        else:
            self._streams.send(self.path(key), data)

    @told()
    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object of a bucket unless one is there, and say whether it was written."""
        return bool(self._fs.put_new(self.path(key), data))

    @told()
    def put_stream(self, key: str, chunks: Iterable[bytes | memoryview]) -> None:
        """As `put`, with bounded memory. Where reading a chunk raises, nothing of the object is kept."""
        path = self.path(key)
        if self.local:
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103,PTH120
            aside = f"{path}.{uuid.uuid4().hex}.tmp"
            try:
                with open(aside, "wb") as local:  # noqa: PTH123
                    local.writelines(chunks)
                    local.flush()
                    os.fsync(local.fileno())
                os.replace(aside, path)  # noqa: PTH105
            except BaseException:
                with suppress(OSError):
                    os.unlink(aside)  # noqa: PTH108
                raise
            self.sync(key)
            return
        file = self._fs.open(path, "wb")
        try:
            for chunk in chunks:
                file.write(chunk)
        except BaseException:
            file.closed = True  # closing would complete the upload of what is not whole
            with suppress(Exception):
                file.discard()
            raise
        file.close()

    def sync(self, key: str) -> None:
        """Make an object written through `open` durable, with its folder entry; nothing to do on a bucket."""
        if not self.local:
            return
        path = self.path(key)
        for target in (path, os.path.dirname(path)):  # noqa: PTH120
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    @told()
    def get(self, key: str) -> bytes | None:
        """An object's bytes, or None."""
        try:
            return cast("bytes", self._fs.cat_file(self.path(key)))
        except FileNotFoundError:
            return None

    @told()
    def head(self, key: str, size: int) -> bytes | None:
        """An object's first bytes, at most `size` of them, or None."""
        try:  # a bucket refuses a range of nothing
            there = int(self._fs.size(self.path(key)))
            return cast("bytes", self._fs.cat_file(self.path(key), start=0, end=min(size, there))) if there else b""
        except FileNotFoundError:
            return None

    @told()
    def open(self, key: str, mode: str = "rb") -> BinaryIO:
        """Open an object; on a bucket it appears when the writer closes."""
        if self.local and "w" in mode:
            os.makedirs(os.path.dirname(self.path(key)), exist_ok=True)  # noqa: PTH103,PTH120
        return cast("BinaryIO", self._fs.open(self.path(key), mode))

    @told()
    def stream(self, key: str) -> pa.NativeFile:
        """As `open`, by Arrow, which on a bucket asks for less and is less patient.

        Raises:
            FileNotFoundError: there is nothing to read.
        """
        return self._streams.input(self.path(key)) if self._streams else pa.OSFile(self.path(key), "rb")

    @told()
    def size(self, key: str) -> int | None:
        """Bytes of an object, or None."""
        try:
            return int(self._fs.size(self.path(key)))
        except FileNotFoundError:
            return None

    @told()
    def keys(self, prefix: str, *, unfinished: bool = False) -> list[str]:
        """Every key below a prefix (a folder), sorted; `unfinished` puts, left by a crash, only if asked."""
        try:
            found = self._fs.find(self.path(prefix))
        except FileNotFoundError:
            return []
        cut = len(self.path(""))
        return sorted(str(p)[cut:] for p in found if unfinished or not str(p).endswith(".tmp"))

    @told()
    def holds(self, prefix: str) -> bool:
        """Whether there is anything below a prefix (a folder), in one request."""
        return bool(self.keys(prefix, unfinished=True)) if self.local else bool(self._fs.holds(self.path(prefix)))

    @told()
    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes of every object below a prefix (a folder), unfinished puts among them, by key."""
        try:
            found = self._fs.find(self.path(prefix), detail=True)
        except FileNotFoundError:
            return {}
        cut = len(self.path(""))
        return {str(path)[cut:]: int(facts["size"]) for path, facts in found.items()}

    @told()
    def entries(self, prefix: str) -> dict[str, Entry]:
        """Size, age and content mark of every object below a prefix, unfinished puts among them, by key."""
        try:
            found = self._fs.find(self.path(prefix), detail=True)
        except FileNotFoundError:
            return {}
        cut = len(self.path(""))
        return {str(path)[cut:]: _entry(facts) for path, facts in found.items()}

    @told()
    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right below a prefix, sorted."""
        try:
            found = self._fs.ls(self.path(prefix), detail=True)
        except FileNotFoundError:
            return []
        return sorted(str(e["name"]).rstrip("/").rsplit("/", 1)[-1] for e in found if e["type"] == "directory")

    @told()
    def delete(self, key: str) -> None:
        """Remove an object; it may be absent."""
        if not self.local or self._fs.exists(self.path(key)):
            self._fs.rm_file(self.path(key))

    @told()
    def delete_all(self, keys: list[str]) -> None:
        """Remove objects, some hundred in one request where storage can; they may be absent."""
        if not self.local:
            if keys:
                self._fs.rm([self.path(k) for k in keys])
            return
        for key in keys:
            self.delete(key)

    @told()
    def delete_below(self, prefix: str) -> None:
        """Remove everything below a prefix."""
        if not self.local:
            self.delete_all(self.keys(prefix, unfinished=True))
        elif self._fs.exists(self.path(prefix)):
            self._fs.rm(self.path(prefix), recursive=True)

    @told()
    def forget_versions(self) -> int:
        """Remove what a bucket that somebody versions has kept of objects that were replaced or deleted; how much."""
        return 0 if self.local else int(self._fs.forget_versions(self.path("")))


def _entry(facts: dict[str, Any]) -> Entry:
    if "LastModified" in facts:
        return Entry(int(facts["size"]), facts["LastModified"], str(facts.get("ETag", "")).strip('"'))
    modified = datetime.fromtimestamp(facts["mtime"], UTC)
    return Entry(int(facts["size"]), modified, f"{facts.get('ino', 0)}-{facts['mtime']}")


def filesystem(root: str, options: dict[str, str]) -> Any:
    """The fsspec file system of a root: this machine's, or a bucket's."""
    if not root.startswith("s3://"):
        return fsspec.filesystem("file", use_listings_cache=False)
    from onefold_storage.s3 import file_system

    return file_system(options)
