"""A serving file of before, closed by today's permissions: what may not be done now is not done from it either.

Nothing is opened: contact is allowed where the file allows it and today's permissions do too, by the contact points
that both name. A customer of the file is whoever holds its records today (the stricter of several, after a split), or
its golden ID's survivor; one whom nobody stands for any more may not be contacted.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import polars as pl

from onefold_storage.errors import Conflict
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.publications import SERVING_FORMAT
from onefold_storage.survivors import survivors
from onefold_workers.publication.bodies import MAY_CONTACT, listed
from onefold_workers.publication.frames import GoldFrames
from onefold_workers.publication.permission_codes import NOT_STATED, CodeBook, encode
from onefold_workers.publication.share import CHUNK

_BEFORE, _BEHIND = ',"may_contact":', ',"interactions":'
"""Where the permissions stand in a body (`bodies.py`): at the last of each, as quotes inside of values are escaped."""
_CELL = ["data_use", "channel"]
_POINTS = pl.List(pl.String)
_ROW = pl.Struct(dict.fromkeys(MAY_CONTACT, pl.String) | {"allowed": pl.Boolean, "contact_points": _POINTS})


def close(path: Path, gold: GoldFrames, hashed: KeyedHash) -> int:
    """Close the serving file at `path` in place; gives how many customers have fewer permissions than it said.

    `gold`: today's customers, permissions, links and history. `hashed`: the installation's keyed hash.

    Raises:
        Conflict: the file has another layout, or was built with another secret.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        _require(file, hashed)
        ids = _frame(file, "SELECT golden_id, customer FROM customers ORDER BY customer", customer=pl.Int64)
        now = _now(gold, _owners(file, ids, gold, hashed), _frame(file, "SELECT data_use, channel FROM uses"))
        left = pl.concat([_stricter(_said(_bodies(file, part)), now) for part in ids.iter_slices(CHUNK)])
        closed_for = left.filter(~pl.col("allowed"))["reason"].drop_nulls().unique()
        book = CodeBook.of(left.select(_CELL).unique().iter_rows(), closed_for)
        encoded = encode(left, ids, book)
        file.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-262144")
        file.execute("BEGIN")
        file.execute("DELETE FROM reasons")
        file.executemany("INSERT INTO reasons VALUES (?, ?)", book.reasons.items())
        codes = encoded.codes.select("why", "customer").iter_rows()
        file.executemany("UPDATE customers SET why = ? WHERE customer = ?", codes)  # all: reasons have new numbers
        file.execute(
            "UPDATE scores SET why = (SELECT c.why FROM customers AS c WHERE c.customer = scores.customer)"
        )
        closed = sum(_rewritten(file, part, encoded.grid) for part in ids.iter_slices(CHUNK))
        file.execute("COMMIT")
    return closed


def _rewritten(file: sqlite3.Connection, part: pl.DataFrame, grid: pl.DataFrame) -> int:
    """Put what is left of the permissions into the bodies of some customers; gives how many have changed."""
    mine = grid.join(part.select("golden_id"), on="golden_id", how="semi")
    rows = _bodies(file, part).join(listed(mine, list(MAY_CONTACT), ["use"]), on="golden_id")
    new = rows.with_columns(new=pl.concat_str("head", "text", "tail"))
    changed = new.filter(pl.col("new") != pl.col("body")).sort("customer")
    file.executemany(
        "UPDATE customers SET body = ? WHERE customer = ?", changed.select("new", "customer").iter_rows()
    )
    return changed.height


def _bodies(file: sqlite3.Connection, part: pl.DataFrame) -> pl.DataFrame:
    """Bodies of some customers, cut where the permissions stand: customer, golden_id, body, head, said, tail."""
    first, last = int(part["customer"][0]), int(part["customer"][-1])
    sql = f"SELECT customer, golden_id, body FROM customers WHERE customer BETWEEN {first} AND {last}"  # noqa: S608
    body, rest, tail = pl.col("body"), pl.col("_rest"), pl.col("tail")
    return (
        _frame(file, sql, customer=pl.Int64)
        .with_columns(body.str.split(_BEFORE).list.last().alias("_rest"))
        .with_columns(head=body.str.strip_suffix(rest), tail=pl.lit(_BEHIND) + rest.str.split(_BEHIND).list.last())
        .with_columns(said=rest.str.strip_suffix(tail))
        .drop("_rest")
    )


