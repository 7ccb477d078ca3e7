"""Where backups lie: a folder or a bucket of its own, with each content once, and one manifest a backup.

backups/<id>.json    what a backup holds, written last: without it a backup does not exist
blobs/<ab>/<sha256>  a content, named by its checksum: what an earlier backup holds is not copied again
law/…                the newest wishes, suppressions and erasures, also those made since the last backup
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from onefold_storage.errors import BadInput, NotFound, Unavailable
from onefold_storage.faults import fault_of
from onefold_storage.law import mirror
from onefold_storage.objects import Objects

FORMAT = 1
_CHUNK = 1 << 22
_IN_MEMORY = 32 << 20


@dataclass(frozen=True)
class Stored:
    """One content: checksum, bytes, and the mark that its original had (`objects.Entry`), where it had one."""

    sha256: str
    size: int
    mark: str = ""


@dataclass(frozen=True)
class Manifest:
    """What one backup holds. `fingerprint` tells which secret belongs to it; `files` are those of the home."""

    id: str
    taken_at: str
    tables: dict[str, int]
    objects: dict[str, Stored]
    ledger: Stored
    ledger_rows: dict[str, int]
    workspace: dict[str, Stored]
    files: dict[str, Stored]
    fingerprint: str
    format: int = FORMAT
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def contents(self) -> dict[str, Stored]:
        """Every content by its checksum."""
        every = [self.ledger, *self.objects.values(), *self.workspace.values(), *self.files.values()]
        return {s.sha256: s for s in every}


class BackupStore:
    """Backups below one root."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def held(self) -> frozenset[str]:
        """Checksums of contents that are there and whole: those of the backups that exist.

        What a backup that was cut off left behind is not trusted, and copied again.
        """
        sizes = {k.rsplit("/", 1)[1]: s for k, s in self.objects.sizes("blobs").items()}
        named = {h: s for i in self.ids() for h, s in self.read(i).contents.items()}
        return frozenset(h for h, s in named.items() if sizes.get(h) == s.size)

    def put(self, source: BinaryIO, held: frozenset[str], mark: str = "") -> tuple[Stored, bool]:
        """Keep a content; gives it, and whether it had to be copied. `held`: see `held()`.

        Raises:
            BadInput: the place of the backups cannot be written. OSError: the source cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as draft:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                draft.write(chunk)
            stored = Stored(digest.hexdigest(), size, mark)
            if stored.sha256 in held:
                return stored, False
            draft.seek(0)
            with self._writing(), self.objects.open(_blob(stored.sha256), "wb") as target:
                while chunk := draft.read(_CHUNK):
                    target.write(chunk)
        with self._writing():
            self.objects.sync(_blob(stored.sha256))
        if self.objects.size(_blob(stored.sha256)) != size:
            raise Unavailable(f"{stored.sha256}: the copy is not whole; storage did not keep it, run it again")
        return stored, True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if fault_of(error):
                raise
            said = error.strerror or type(error).__name__
            raise BadInput(f"{self.objects.root}: the place of the backups cannot be written: {said}") from error

    def fetch(self, stored: Stored, target: BinaryIO) -> None:
        """Write a content into `target`.

        Raises:
            Unavailable: it is missing, or differs from its checksum.
        """
        digest, size = hashlib.sha256(), 0
        try:
            with self.objects.open(_blob(stored.sha256)) as source:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
        except FileNotFoundError:
            raise Unavailable(f"blobs/{stored.sha256}: is missing from the backup; take another backup") from None
        if digest.hexdigest() != stored.sha256 or size != stored.size:
            raise Unavailable(f"blobs/{stored.sha256}: differs from its checksum; restore another backup")

    def fetch_to(self, stored: Stored, path: Path, mode: int = 0o600) -> None:
        """Write a content into a file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.part")
        draft.touch(mode=mode)
        with draft.open("wb") as target:
            self.fetch(stored, target)
        draft.replace(path)

    def write(self, manifest: Manifest) -> None:
        """Make a backup exist."""
        self.objects.put(f"backups/{manifest.id}.json", orjson.dumps(asdict(manifest)))

    def ids(self) -> list[str]:
        """Every backup, the oldest first."""
        return [
            k.rsplit("/", 1)[1].removesuffix(".json") for k in self.objects.keys("backups") if k.endswith(".json")
        ]

    def read(self, backup: str | None = None) -> Manifest:
        """One backup, or the newest.

        Raises:
            NotFound: there is none. BadInput: a newer release wrote it.
        """
        ids = self.ids()
        if not ids or (backup is not None and backup not in ids):
            there = ", ".join(ids) or "none"
            raise NotFound(f"{backup or 'a backup'}: is not at {self.objects.root}; there are {there}")
        facts = orjson.loads(self.objects.get(f"backups/{backup or ids[-1]}.json") or b"{}")
        if facts["format"] > FORMAT:
            raise BadInput(f"{facts['id']}: a newer release wrote this backup; restore it with that one")
        for name in ("objects", "workspace", "files"):
            facts[name] = {k: Stored(**v) for k, v in facts[name].items()}
        return Manifest(**(facts | {"ledger": Stored(**facts["ledger"])}))

    def prune(self, keep: int) -> tuple[str, ...]:
        """Remove all backups but the newest, with what only they hold; gives which."""
        gone = tuple(self.ids()[:-keep]) if keep else ()
        if not gone:
            return ()
        self.objects.delete_all([f"backups/{i}.json" for i in gone])
        held: set[str] = set()
        for left in self.ids():
            held |= self.read(left).contents.keys()
        self.objects.delete_all([k for k in self.objects.keys("blobs") if k.rsplit("/", 1)[1] not in held])
        return gone

    def missing(self, manifest: Manifest) -> list[str]:
        """Checksums of the contents that are not there, or not whole; quick, by listing."""
        sizes = {k.rsplit("/", 1)[1]: s for k, s in self.objects.sizes("blobs").items()}
        return [h for h, s in manifest.contents.items() if sizes.get(h) != s.size]

    def copy_law(self, lake: Objects) -> int:
        """Bring `law/` up to that of the lake; gives how many objects were new."""
        return mirror(lake, self.objects)


def _blob(sha256: str) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"
