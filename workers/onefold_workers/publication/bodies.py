"""What the API answers with, as JSON text per customer, made column-wise by Polars.

Money stays decimal: amounts are JSON strings.
"""

from __future__ import annotations

import polars as pl

from onefold_storage.publications import INTERACTION_BLOCK
from onefold_storage.schema import PERSON
from onefold_workers.publication.frames import GoldFrames, identifiers

MAY_CONTACT = ("data_use", "channel", "allowed", "lawful_basis", "reason", "contact_points")
"""Columns of the permissions that a customer's body tells, in this order."""


def profiles(
    gold: GoldFrames, ids: pl.DataFrame, grid: pl.DataFrame, scores: pl.DataFrame, seen: pl.DataFrame
) -> pl.DataFrame:
    """golden_id, body: everything known of a customer but interactions.

    `grid`: `PermissionCodes.grid`; `scores`: `ranked(...)`; `seen`: golden_id, total, kept interactions.
    """
    person = [c.name for c in PERSON]
    base = gold.customers.join(ids.select("golden_id"), on="golden_id", how="semi").select(
        "golden_id",
        profile=pl.struct(person).struct.json_encode(),
        known=pl.struct(
            "emails",
            "phones",
            "external_ids",
            "addresses",
            "overridden",
            "records",
            "sources",
            "first_seen",
            "last_seen",
        ).struct.json_encode(),
        attributes=_json(pl.col("attributes")),
        provenance=_json(pl.col("provenance")),
    )
    parts = {
        "household": _households(gold.households),
        "traits": _traits(gold.traits),
        "segments": _texts(gold.segments, "segment"),
        "scores": listed(
            scores, ["model", "model_version", "score", "rank", "as_of", "run_id", "reasons"], ["model"]
        ),
        "offers": listed(
            gold.offers, ["rank", "offer", "score", "model", "model_version", "as_of", "reasons"], ["rank", "offer"]
        ),
        "consents": _consents(gold),
        "may_contact": listed(grid, list(MAY_CONTACT), ["use"]),
        "interactions": seen.select("golden_id", text=pl.struct("total", "kept").struct.json_encode()),
    }
    frame = base
    for name, part in parts.items():
        frame = frame.join(part.select("golden_id", pl.col("text").alias(f"_{name}")), on="golden_id", how="left")
    empty = {"household": "null", "traits": "{}", "interactions": '{"total":0,"kept":0}'}
    pieces: list[pl.Expr] = [
        pl.lit('{"golden_id":'),
        pl.struct("golden_id").struct.json_encode().str.slice(13).str.strip_suffix("}"),
        pl.lit(',"profile":'),
        pl.col("profile"),
        pl.lit(","),
        pl.col("known").str.slice(1).str.strip_suffix("}"),
        pl.lit(',"attributes":'),
        pl.col("attributes"),
        pl.lit(',"provenance":'),
        pl.col("provenance"),
    ]
    for name in parts:
        pieces += [pl.lit(f',"{name}":'), pl.col(f"_{name}").fill_null(empty.get(name, "[]"))]
    return frame.select("golden_id", body=pl.concat_str([*pieces, pl.lit("}")]))


def ranked(scores: pl.DataFrame) -> pl.DataFrame:
    """Scores with `rank` from 1 without gaps or ties, per model: the given rank, then score, then golden ID."""
    order = pl.struct(pl.col("rank").fill_null(2**62), -pl.col("score").fill_nan(None), "golden_id")
    return scores.sort("model", order, nulls_last=True).with_columns(
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("model")
    )


