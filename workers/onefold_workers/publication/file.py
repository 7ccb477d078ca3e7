"""The serving file: one immutable SQLite database, written once, column-wise from frames.

The same frames and facts give the same bytes, so that publishing again what is current changes nothing.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.publications import SERVING_FORMAT
from onefold_storage.survivors import survivors
from onefold_workers.publication.bodies import interaction_blocks, profiles, ranked
from onefold_workers.publication.frames import GoldFrames, identifiers, numbered
from onefold_workers.publication.permission_codes import PermissionCodes, encode

CHUNK = 50_000
"""Customers whose texts are in memory at a time."""

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
    path: Path, gold: GoldFrames, facts: dict[str, Any], *, hashed: KeyedHash, interactions_kept: int = 200
) -> dict[str, int]:
    """Write the serving file at `path` and return its counts.

    `facts` is kept as it is, for pages and `/v1/sources`, `/v1/models`; it must be JSON and hold no personal data.
    `hashed` is the installation's keyed hash: identifiers are found, and wishes matched, by it.

    Raises:
        BadInput: frames that lack columns, or permissions that cannot be encoded.
    """
    path.unlink(missing_ok=True)
    ids = numbered(gold.customers)
    permission = encode(gold.permissions, ids)
    scores = ranked(gold.scores.join(ids, on="golden_id", how="inner"))
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.executescript(
            f"PRAGMA page_size=16384; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_TABLES} BEGIN;"
        )
        counts = {
            "customers": ids.height,
            "interactions": _interactions_and_profiles(file, gold, ids, permission, scores, interactions_kept),
        }
        counts |= _lookups(file, gold, ids, hashed)
        counts |= _lists(file, gold, ids, permission, scores)
        offers = (
            gold.offers.join(ids, on="golden_id", how="semi").group_by("model").agg(pl.col("golden_id").n_unique())
        )
        meta = {
            "format": SERVING_FORMAT,
            "facts": facts,
            "counts": counts,
            "offered": dict(offers.iter_rows()),
            "secret": hashed.of("installation", "onefold"),
        }
        _fill(file, "meta", ((k, orjson.dumps(v, option=orjson.OPT_SORT_KEYS).decode()) for k, v in meta.items()))
        file.execute("COMMIT")
        file.executescript(_INDEXES)
    return counts


def _interactions_and_profiles(
    file: sqlite3.Connection,
    gold: GoldFrames,
    ids: pl.DataFrame,
    permission: PermissionCodes,
    scores: pl.DataFrame,
    kept: int,
) -> int:
    blocks, seen = interaction_blocks(gold, ids, kept)
    packed = ((customer, block, zlib.compress(body.encode(), 1)) for customer, block, body in blocks.iter_rows())
    _fill(file, "interactions", packed)
    why = permission.codes
    for part in ids.iter_slices(CHUNK):
        chosen = part.select("golden_id")

        def mine(frame: pl.DataFrame, chosen: pl.DataFrame = chosen) -> pl.DataFrame:
            return frame.join(chosen, on="golden_id", how="semi")

        piece = GoldFrames(
            customers=mine(gold.customers),
            permissions=gold.permissions.clear(),
            links=mine(gold.links),
            traits=mine(gold.traits),
            segments=mine(gold.segments),
            offers=mine(gold.offers),
            consents=gold.consents,
            households=gold.households.join(mine(gold.households), on="household_id", how="semi"),
        )
        bodies = profiles(piece, part, mine(permission.grid), mine(scores), mine(seen))
        rows = part.join(bodies, on="golden_id").join(why, on="customer").sort("customer")
        _fill(file, "customers", rows.select("customer", "golden_id", "why", "body"))
    return int(seen["kept"].sum())


def _lookups(file: sqlite3.Connection, gold: GoldFrames, ids: pl.DataFrame, hashed: KeyedHash) -> dict[str, int]:
    known = gold.customers["golden_id"]
    merged = survivors(gold.history, known).filter(pl.col("survivor").is_in(known.implode()))
    _fill(file, "merged", merged)
    found = identifiers(gold).join(ids, on="golden_id")
    pairs = zip(found["kind"].to_list(), found["value"].to_list(), strict=True)
    hashes = [bytes.fromhex(hashed.of(kind, value)) for kind, value in pairs]
    index = found.select(pl.Series("hash", hashes, dtype=pl.Binary), "customer").unique().sort("hash", "customer")
    _fill(file, "identifiers", index)
    parts = ("given_name", "middle_name", "family_name", "full_name", "organisation")
    names = gold.customers.select("golden_id", name=pl.concat_str(parts, separator=" ", ignore_nulls=True))
    names = names.filter(pl.col("name").str.strip_chars() != "").join(ids, on="golden_id").sort("customer")
    file.executemany("INSERT INTO names(rowid, name) VALUES (?, ?)", names.select("customer", "name").iter_rows())
    file.execute("INSERT INTO names(names) VALUES ('optimize')")
    return {"merged": merged.height, "identifiers": index.height, "named": names.height}


def _lists(
    file: sqlite3.Connection, gold: GoldFrames, ids: pl.DataFrame, permission: PermissionCodes, scores: pl.DataFrame
) -> dict[str, int]:
    _fill(file, "uses", permission.uses.select("use", "data_use", "channel"))
    _fill(file, "reasons", iter(permission.reasons.items()))
    models = (
        scores.group_by("model")
        .agg(pl.col("model_version").max(), scored=pl.len())
        .sort("model")
        .with_row_index("number")
    )
    _fill(file, "models", models.select("number", "model", "model_version", "scored"))
    numbers = models.select("model", "number")
    rows = scores.join(numbers, on="model").join(permission.codes, on="customer").sort("number", "rank")
    _fill(file, "scores", rows.select("number", "rank", "customer", "score", "why"))
    members = gold.segments.select("golden_id", "segment").unique().join(ids, on="golden_id")
    sizes = members.group_by("segment").agg(size=pl.len()).sort("segment").with_row_index("number")
    _fill(file, "segments", sizes.select("number", "segment", "size"))
    belongs = members.join(sizes, on="segment").select("number", "customer").sort("number", "customer")
    _fill(file, "members", belongs)
    return {
        "scores": scores.height,
        "models": models.height,
        "segments": sizes.height,
        "uses": permission.uses.height,
    }


def _fill(file: sqlite3.Connection, table: str, rows: pl.DataFrame | Iterator[tuple[Any, ...]]) -> None:
    width = len(file.execute(f"SELECT * FROM {table} LIMIT 0").description)  # noqa: S608 - names are constants
    places = ", ".join("?" * width)
    values = rows.iter_rows() if isinstance(rows, pl.DataFrame) else rows
    file.executemany(f"INSERT INTO {table} VALUES ({places})", values)  # noqa: S608
