"""The serving file: one immutable SQLite database, written once from frames that come in order, a few in memory.

The same frames and facts give the same bytes, so that publishing again what is current changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.publications import SERVING_FORMAT
from onefold_storage.survivors import survivors
from onefold_workers.publication.bodies import ranked
from onefold_workers.publication.frames import GoldFrames, numbered
from onefold_workers.publication.permission_codes import CodeBook
from onefold_workers.publication.share import KEPT, KEYS, PLACE, share_of
from onefold_workers.publication.survey import Survey, survey

Rows = Callable[[str, list[str]], Iterator[pl.DataFrame]]
"""Frames of a table, in the order of its key, with some of its columns."""

_TABLES = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE uses(use INTEGER PRIMARY KEY, data_use TEXT NOT NULL, channel TEXT NOT NULL);
CREATE TABLE reasons(code INTEGER PRIMARY KEY, reason TEXT NOT NULL);
CREATE TABLE customers(customer INTEGER PRIMARY KEY, golden_id TEXT NOT NULL, why BLOB NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE merged(golden_id TEXT PRIMARY KEY, survivor TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE identifiers(hash BLOB NOT NULL, customer INTEGER NOT NULL, PRIMARY KEY(hash, customer)) WITHOUT ROWID;
CREATE TABLE models(model INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, scored INTEGER NOT NULL);
CREATE TABLE scores(model INTEGER NOT NULL, rank INTEGER NOT NULL, customer INTEGER NOT NULL, score REAL NOT NULL,
  why BLOB NOT NULL, PRIMARY KEY(model, rank)) WITHOUT ROWID;
CREATE TABLE segments(segment INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL);
CREATE TABLE members(segment INTEGER NOT NULL, customer INTEGER NOT NULL,
  PRIMARY KEY(segment, customer)) WITHOUT ROWID;
CREATE TABLE interactions(customer INTEGER NOT NULL, block INTEGER NOT NULL, packed BLOB NOT NULL,
  PRIMARY KEY(customer, block)) WITHOUT ROWID;
CREATE VIRTUAL TABLE names USING fts5(name, content='', prefix='2 3', detail=none,
  tokenize="unicode61 remove_diacritics 2");
"""
_INDEXES = """
CREATE UNIQUE INDEX customers_golden_id ON customers(golden_id);
CREATE INDEX scores_customer ON scores(customer);
ANALYZE;
"""


def build(
    path: Path, gold: GoldFrames, facts: dict[str, Any], *, hashed: KeyedHash, interactions_kept: int = KEPT
) -> dict[str, int]:
    """Write the serving file of frames that fit in memory at `path` and return its counts.

    `facts` is kept as it is, for pages and `/v1/sources`, `/v1/models`; it must be JSON and hold no personal data.
    `hashed` is the installation's keyed hash: identifiers are found, and wishes matched, by it.

    Raises:
        BadInput: frames that lack columns, or permissions that cannot be encoded.
    """
    found = survey(gold.customers, gold.permissions, gold.segments, gold.scores, gold.offers)
    ids = numbered(gold.customers)
    final = replace(gold, scores=ranked(gold.scores.join(ids, on="golden_id", how="semi")))
    made: dict[str, list[pl.DataFrame]] = {table: [] for table in KEYS}
    for table, frame in share_of(final, ids, found, hashed=hashed, kept=interactions_kept):
        made[table].append(frame)
    known = gold.customers["golden_id"]
    merged = survivors(gold.history, known).filter(pl.col("survivor").is_in(known.implode()))
    return write(path, lambda table, _: iter(made[table]), found, merged, facts, hashed=hashed)


def write(
    path: Path, rows: Rows, found: Survey, merged: pl.DataFrame, facts: dict[str, Any], *, hashed: KeyedHash
) -> dict[str, int]:
    """Write the serving file at `path` and return its counts.

    `rows(table, columns)` gives the frames of a table of `share_of` for all customers, in the order of its key, with
    at least these columns; `merged`: `survivors(...)` that are customers.
    """
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.executescript(
            f"PRAGMA page_size=16384; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_TABLES} BEGIN;"
        )
        counts = {"customers": found.customers, "interactions": _bodies(file, rows)}
        counts |= _lookups(file, rows, merged)
        counts |= _lists(file, rows, found)
        meta = {
            "format": SERVING_FORMAT,
            "facts": facts,
            "counts": counts,
            "offered": dict(found.offered),
            "secret": hashed.of("installation", "onefold"),
        }
        _fill(file, "meta", ((k, orjson.dumps(v, option=orjson.OPT_SORT_KEYS).decode()) for k, v in meta.items()))
        file.execute("COMMIT")
        file.executescript(_INDEXES)
    return counts


def _bodies(file: sqlite3.Connection, rows: Rows) -> int:
    """Fill interactions and customers; gives how many interactions there are."""
    count = 0
    for frame in rows("interactions", ["customer", "block", "packed", "rows"]):
        _fill(file, "interactions", frame.select("customer", "block", "packed"))
        count += int(frame["rows"].sum())
    columns = ["customer", "golden_id", "why", "body"]
    for frame in rows("customers", columns):
        _fill(file, "customers", frame.select(columns))
    return count


def _lookups(file: sqlite3.Connection, rows: Rows, merged: pl.DataFrame) -> dict[str, int]:
    _fill(file, "merged", merged)
    identified = named = 0
    for frame in rows("identifiers", ["hash", "customer"]):
        _fill(file, "identifiers", frame.select("hash", "customer"))
        identified += frame.height
    for frame in rows("customers", ["customer", "name"]):
        names = frame.select("customer", "name").drop_nulls()
        file.executemany("INSERT INTO names(rowid, name) VALUES (?, ?)", names.iter_rows())
        named += names.height
    file.execute("INSERT INTO names(names) VALUES ('optimize')")
    return {"merged": merged.height, "identifiers": identified, "named": named}


def _lists(file: sqlite3.Connection, rows: Rows, found: Survey) -> dict[str, int]:
    book, models, segments = CodeBook.of(found.uses, found.reasons), found.models(), found.segments()
    _fill(file, "uses", ((place, *use) for place, use in enumerate(book.uses)))
    _fill(file, "reasons", iter(book.reasons.items()))
    _fill(file, "models", ((n, name, version, found.scored[name]) for name, (n, version) in models.items()))
    place = pl.col("place")
    for frame in rows("scores", ["place", "customer", "score", "why"]):
        _fill(
            file,
            "scores",
            frame.select(
                (place // PLACE).alias("model"), (place % PLACE).alias("rank"), "customer", "score", "why"
            ),
        )
    _fill(file, "segments", ((n, name, found.members[name]) for name, n in segments.items()))
    for frame in rows("members", ["place", "customer"]):
        _fill(file, "members", frame.select(place // PLACE, "customer"))
    return {
        "scores": found.scored.total(),
        "models": len(models),
        "segments": len(segments),
        "uses": len(book.uses),
    }


def _fill(file: sqlite3.Connection, table: str, rows: pl.DataFrame | Iterator[tuple[Any, ...]]) -> None:
    width = len(file.execute(f"SELECT * FROM {table} LIMIT 0").description)  # noqa: S608 - names are constants
    places = ", ".join("?" * width)
    values = rows.iter_rows() if isinstance(rows, pl.DataFrame) else rows
    file.executemany(f"INSERT INTO {table} VALUES ({places})", values)  # noqa: S608