def _said(bodies: pl.DataFrame) -> pl.DataFrame:
    """The permissions that bodies tell: customer and the columns of PERMISSIONS."""
    told = bodies.select("customer", "golden_id", pl.col("said").str.json_decode(pl.List(_ROW)))
    return told.explode("said").drop_nulls("said").unnest("said")


def _require(file: sqlite3.Connection, hashed: KeyedHash) -> None:
    meta = {name: orjson.loads(value) for name, value in file.execute("SELECT name, value FROM meta")}
    if meta.get("format") != SERVING_FORMAT:
        raise Conflict(
            f"this publication has layout {meta.get('format')}, this release serves {SERVING_FORMAT}: it cannot be "
            "served again; publish anew"
        )
    if meta.get("secret") != hashed.of("installation", "onefold"):
        raise Conflict("this publication was built with another installation's secret; publish anew")


def _frame(file: sqlite3.Connection, sql: str, **types: pl.DataType | type[pl.DataType]) -> pl.DataFrame:
    cursor = file.execute(sql)
    names = [c[0] for c in cursor.description]
    return pl.DataFrame(cursor.fetchall(), schema={n: types.get(n, pl.String) for n in names}, orient="row")


def _owners(file: sqlite3.Connection, ids: pl.DataFrame, gold: GoldFrames, hashed: KeyedHash) -> pl.DataFrame:
    """Who stands today for each customer of the file: customer, golden_id (null where nobody does)."""
    links = gold.current_links()
    hashes = [bytes.fromhex(hashed.of("record", key)) for key in links["record_key"].to_list()]
    known = _frame(file, "SELECT hash, customer FROM identifiers", hash=pl.Binary, customer=pl.Int64)
    by_record = known.join(links.with_columns(pl.Series("hash", hashes, dtype=pl.Binary)), on="hash")
    merged = survivors(gold.history, gold.customers["golden_id"])
    itself = gold.customers.select("golden_id", survivor="golden_id")
    by_id = ids.join(pl.concat([merged, itself]), on="golden_id")
    pairs = pl.concat(
        [by_record.select("customer", "golden_id"), by_id.select("customer", golden_id="survivor")]
    ).unique()
    return ids.select("customer").join(pairs, on="customer", how="left")


def _now(gold: GoldFrames, owners: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """Today's permission of each customer of the file: the strictest of those who stand for it."""
    permissions = gold.permissions.select("golden_id", *_CELL, "allowed", "reason", "contact_points")
    every = owners.join(cells, how="cross").join(permissions, on=["golden_id", *_CELL], how="left")
    return (
        every.with_columns(pl.col("allowed").fill_null(False), pl.col("reason").fill_null(NOT_STATED))
        .sort("allowed", "reason")
        .group_by("customer", *_CELL, maintain_order=True)
        .agg(
            pl.col("allowed").all().alias("still"),
            pl.col("reason").first().alias("why_not"),
            pl.col("contact_points").explode().drop_nulls().unique().alias("known"),
        )
    )


def _stricter(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """What is left of the permissions of then: columns of PERMISSIONS."""
    both = then.join(now, on=["customer", *_CELL], how="left")
    aimed, was = pl.col("contact_points").is_not_null(), pl.col("allowed").fill_null(False)
    common = pl.col("contact_points").list.set_intersection("known").list.sort()
    reached = ~aimed | (common.list.len() > 0)
    still = pl.col("still").fill_null(False)
    reason = (
        pl.when(was & ~still)
        .then(pl.col("why_not"))
        .when(was & ~reached)
        .then(pl.lit("no_consent"))
        .otherwise("reason")
    )
    allowed = was & still & reached
    points = pl.when(aimed).then(pl.when(allowed).then(common).otherwise(pl.lit([], dtype=_POINTS)))
    return both.select("golden_id", *_CELL, "lawful_basis", allowed=allowed, reason=reason, contact_points=points)
