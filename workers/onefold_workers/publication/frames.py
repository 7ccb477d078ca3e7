"""What a publication is made of: the frames, and the few that are derived from them.

All frames have the columns of their table in `onefold_storage.schema`; further columns are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from onefold_storage.errors import BadInput
from onefold_storage.schema import (
    CONSENTS,
    CUSTOMERS,
    HISTORY,
    HOUSEHOLDS,
    INTERACTIONS,
    ITEMS,
    LINKS,
    OFFERS,
    PERMISSIONS,
    SCORES,
    SEGMENTS,
    TRAITS,
    Table,
)


def _empty(table: Table) -> pl.DataFrame:
    return pl.DataFrame(schema=pl.Schema(table.arrow))


@dataclass(frozen=True)
class GoldFrames:
    """The customers, what is known of them and what may be done with it.

    `links` and `households`: those that hold now (or all: rows with `valid_to` are left out). `history`:
    identity/history, for the survivors of merged IDs. `consents`, `interactions` and `items` are silver's rows in
    their latest version, without deleted ones; `interactions` may be lazy, as it is the one that can be large.
    """

    customers: pl.DataFrame
    permissions: pl.DataFrame
    links: pl.DataFrame
    history: pl.DataFrame = field(default_factory=lambda: _empty(HISTORY))
    traits: pl.DataFrame = field(default_factory=lambda: _empty(TRAITS))
    segments: pl.DataFrame = field(default_factory=lambda: _empty(SEGMENTS))
    scores: pl.DataFrame = field(default_factory=lambda: _empty(SCORES))
    offers: pl.DataFrame = field(default_factory=lambda: _empty(OFFERS))
    consents: pl.DataFrame = field(default_factory=lambda: _empty(CONSENTS))
    items: pl.DataFrame = field(default_factory=lambda: _empty(ITEMS))
    households: pl.DataFrame = field(default_factory=lambda: _empty(HOUSEHOLDS))
    interactions: pl.DataFrame | pl.LazyFrame = field(default_factory=lambda: _empty(INTERACTIONS))

    def __post_init__(self) -> None:
        shapes = {
            "customers": CUSTOMERS,
            "permissions": PERMISSIONS,
            "links": LINKS,
            "history": HISTORY,
            "traits": TRAITS,
            "segments": SEGMENTS,
            "scores": SCORES,
            "offers": OFFERS,
            "consents": CONSENTS,
            "items": ITEMS,
            "households": HOUSEHOLDS,
            "interactions": INTERACTIONS,
        }
        for name, table in shapes.items():
            present = set(getattr(self, name).lazy().collect_schema().names())
            missing = [c.name for c in table.columns if c.name not in present]
            if missing:
                raise BadInput(
                    f"gold frame `{name}`: expected the columns of {table.name}, lacks {', '.join(missing)}"
                )

    def current_links(self) -> pl.DataFrame:
        """record_key, golden_id: the links that hold now."""
        return self.links.filter(pl.col("valid_to").is_null()).select("record_key", "golden_id")


def numbered(customers: pl.DataFrame) -> pl.DataFrame:
    """golden_id, customer (int, from 1): those seen last come first: so does a search."""
    return (
        customers.select("golden_id", "last_seen")
        .sort("last_seen", "golden_id", descending=[True, False], nulls_last=True)
        .select("golden_id", customer=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    )


def identifiers(gold: GoldFrames) -> pl.DataFrame:
    """kind, value, golden_id: everything a customer can be found or spoken for by, once each.

    `kind` is record, email, phone, or the scheme of an external ID.
    """
    customers = gold.customers
    shape = ("kind", "value", "golden_id")
    frames = [
        gold.current_links().select(
            pl.lit("record").alias("kind"), pl.col("record_key").alias("value"), "golden_id"
        )
    ]
    for kind, many, one in (("email", "emails", "email"), ("phone", "phones", "phone")):
        listed = customers.select("golden_id", pl.col(many).alias("value")).explode("value")
        frames += [
            f.select(pl.lit(kind).alias("kind"), "value", "golden_id")
            for f in (listed, customers.select("golden_id", pl.col(one).alias("value")))
        ]
    ids = customers.select("golden_id", "external_ids").explode("external_ids").drop_nulls("external_ids")
    frames.append(ids.unnest("external_ids").select(pl.col("scheme").alias("kind"), "value", "golden_id"))
    known = customers.select("golden_id")
    return (
        pl.concat([f.select(shape) for f in frames]).drop_nulls().unique().join(known, on="golden_id", how="semi")
    )
