"""Publications on object storage: immutable versions, and the pointer object that names the current one.

`publications/<version>/` holds the files and, written last, `manifest.json` with their sizes and checksums; without
a manifest a version does not exist. `publications/current.json` is swapped in one put, under the lake's lock, so a
reader sees the old one or the new one. Readers trust no file whose checksum differs.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from onefold_storage.errors import BadInput, Conflict, NotFound, Unavailable
from onefold_storage.objects import Objects

ROOT = "publications"
SERVING_FILE = "serving.sqlite"
"""The name of the serving file in a publication."""
SERVING_FORMAT = 2
"""Version of the serving file's layout; a reader refuses another."""
INTERACTION_BLOCK = 50
"""The serving file keeps a customer's interactions in blocks of so many, newest first."""
_POINTER = f"{ROOT}/current.json"
_CHUNK = 1 << 22

Hold = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class StoredFile:
    """One file of a publication, in bytes, with its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Publication:
    """One immutable serving snapshot."""

    version: str
    built_at: datetime
    files: dict[str, StoredFile]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pointer:
    """Which version is served, and those that were before it, the newest first."""

    version: str
    previous: tuple[str, ...] = ()


class Publications:
    """Every publication of a lake. `hold` gives the lock that writers take; readers need none."""

    def __init__(self, objects: Objects, hold: Hold | None = None) -> None:
        self._objects = objects
        self._hold: Hold = hold or nullcontext

    def publish(self, files: Mapping[str, Path], built_at: datetime, facts: dict[str, Any]) -> Publication:
        """Ship files as a new version and make it the current one; what is current already stays as it is.

        Raises:
            BadInput: no files. Unavailable: an object is not whole after the upload.
        """
        if not files:
            raise BadInput("a publication needs at least one file")
        sums = {name: _sum(path) for name, path in files.items()}
        with self._hold():
            pointer = self.pointer()
            if pointer and self.get(pointer.version).files == sums:
                return self.get(pointer.version)
            made = Publication(self._next(sums), built_at, sums, facts)
            for name, path in files.items():
                self._put(f"{ROOT}/{made.version}/{name}", path, sums[name])
            self._objects.put(f"{ROOT}/{made.version}/manifest.json", orjson.dumps(asdict(made)))
            history = (pointer.version, *pointer.previous) if pointer else ()
            self._point(Pointer(made.version, history))
        return made

    def pointer(self) -> Pointer | None:
        """What is served now; None before the first publication."""
        data = self._objects.get(_POINTER)
        if data is None:
            return None
        facts = orjson.loads(data)
        return Pointer(str(facts["version"]), tuple(facts["previous"]))

    def current(self) -> Publication | None:
        """The publication that is served now."""
        pointer = self.pointer()
        return self.get(pointer.version) if pointer else None

    def get(self, version: str) -> Publication:
        """One version.

        Raises:
            NotFound: there is none, or it was pruned.
        """
        data = self._objects.get(f"{ROOT}/{version}/manifest.json")
        if data is None:
            there = ", ".join(reversed(self._objects.folders(ROOT))) or "none"
            raise NotFound(f"no publication {version}; there are: {there}")
        facts = orjson.loads(data)
        files = {name: StoredFile(**f) for name, f in facts["files"].items()}
        return Publication(facts["version"], datetime.fromisoformat(facts["built_at"]), files, facts["facts"])

    def list(self) -> list[Publication]:
        """Every version, newest first."""
        found = []
        for version in reversed(self._objects.folders(ROOT)):
            try:
                found.append(self.get(version))
            except NotFound:  # an upload that did not end
                continue
        return found

    def before(self, current: Publication) -> Publication:
        """What can be gone back to: the newest that is older than the current one, or than what it serves again.

        Raises:
            Conflict: there is none left.
        """
        origin = current.facts.get("rollback_of", current.version)
        found = next((p for p in self.list() if p.version < origin), None)
        if found is None:
            raise Conflict("no earlier publication to go back to; publish a new one instead")
        return found

    def prune(self, keep: int = 3) -> tuple[str, ...]:
        """Delete all but the current version and the newest `keep`, and broken uploads; gives what went."""
        with self._hold():
            pointer = self.pointer()
            kept = {p.version for p in self.list()[:keep]} | ({pointer.version} if pointer else set())
            gone = tuple(v for v in self._objects.folders(ROOT) if v not in kept)
            for version in gone:
                self._objects.delete(f"{ROOT}/{version}/manifest.json")
                self._objects.delete_below(f"{ROOT}/{version}")
        return gone

    def fetch(self, publication: Publication, cache: Path) -> dict[str, Path]:
        """Every file of a publication on this machine, checked; a lake on this machine is read where it lies.

        `cache`: folder for copies from a bucket; versions other than this one are removed from it.

        Raises:
            Unavailable: a file is missing or differs from its checksum.
        """
        found = {}
        for name, expected in publication.files.items():
            key = f"{ROOT}/{publication.version}/{name}"
            path = Path(self._objects.path(key)) if self._objects.local else cache / publication.version / name
            if not self._objects.local and not (path.exists() and _sum(path) == expected):
                self._download(key, path)
            if not path.exists() or _sum(path) != expected:
                raise Unavailable(f"{key}: the object is missing or differs from its checksum; publish again")
            found[name] = path
        if not self._objects.local and cache.exists():
            for other in cache.iterdir():
                if other.is_dir() and other.name != publication.version:
                    shutil.rmtree(other, ignore_errors=True)
        return found

    def copy(self, publication: Publication, folder: Path) -> dict[str, Path]:
        """A copy of every file of a publication in a folder, checked, to be changed there.

        Raises:
            Unavailable: a file is missing or differs from its checksum.
        """
        copies = {}
        for name, expected in publication.files.items():
            copies[name] = folder / name
            self._download(f"{ROOT}/{publication.version}/{name}", copies[name])
            if _sum(copies[name]) != expected:
                raise Unavailable(f"publication {publication.version}: {name} differs from its checksum")
        return copies

    def _next(self, sums: Mapping[str, StoredFile]) -> str:
        numbers = [int(v.split("-")[0]) for v in self._objects.folders(ROOT) if v.split("-")[0].isdigit()]
        content = hashlib.sha256(orjson.dumps([[n, s.sha256] for n, s in sorted(sums.items())])).hexdigest()
        return f"{max(numbers, default=0) + 1:06d}-{content[:12]}"

    def _put(self, key: str, path: Path, expected: StoredFile) -> None:
        with path.open("rb") as source, self._objects.open(key, "wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        self._objects.sync(key)
        if self._objects.size(key) != expected.size:
            raise Unavailable(f"{key}: the object is not whole after the upload; publish again")

    def _download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.part")
        try:
            with self._objects.open(key) as source, draft.open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
        except FileNotFoundError:
            raise Unavailable(f"{key}: the object is missing; publish again") from None
        draft.replace(path)

    def _point(self, pointer: Pointer) -> None:
        self._objects.put(_POINTER, orjson.dumps(asdict(pointer)))


def _sum(path: Path) -> StoredFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return StoredFile(path.stat().st_size, digest)
