"""A partition of customers as rows of the serving file: what a worker makes, and the client only puts in order.

Each table comes as frames that ascend by its key, so that those of several partitions are merged as they are read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import polars as pl

from onefold_storage.keyed_hash import KeyedHash
from onefold_workers.publication.bodies import interaction_blocks, profiles
from onefold_workers.publication.frames import GoldFrames, identifiers
from onefold_workers.publication.permission_codes import CodeBook, PermissionCodes, encode
from onefold_workers.publication.survey import Survey

KEYS: dict[str, tuple[str, ...]] = {
    "interactions": ("customer", "block"),
    "customers": ("customer",),
    "identifiers": ("hash", "customer"),
    "scores": ("place",),
    "members": ("place",),
}
"""The tables that are made by partition, each with the columns that it ascends by."""
PLACE = 1 << 40
"""A score's place is the model's number times this and its rank, a member's the segment's number and the customer."""
KEPT = 200
"""Interactions of a customer that are published, the newest."""
CHUNK = 10_000
"""Customers whose texts are in memory at a time."""


def share_of(
    gold: GoldFrames, ids: pl.DataFrame, found: Survey, *, hashed: KeyedHash, kept: int = KEPT
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Frames by the name of their table, for the customers in `ids` (golden_id, customer).

    `gold`: these customers' rows, and where they live with others the whole household; `rank` of the scores is final
    (`ranked`). `found`: the survey of all customers.

    interactions: customer, block, packed, rows; customers: customer, golden_id, why, body, name (null where there is
    none); identifiers: hash, customer; scores: place, customer, score, why; members: place, customer.

    Raises:
        BadInput: permissions that cannot be encoded.
    """
    ids = ids.sort("customer")
    permission = encode(gold.permissions, ids, CodeBook.of(found.uses, found.reasons))
    for part in ids.iter_slices(CHUNK):
        piece = _of(gold, part)
        blocks, seen = interaction_blocks(piece, part, kept)
        yield "interactions", _packed(blocks)
        yield "customers", _customers(piece, part, permission, seen)
    yield "identifiers", _identifiers(gold, ids, hashed)
    numbers = {model: number for model, (number, _) in found.models().items()}
    scores = gold.scores.join(ids, on="golden_id").join(permission.codes, on="customer")
    scores = scores.with_columns(place=_place("model", numbers) + pl.col("rank"))
    yield "scores", scores.select("place", "customer", "score", "why").sort("place")
    members = gold.segments.select("golden_id", "segment").unique().join(ids, on="golden_id")
    members = members.with_columns(place=_place("segment", found.segments()) + pl.col("customer"))
    yield "members", members.select("place", "customer").sort("place")


def _of(gold: GoldFrames, part: pl.DataFrame) -> GoldFrames:
    """What is told of some customers; consents and items as they are."""
    chosen = part.select("golden_id")

    def mine(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(chosen, on="golden_id", how="semi")

    return GoldFrames(
        customers=mine(gold.customers),
        permissions=gold.permissions.clear(),
        links=mine(gold.links),
        traits=mine(gold.traits),
        segments=mine(gold.segments),
        scores=mine(gold.scores),
        offers=mine(gold.offers),
        consents=gold.consents,
        items=gold.items,
        households=gold.households.join(mine(gold.households), on="household_id", how="semi"),
        interactions=gold.interactions,
    )


def _customers(
    piece: GoldFrames, part: pl.DataFrame, permission: PermissionCodes, seen: pl.DataFrame
) -> pl.DataFrame:
    grid = permission.grid.join(part.select("golden_id"), on="golden_id", how="semi")
    bodies = profiles(piece, part, grid, piece.scores, seen)
    words = ("given_name", "middle_name", "family_name", "full_name", "organisation")
    name = pl.concat_str(words, separator=" ", ignore_nulls=True)
    names = piece.customers.select("golden_id", name=pl.when(name.str.strip_chars() != "").then(name))
    rows = part.join(bodies, on="golden_id").join(permission.codes, on="customer").join(names, on="golden_id")
    return rows.sort("customer").select("customer", "golden_id", "why", "body", "name")


def _packed(blocks: pl.DataFrame) -> pl.DataFrame:
    packed = [zlib.compress(body.encode(), 1) for body in blocks["body"]]
    return blocks.select("customer", "block", pl.Series("packed", packed, dtype=pl.Binary), "rows")


def _identifiers(gold: GoldFrames, ids: pl.DataFrame, hashed: KeyedHash) -> pl.DataFrame:
    known = identifiers(gold).join(ids, on="golden_id")
    pairs = zip(known["kind"].to_list(), known["value"].to_list(), strict=True)
    hashes = [bytes.fromhex(hashed.of(kind, value)) for kind, value in pairs]
    return known.select(pl.Series("hash", hashes, dtype=pl.Binary), "customer").unique().sort("hash", "customer")


def _place(column: str, numbers: dict[str, int]) -> pl.Expr:
    number = pl.col(column).replace_strict(numbers, return_dtype=pl.Int64) if numbers else pl.lit(0, pl.Int64)
    return number * PLACE
