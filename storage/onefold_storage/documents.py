"""Unstructured objects, each stored once by its content, and which rows name them.

The key of an object is made of its SHA-256 alone, so that it says nothing about a person; everything known about it
stands in rows, which name it by that key. An object is there before its row is. Whoever takes objects away
(`sweep_documents`, `document_erasing.py`) holds the landing lock of every source, so that no object goes whose row is on
its way: a landing that finds an object there may rely on it until it has committed.

Which sources ever stored one is noted beside the objects, so that only their tables are looked through, with how many
bytes each brought that were not there: what storage grows by.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock

import polars as pl
import pyarrow.parquet as pq

from onefold_storage.clock import SystemClock
from onefold_storage.deliveries import Document
from onefold_storage.errors import BadInput, Conflict
from onefold_storage.lake import Lake
from onefold_storage.objects import Entry, Objects
from onefold_storage.rewriting import Gone
from onefold_storage.schema import DOCUMENTS, FAILED_EVENTS

ROOT = "documents"
_SOURCES = f"{ROOT}/sources"
_KEY = re.compile(rf"{ROOT}/[0-9a-f]{{2}}/[0-9a-f]{{64}}")
_CHUNK = 4 << 20
_counting = Lock()


def key_of(sha256: str) -> str:
    """The key of an object by its content."""
    return f"{ROOT}/{sha256[:2]}/{sha256}"


def keep(lake: Lake, source: str, documents: Sequence[Document]) -> None:
    """Store what is not there yet; all of it is durable when this returns. Hold the source's landing lock.

    Raises:
        BadInput: an object is not what its hash says, because its file changed while it was read.
    """
    if not documents:
        return
    objects, note = lake.objects, f"{_SOURCES}/{source}"
    if objects.size(note) is None:
        with _counting, lake.lock(ROOT):
            if objects.size(note) is None:
                objects.put(note, b"0\n")
    fresh = 0
    for document in {d.sha256: d for d in documents}.values():
        key = key_of(document.sha256)
        if objects.size(key) != document.size:
            objects.put_stream(key, _checked(document))
            fresh += document.size
    if fresh:
        with _counting:  # batches of one package are kept side by side
            objects.put(note, b"%d\n" % (brought(objects, source) + fresh))


def brought(objects: Objects, source: str) -> int:
    """Bytes of objects that a source brought first; those of a landing that was killed may be missing."""
    noted = (objects.get(f"{_SOURCES}/{source}") or b"").strip()
    return int(noted) if noted.isdigit() else 0


def _checked(document: Document) -> Iterator[bytes]:
    digest = hashlib.sha256()
    with document.read() as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            yield bytes(chunk)
    if digest.hexdigest() != document.sha256:
        where = f"row {document.row_id + 1}: the object {document.sha256[:12]}"
        raise BadInput(f"{where} changed while it was read; wait until its file is complete and land it again")


def stored(objects: Objects) -> dict[str, Entry]:
    """Every whole object that is there, by key."""
    return {k: e for k, e in objects.entries(ROOT).items() if _KEY.fullmatch(k)}


def sources(objects: Objects) -> list[str]:
    """Sources that ever stored an object."""
    return [k.rsplit("/", 1)[1] for k in objects.keys(_SOURCES)]


@dataclass(frozen=True)
class Named:
    """Keys of objects by who names them: rows that go, and all others."""

    going: frozenset[str]
    staying: frozenset[str]


def named(lake: Lake, table: str, gone: Gone | None = None, within: str | None = None) -> Named:
    """The objects that a table's rows name, in any text column. `gone`: rows that go; `within`: one source's."""
    going: set[str] = set()
    staying: set[str] = set()
    if not lake.exists(table):
        return Named(frozenset(), frozenset())
    for path, partition in lake.standing(table):
        if within is not None and partition.get("source") != within:
            continue
        constants = [pl.lit(v, pl.String).alias(k) for k, v in partition.items()]
        with lake.objects.open(f"{table}/{path}") as file:
            parquet = pq.ParquetFile(file)
            for number in range(parquet.num_row_groups):
                rows = pl.DataFrame(pl.from_arrow(parquet.read_row_group(number))).with_columns(constants)
                mask = (
                    gone(rows).fill_null(value=False)
                    if gone
                    else pl.Series([False] * rows.height, dtype=pl.Boolean)
                )
                going |= _keys(rows.filter(mask))
                staying |= _keys(rows.filter(~mask))
    return Named(frozenset(going), frozenset(staying))


def _keys(rows: pl.DataFrame) -> set[str]:
    found: set[str] = set()
    for column in rows.select(pl.col(pl.String)) if rows.height else ():
        hits = column.drop_nulls().str.extract_all(_KEY.pattern).explode()
        found |= set(hits.drop_nulls().unique().to_list())
    for column in rows.select(pl.col(pl.Binary)) if rows.height else ():
        for raw in column.drop_nulls():
            found |= {k.decode() for k in re.findall(_KEY.pattern.encode(), raw)}
    return found


def standing(lake: Lake) -> frozenset[str]:
    """Every object that a row names: in bronze, among failed events, in silver."""
    found: set[str] = set(named(lake, DOCUMENTS.name).staying)
    for source in sources(lake.objects):
        found |= named(lake, f"bronze/{source}").staying | named(lake, FAILED_EVENTS.name, within=source).staying
    return frozenset(found)


@contextmanager
def nobody_lands(lake: Lake, patience: float) -> Iterator[None]:
    """Hold the landing lock of every source that ever stored an object; no other begins to meanwhile.

    Raises:
        Conflict: one of them was landing all that time.
    """
    with ExitStack() as held:
        held.enter_context(lake.lock(ROOT, patience))
        for source in sources(lake.objects):
            held.enter_context(lake.lock(f"land:{source}", patience))
        yield


@dataclass(frozen=True)
class SweptDocuments:
    """Objects that went with their bytes; `busy` where a source was landing, so that none did."""

    objects: int = 0
    size: int = 0
    busy: bool = False


def sweep_documents(
    lake: Lake, retention: timedelta, *, dry_run: bool = False, patience: float = 20.0
) -> SweptDocuments:
    """Remove objects older than `retention` that no row names: of landings that were cut off, or rows that went.

    What lands meanwhile goes on, unless there is something to remove.
    """
    before = SystemClock().now() - retention
    old = {k: e for k, e in stored(lake.objects).items() if e.modified < before}
    if not old or not old.keys() - standing(lake):
        return SweptDocuments()
    with suppress(Conflict), nobody_lands(lake, patience):
        orphans = {k: e.size for k, e in old.items() if k not in standing(lake)}
        if not dry_run:
            lake.objects.delete_all(sorted(orphans))
        return SweptDocuments(len(orphans), sum(orphans.values()))
    return SweptDocuments(busy=True)
