"""Files: CSV, TSV, NDJSON, JSON, Parquet, Arrow, Excel, plain or compressed, here or elsewhere; one delivery a file."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Batch, Delivery
from onefold_storage.errors import BadInput, OnefoldError
from onefold_storage.pipelining import while_read_ahead
from onefold_workers.connectors import _locations, _remote, formats
from onefold_workers.connectors._connector import Connector
from onefold_workers.connectors._locations import Location
from onefold_workers.connectors.formats import FileOptions, Format, InputFile

_COMPRESSED = {".gz", ".gzip", ".zst", ".zstd"}


def deliveries(contract: Contract, base: Path, options: FileOptions, bookmark: Any) -> Iterator[Delivery]:
    """One delivery a file that the location names, by name; `content` is SHA-256 of the file's bytes.

    What is wrong inside a file raises when its batches are read. A file that cannot be opened raises after the
    others were delivered. `bookmark`, of files elsewhere: the versions that have landed, which are not fetched again.

    Raises:
        BadInput: no file there, or one of an unknown kind.
        Unavailable: the server that holds the files does not answer.
    """
    where = f"{contract.id}: onefold.location"
    location = _locations.read(contract.rules.location, where)
    expected = tuple(c.name for c in contract.columns)
    place = _remote.place(location, options.storage, options, f"{contract.id}: onefold.options")
    if place:
        yield from _elsewhere(place, options, bookmark, expected)
        return
    failed: BadInput | None = None
    for file, form in [(f, _format(f, options)) for f in find(location, base, options, where)]:
        try:
            content, batches = while_read_ahead(file.digest, form.read(file, options, expected))
        except BadInput as error:
            failed = failed or error
            continue
        yield Delivery(content, file.name, batches)
    if failed:
        raise failed


def first(contract: Contract, base: Path, options: FileOptions, rows: int) -> Iterator[Delivery]:  # noqa: ARG001
    """As `deliveries`, for a look: a file is read as far as its rows are, not hashed, and not fetched.

    Raises:
        BadInput, Unavailable: as `deliveries`.
    """
    where = f"{contract.id}: onefold"
    location = _locations.read(contract.rules.location, f"{where}.location")
    expected = tuple(c.name for c in contract.columns)
    for file in _peeked(location, base, options, f"{where}.location", f"{where}.options"):
        yield Delivery(file.name, file.name, _format(file, options).read(file, options, expected))


def sample(text: str, base: Path, rows: int, options: FileOptions) -> tuple[pa.Table, dict[str, Any]]:
    """The first `rows` rows over the location's files, and what was found out about the first one.

    Raises:
        BadInput: no file there, or it cannot be read.
    """
    files = _peeked(_locations.read(text), base, options, "location", "options")
    found = _format(files[0], options).found(files[0], options)
    options = options.model_copy(update=found)
    tables: list[pa.Table] = []
    wanted = rows
    for batch in _batches(files, options):
        tables.append(batch.rows.slice(0, wanted))
        wanted -= tables[-1].num_rows
        if wanted <= 0:
            break
    return pa.concat_tables(tables, promote_options="permissive"), found


def _peeked(
    location: Location, base: Path, options: FileOptions, where: str, where_options: str
) -> Sequence[InputFile]:
    place = _remote.place(location, options.storage, options, where_options)
    if place is None:
        return find(location, base, options, where)
    return [place.peek(f, options.compression, options.max_unpacked_bytes) for f in place.files()]


def _elsewhere(
    place: _remote.Place, options: FileOptions, bookmark: Any, expected: tuple[str, ...]
) -> Iterator[Delivery]:
    files = place.files()
    seen = _remote.remembered((bookmark or {}).get("files", {}), files)
    failed: OnefoldError | None = None
    for remote in files:
        key = _remote.key_of(remote)
        if remote.version and seen.get(key) == remote.version:
            continue
        try:
            file = place.fetch(remote, options.compression, options.max_fetched_bytes)
            file = replace(file, most=options.max_unpacked_bytes)
            form = _format(file, options)
        except OnefoldError as error:
            failed = failed or error
            continue
        after = seen | {key: remote.version}
        yield Delivery(
            file.digest(), file.name, form.read(file, options, expected),
            bookmark=partial(_files, after), landed=partial(seen.update, {key: remote.version}),
        )  # fmt: skip
    if failed:
        raise failed


def _files(seen: dict[str, str]) -> dict[str, Any]:
    return {"files": seen}


def find(location: Location, base: Path, options: FileOptions, where: str) -> list[InputFile]:
    """The files of a path or glob, relative to `base`, sorted by name.

    Raises:
        BadInput: there is none; the message names the location.
    """
    value = location.value.removeprefix("file://")
    path = base / value
    if path.is_file():
        paths = [path]
    elif path.is_dir():
        raise BadInput(
            f"{where}: {location.text} is a folder; expected a file or a pattern such as {location.text}/*"
        )
    else:
        paths = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())  # noqa: PTH207
    if not paths:
        kind = "no file matches" if glob.has_magic(value) else "no such file:"
        raise BadInput(f"{where}: {kind} {location.text} (in {base.name or base})")
    most = options.max_unpacked_bytes
    return [InputFile(p, location.redact(_name(p, base)), options.compression, most) for p in paths]


def _batches(files: Sequence[InputFile], options: FileOptions) -> Iterator[Batch]:
    for file in files:
        yield from _format(file, options).read(file, options, ())


def _name(path: Path, base: Path) -> str:
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _format(file: InputFile, options: FileOptions) -> Format:
    known = formats.discover()
    if options.format is not None:
        if options.format not in known:
            raise file.bad(f"format {options.format!r} is unknown; known are {', '.join(sorted(known))}")
        return known[options.format]
    suffixes = [s.lower() for s in file.path.suffixes if s.lower() not in _COMPRESSED]
    extension = suffixes[-1].removeprefix(".") if suffixes else ""
    for form in known.values():
        if extension in form.extensions:
            return form
    raise file.bad(f"its format is not known by its name; set the option `format` to {', '.join(sorted(known))}")


CONNECTOR = Connector("files", FileOptions, ("", "file", *_remote.SCHEMES), deliveries, sample, first=first)
