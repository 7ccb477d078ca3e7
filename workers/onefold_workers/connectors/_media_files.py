"""Media files at a location: what is there, in which version, what its path says, and what lies beside it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

import orjson

from onefold_storage.errors import BadContract, BadInput
from onefold_workers.connectors import _locations, _remote, files
from onefold_workers.connectors._remote_file import Remote
from onefold_workers.connectors.formats import FileOptions, InputFile
from onefold_workers.connectors.formats._input import CHUNK

_NAME = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_MOST_SIDECAR = 1 << 20


class SidecarError(Exception):
    """What lies beside a file cannot be used; the message says so without a value from it."""


@dataclass(frozen=True)
class MediaFile:
    """One file. `path` may be personal, so that no message tells it. `version` changes when it or its sidecar does."""

    path: str
    version: str
    changed: str
    fetch: Callable[[], InputFile]
    sidecar: MediaFile | None = None
    readable: bool = True

    @property
    def mark(self) -> bytes:
        """Eight bytes that stand for this file in this version; empty where the server tells no version."""
        if not self.version or (self.sidecar and not self.sidecar.version):
            return b""
        told = "\0".join([self.path, self.version, self.sidecar.version if self.sidecar else ""])
        return hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=8).digest()

    @property
    def extension(self) -> str:
        """Without the dot, in lower case."""
        return PurePosixPath(self.path).suffix.lower().removeprefix(".")


def found(location: _locations.Location, base: Path, options: Any, where: str) -> list[MediaFile]:
    """The files of a location, by path, each with its sidecar, which is no file of its own.

    Raises:
        BadInput: nothing is there. Unavailable: the server does not answer.
    """
    place = _remote.place(location, options.storage, options, where)
    if place:
        there = {r.path: _elsewhere(place, r, options.max_object_bytes) for r in place.files()}
    else:
        plain = FileOptions(compression="none")
        listed = [_here(f, base) for f in files.find(location, base, plain, where)]
        there = {f.path: f for f in listed}
    if options.sidecar is None:
        return list(there.values())
    beside: dict[str, MediaFile] = {}
    for path in there:
        own = str(PurePosixPath(path).with_name(_beside(path, options.sidecar)))
        if own != path and own in there:
            beside[path] = there[own]
        elif own != path and location.scheme not in _remote.SCHEMES and (base / own).is_file():
            beside[path] = _here(InputFile(base / own, own, "none"), base)
    taken = {s.path for s in beside.values()}
    return [replace(f, sidecar=beside.get(f.path)) for f in there.values() if f.path not in taken]


def _beside(path: str, form: str) -> str:
    name = PurePosixPath(path)
    return form.replace("{name}", name.name).replace("{stem}", name.stem)


def _here(file: InputFile, base: Path) -> MediaFile:
    try:
        facts = file.path.stat()
    except OSError as error:
        raise BadInput(f"a file cannot be read ({error.strerror}); look at the location's permissions") from None
    path = str(file.path.relative_to(base) if file.path.is_relative_to(base) else file.path)
    version = f"{facts.st_size} {facts.st_mtime_ns}"
    open_to_us = os.access(file.path, os.R_OK)
    changed = f"{facts.st_mtime_ns:020d}"
    return MediaFile(path, version, changed, lambda: InputFile(file.path, "a file", "none"), readable=open_to_us)


def _elsewhere(place: _remote.Place, remote: Remote, most: int) -> MediaFile:
    return MediaFile(remote.path, remote.version, remote.changed, lambda: place.fetch(remote, "none", most))


@contextmanager
def opened(file: InputFile) -> Iterator[IO[bytes]]:
    """The file with a descriptor that another process can be handed; its size is what `seek` says."""
    with file.reading() as stream:
        stream.seek(0)
        yield stream


def digest(stream: IO[bytes]) -> str:
    """SHA-256 of a whole file (hexadecimal), read piece by piece."""
    told = hashlib.sha256()
    stream.seek(0)
    while chunk := stream.read(CHUNK):
        told.update(chunk)
    return told.hexdigest()


def pattern_of(text: str | None, where: str) -> re.Pattern[str] | None:
    """What a path's end has to look like: `{name}` stands for a part of it, without a slash.

    Raises:
        BadContract: a name comes twice, or there is none.
    """
    if text is None:
        return None
    names = _NAME.findall(text)
    if not names or len(set(names)) != len(names):
        raise BadContract(
            f"{where}.pattern: expected names in braces, each once, such as calls/{{phone}}/{{date}}.wav"
        )
    parts = re.split(_NAME, text)
    regex = "".join(
        f"(?P<{p}>[^/]+)" if n % 2 else re.escape(p).replace(r"\*", "[^/]*") for n, p in enumerate(parts)
    )
    return re.compile(f"(?:^|/){regex}$")


def beside(file: MediaFile) -> dict[str, str | None]:
    """What a file's sidecar says, by key: text as it is, all else as JSON.

    Raises:
        SidecarError: it is too large, or no JSON object.
    """
    if file.sidecar is None:
        return {}
    with file.sidecar.fetch().reading() as stream:
        data = stream.read(_MOST_SIDECAR + 1)
    if len(data) > _MOST_SIDECAR:
        raise SidecarError(f"expected a sidecar of at most {_MOST_SIDECAR} bytes, found more")
    try:
        said = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise SidecarError("expected a JSON object in the sidecar, found text that is not JSON") from None
    if not isinstance(said, dict):
        raise SidecarError("expected a JSON object in the sidecar, found another value")
    return {
        k: v if isinstance(v, str) or v is None else orjson.dumps(v).decode()
        for k, v in said.items()
        if k[:1] != "_"
    }
