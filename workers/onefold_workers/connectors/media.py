"""Media files as documents: each file one row of its facts, the file itself an object of the lake.

Files lie in a folder, a bucket or on a server, as those of `files.py` do. Whose a file is says its path (`pattern`) or
a JSON file beside it (`sidecar`); what they say become columns, which the contract gives a meaning. The bookmark holds a
mark for each file in its version, so that what has landed is neither read nor fetched again; a file that changed
lands anew, as a further version of its row.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field, field_validator

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Batch, Delivery
from onefold_storage.errors import BadContract, BadInput
from onefold_workers.connectors import _locations
from onefold_workers.connectors._connector import Connector
from onefold_workers.connectors._media_files import MediaFile, digest, found, pattern_of
from onefold_workers.connectors._media_rows import BATCH, batches, table
from onefold_workers.connectors._paced import PacedOptions
from onefold_workers.media.bounded import Reader

KEPT = 50_000
"""Marks that a bookmark keeps, of the files that changed last; older ones are read again and found repeated."""
_MARK = 8


class MediaOptions(PacedOptions):
    """How files are read.

    `pattern`: the end of a path; what `{name}` stands for becomes the column `name`.
    `sidecar`: name of a JSON file beside each, of `{name}` or `{stem}`; its keys become columns. Elsewhere than on this
    machine the location has to match it too. A path's and a sidecar's columns win over what the file says of itself.
    `files`: of one load package. `max_object_bytes`: a larger file is a bad row.
    `read_seconds`, `read_memory`: what reading the facts of one file may take; past it they are missing.
    `storage`: credentials of files that lie elsewhere, secrets by name.
    `requests_per_second`, `bytes_per_second`: how fast their server may be asked.
    """

    pattern: str | None = None
    sidecar: str | None = None
    files: int = Field(default=500, ge=1, le=10_000)
    max_object_bytes: int = Field(default=4 << 30, ge=1)
    read_seconds: float = Field(default=30.0, gt=0, le=600)
    read_memory: int = Field(default=1 << 30, ge=256 << 20)
    storage: dict[str, str | bool] = Field(default_factory=dict)

    @property
    def reader(self) -> Reader:
        """A reader within these bounds; it starts with its first file."""
        return Reader(self.read_seconds, self.read_memory)

    @field_validator("sidecar")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        if value is not None and ("/" in value or not ("{name}" in value or "{stem}" in value)):
            raise ValueError("expected the name of a file beside each, such as {stem}.json or {name}.json")
        return value


def deliveries(contract: Contract, base: Path, options: MediaOptions, bookmark: Any) -> Iterator[Delivery]:
    """One delivery for every `files` files that are new or changed, by path; of a snapshot one with all of them.

    Raises:
        BadContract: delivery is `append`. BadInput, Unavailable: as `files.py`.
    """
    where = f"{contract.id}: onefold"
    if contract.rules.delivery == "append":
        raise BadContract(f"{where}.delivery: expected `changes` or `snapshot`, with a primary key such as path")
    pattern = pattern_of(options.pattern, f"{where}.options")
    location = _locations.read(contract.rules.location, f"{where}.location")
    there = found(location, base, options, f"{where}.options")
    expected = tuple(c.name for c in contract.columns)

    def read(some: list[MediaFile]) -> Iterator[Batch]:
        return batches(some, pattern, options.max_object_bytes, options.reader, location.text, expected)

    if contract.rules.delivery == "snapshot":
        yield Delivery(_content(there), location.text, read(there))
        return
    seen = _marks(bookmark)
    closed = sum(not f.readable for f in there)
    fresh = [f for f in there if f.readable and (not f.mark or f.mark not in seen)]
    current = sorted((f for f in there if f.mark in seen), key=lambda f: f.changed)
    kept = [f.mark for f in current]
    for at in range(0, len(fresh), options.files):
        some = fresh[at : at + options.files]
        landed: list[bool] = []
        kept = [*kept, *(f.mark for f in some if f.mark)][-KEPT:]
        yield Delivery(
            _content(some), location.text, read(some),
            bookmark=partial(_bookmark, kept), landed=partial(landed.append, True),
        )  # fmt: skip
        if not landed:  # the next bookmark would pass over these
            return
    if closed:
        raise BadInput(f"{location.text}: {closed} of {len(there)} files may not be read; the others have landed")


def first(contract: Contract, base: Path, options: MediaOptions, rows: int) -> Iterator[Delivery]:
    """One delivery with the location's first files, at most fifty of them.

    Raises:
        BadContract, BadInput, Unavailable: as `deliveries`.
    """
    location = _locations.read(contract.rules.location, f"{contract.id}: onefold.location")
    expected = tuple(c.name for c in contract.columns)
    yield Delivery(
        location.text,
        location.text,
        _few(location, base, options, rows, f"{contract.id}: onefold.options", expected),
    )


def sample(text: str, base: Path, rows: int, options: MediaOptions) -> tuple[pa.Table, dict[str, Any]]:
    """The location's first files, at most fifty of them.

    Raises:
        BadInput, Unavailable: as `deliveries`.
    """
    read = _few(_locations.read(text), base, options, rows, "options", ())
    return pa.concat_tables([b.rows for b in read] or [table([])], promote_options="default"), {}


def _few(
    location: _locations.Location,
    base: Path,
    options: MediaOptions,
    rows: int,
    where: str,
    expected: tuple[str, ...],
) -> Iterator[Batch]:
    pattern = pattern_of(options.pattern, where)
    some = found(location, base, options, where)[: min(rows, BATCH)]
    return batches(some, pattern, options.max_object_bytes, options.reader, location.text, expected)


def _content(some: list[MediaFile]) -> str:
    """What a package holds, by path and version; without versions it is never taken for one that has landed."""
    told = hashlib.sha256()
    for file in some:
        if not file.mark:
            with file.fetch().reading() as stream:
                told.update(digest(stream).encode())
        told.update(file.mark or file.path.encode("utf-8", "surrogateescape"))
    return told.hexdigest()


def _marks(bookmark: Any) -> set[bytes]:
    packed = base64.b64decode((bookmark or {}).get("seen", ""))
    return {packed[at : at + _MARK] for at in range(0, len(packed), _MARK)}


def _bookmark(kept: list[bytes]) -> dict[str, str]:
    return {"seen": base64.b64encode(b"".join(kept)).decode()}


CONNECTOR = Connector("media", MediaOptions, (), deliveries, sample, first=first)