def interaction_blocks(gold: GoldFrames, ids: pl.DataFrame, most: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(customer, block, body, rows) and (golden_id, total, kept): the last `most` interactions of each customer."""
    links = gold.current_links().join(ids, on="golden_id").select("record_key", "customer").lazy()
    keyed = gold.items.lazy().unique("record_key").rename({"record_key": "item_key"})
    items = keyed.select("item_key", "name", "category", "brand")
    columns = (
        "record_key",
        "source",
        "effective_at",
        "kind",
        "channel",
        "item_key",
        "quantity",
        "amount",
        "currency",
    )
    found = (
        gold.interactions.lazy()
        .select("contact_key", *columns)
        .join(links, left_on="contact_key", right_on="record_key", how="inner")
        .sort(["customer", "effective_at", "record_key"], descending=[False, True, False])
        .with_columns(place=pl.int_range(pl.len()).over("customer"), total=pl.len().over("customer"))
        .filter(pl.col("place") < most)
        .join(items, on="item_key", how="left", maintain_order="left")
        .collect()
    )
    item = pl.struct(pl.col("item_key").alias("key"), "name", "category", "brand")
    amount = pl.col("amount").cast(pl.String).str.replace(r"(\.\d\d)0+$", "$1")
    at = pl.col("effective_at").alias("at")
    known = pl.when(pl.col("item_key").is_not_null()).then(item).alias("item")
    text = pl.struct(at, "kind", "channel", known, "quantity", amount, "currency", "source").struct.json_encode()
    blocks = (
        found.select("customer", text=text, block=pl.col("place") // INTERACTION_BLOCK)
        .group_by("customer", "block", maintain_order=True)
        .agg(pl.col("text").str.join(","), rows=pl.len())
        .select("customer", "block", "rows", body=pl.concat_str(pl.lit("["), "text", pl.lit("]")))
    )
    counts = found.group_by("customer", maintain_order=True).agg(pl.col("total").first(), kept=pl.len())
    return blocks, counts.join(ids, on="customer").select("golden_id", "total", "kept")


def _json(column: pl.Expr) -> pl.Expr:
    """A column that already holds JSON text; null and emptiness give {}."""
    return pl.when(column.str.starts_with("{")).then(column).otherwise(pl.lit("{}"))


def listed(frame: pl.DataFrame, columns: list[str], order: list[str]) -> pl.DataFrame:
    """golden_id, text: a customer's rows as a JSON list of objects of these columns."""
    return (
        frame.sort("golden_id", *order)
        .select("golden_id", text=pl.struct(columns).struct.json_encode())
        .group_by("golden_id", maintain_order=True)
        .agg(pl.col("text").str.join(","))
        .select("golden_id", text=pl.concat_str(pl.lit("["), "text", pl.lit("]")))
    )


def _texts(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return (
        frame.sort("golden_id", column)
        .group_by("golden_id", maintain_order=True)
        .agg(pl.col(column).unique(maintain_order=True).alias("values"))
        .select(
            "golden_id",
            text=pl.struct("values").struct.json_encode().str.slice(len('{"values":')).str.strip_suffix("}"),
        )
    )


def _households(households: pl.DataFrame) -> pl.DataFrame:
    """The household of each customer that has one, with the golden IDs of its members."""
    held = households.filter(pl.col("valid_to").is_null()).select("golden_id", "household_id").sort("golden_id")
    members = held.group_by("household_id").agg(members="golden_id")
    told = pl.struct("household_id", pl.col("members").list.sort()).struct.json_encode()
    return held.join(members, on="household_id").select("golden_id", text=told)


def _traits(traits: pl.DataFrame) -> pl.DataFrame:
    """Traits as one object: the newest value of each."""
    newest = traits.sort("as_of").unique(["golden_id", "trait"], keep="last", maintain_order=True)
    number = pl.struct(v=pl.col("number").fill_nan(None)).struct.json_encode().str.slice(5).str.strip_suffix("}")
    text = pl.struct(v="text").struct.json_encode().str.slice(5).str.strip_suffix("}")
    name = pl.struct(v="trait").struct.json_encode().str.slice(5).str.strip_suffix("}")
    value = pl.when(pl.col("number").is_not_null()).then(number).otherwise(text)
    return (
        newest.sort("golden_id", "trait")
        .select("golden_id", text=pl.concat_str(name, pl.lit(":"), value))
        .group_by("golden_id", maintain_order=True)
        .agg(pl.col("text").str.join(","))
        .select("golden_id", text=pl.concat_str(pl.lit("{"), "text", pl.lit("}")))
    )


def _consents(gold: GoldFrames) -> pl.DataFrame:
    """What each customer allowed or forbade, newest first; which contact point it was about is told by its kind."""
    stated = gold.consents.join(
        identifiers(gold), left_on=["subject_kind", "subject"], right_on=["kind", "value"], how="inner"
    )
    columns = ["data_use", "channel", "state", "lawful_basis", "subject_kind", "source", "effective_at"]
    ties = ["data_use", "channel", "source", "state", "lawful_basis", "subject_kind"]
    newest = stated.sort("effective_at", *ties, descending=[True, *(False for _ in ties)])
    return (
        newest.select("golden_id", text=pl.struct(columns).struct.json_encode())
        .group_by("golden_id", maintain_order=True)
        .agg(pl.col("text").str.join(","))
        .select("golden_id", text=pl.concat_str(pl.lit("["), "text", pl.lit("]")))
    )
