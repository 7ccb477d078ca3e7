"""Looks for a person in every object of the lake, decoded: compressed bytes hide what a plain search would find.

Parquet is read column by column, JSON and text as they are, SQLite table by table. A value is a hit where it
holds one of the person's terms (`terms.py`).
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onefold_storage.documents import ROOT
from onefold_storage.objects import Objects
from onefold_storage.terms import SEPARATORS, Terms, any_of

UNFINISHED = "erasing"
"""Below it stands whom an erasure that has not ended is about."""
_HEAD = 1 << 20
"""Bytes looked at of a document, which may be a film: what stays of these belongs to others, or to nobody."""
_SQLITE = b"SQLite format 3\0"


def rescan(objects: Objects, terms: Terms) -> tuple[int, list[str]]:
    """How many objects there are, and those that hold the person still, as `withheld` tells them."""
    keys = looked_at(objects)
    return len(keys), withheld(terms, holding(objects, terms, keys))


def looked_at(objects: Objects) -> list[str]:
    """The keys of all objects but those that say whom an erasure is about, which go when it ends."""
    return [k for k in objects.keys("", unfinished=True) if not k.startswith(f"{UNFINISHED}/")]


def holding(objects: Objects, terms: Terms, keys: list[str]) -> list[str]:
    """Which of these objects hold one of the terms, in their key or inside."""
    if not terms.words and not terms.phones:
        return []
    return [k for k in keys if terms.found_in(k) or any(map(terms.found_in, texts(objects, k, terms)))]


def withheld(terms: Terms, keys: list[str]) -> list[str]:
    """Keys that can be told: one that itself holds an identifier is withheld."""
    return ["(a key that holds an identifier)" if terms.found_in(k) else k for k in keys]


def texts(objects: Objects, key: str, terms: Terms) -> Iterator[str]:
    """The values of an object as text: of a Parquet file, only those that may hold one of the terms."""
    data = objects.head(key, _HEAD) if key.startswith(f"{ROOT}/") else objects.get(key)
    if data is None:  # removed by another process meanwhile
        return
    if data[:4] == b"PAR1" and data[-4:] == b"PAR1":
        yield from _parquet(data, terms)
    elif data.startswith(_SQLITE):
        yield from _sqlite(data)
    else:
        yield from _bytes(data)


def _parquet(data: bytes, terms: Terms) -> Iterator[str]:
    file = pq.ParquetFile(pa.BufferReader(data))
    for name, value in (file.metadata.metadata or {}).items():
        yield f"{name.decode('utf-8', 'replace')} {value.decode('utf-8', 'replace')}"
    tails = any_of("{}", terms.phones)
    wanted = "|".join(re.escape(w) for w in sorted(terms.words))
    for batch in file.iter_batches(65_536):
        for column in batch.columns:
            for values in _leaves(column):
                if pa.types.is_binary(values.type):
                    for value in values.drop_null().to_pylist():
                        yield from _bytes(value)
                    continue
                text = values.cast(pa.string()).drop_null()
                hits = pc.match_substring_regex(text, wanted, ignore_case=True) if wanted else None
                if tails:
                    bare = pc.replace_substring_regex(text, pattern=SEPARATORS, replacement="")
                    digits = pc.match_substring_regex(bare, tails.pattern)
                    hits = digits if hits is None else pc.or_(hits, digits)
                yield from text.filter(hits).to_pylist() if hits is not None else ()


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    """The flat arrays of a column that can hold an identifier: text, bytes, whole numbers."""
    kind = values.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        yield from _leaves(values.flatten() if not pa.types.is_map(kind) else pa.array(values.keys))
        if pa.types.is_map(kind):
            yield from _leaves(pa.array(values.items))
    elif pa.types.is_struct(kind):
        for part in values.flatten():
            yield from _leaves(part)
    elif pa.types.is_dictionary(kind):
        yield from _leaves(values.dictionary)
    elif pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        yield values.cast(pa.binary())
    elif pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_integer(kind):
        yield values.cast(pa.string())
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        yield values


def _sqlite(data: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(suffix=".sqlite") as copy:
        copy.write(data)
        copy.flush()
        database = sqlite3.connect(f"file:{copy.name}?mode=ro&immutable=1", uri=True)
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                quoted = str(table).replace('"', '""')
                for row in database.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - the file's own names
                    for value in row:
                        if isinstance(value, bytes):
                            yield from _bytes(value)
                        elif value is not None:
                            yield str(value)
        finally:
            database.close()


def _bytes(data: bytes) -> Iterator[str]:
    yield data.decode("utf-8", "replace")
    for bits in (15, 31, -15):  # zlib, gzip, raw deflate
        try:
            yield zlib.decompressobj(bits).decompress(data).decode("utf-8", "replace")
            return
        except zlib.error:
            continue
