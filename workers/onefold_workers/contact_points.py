"""Which contact points a data use may take: a consent opens the one that it was given for, and no other.

Where the lawful basis is consent, an email or phone number is open that carries a grant itself, or that a record
holds which carries one: by its key, or by any other identifier that it holds. A source may tell of one person in
several records (what was told of a user of a web shop, each time): a grant of one is that of the others of this source
that have an external ID in common with it. On any other basis it is every one that
a source holds whose contract names the data use. Who refused has none at all: that is `permissions.py`'s to say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from onefold_workers.data_uses import CONSENT

POINT_OF = {"email": "email", "phone": "phone", "sms": "phone"}
"""The kind of contact point that a channel goes to; others, such as post, go to none that a wish could belong to."""
_CELL = ["data_use", "channel"]
_SUBJECT = ["subject_kind", "subject"]
_PERMITTED = ["golden_id", *_CELL, "point"]


def holdings(records: pl.DataFrame) -> pl.DataFrame:
    """Everything a wish can belong to, by the record that holds it: golden_id, record_key, source, subject_kind, subject.

    `records`: the latest contact records with `golden_id`.
    """
    whose = ("golden_id", "record_key", "source")
    plain = [
        records.select(*whose, pl.lit(kind).alias("subject_kind"), pl.col(column).alias("subject"))
        for kind, column in (("record", "record_key"), ("email", "email"), ("phone", "phone"))
    ]
    ids = (
        records.select(*whose, "external_ids")
        .filter(pl.col("external_ids").list.len() > 0)
        .explode("external_ids")
        .unnest("external_ids")
        .select(*whose, pl.col("scheme").alias("subject_kind"), pl.col("value").alias("subject"))
    )
    return pl.concat([*plain, ids]).drop_nulls(["golden_id", "subject_kind", "subject"]).unique()


def permitted(
    held: pl.DataFrame,
    verdicts: pl.DataFrame,
    cells: pl.DataFrame,
    purposes: Mapping[str, Collection[str]] | None,
) -> pl.DataFrame:
    """Contact points by customer and cell, sorted: golden_id, data_use, channel, contact_points; who has none has no row.

    `held`: `holdings`. `verdicts`: subject_kind, subject, data_use, channel, grants, forbids. `cells`: data_use, channel,
    lawful_basis. `purposes`: the data uses that each source's contract names; all of them, where it is None.
    """
    aimed = cells.with_columns(
        _kind=pl.col("channel").replace_strict(POINT_OF, default=None, return_dtype=pl.String)
    )
    aimed = aimed.drop_nulls("_kind")
    consent = pl.col("lawful_basis") == CONSENT
    points = held.select(
        "golden_id", "record_key", "source", pl.col("subject_kind").alias("_kind"), point="subject"
    )
    granted = (
        verdicts.filter(pl.col("grants") & ~pl.col("forbids"))
        .select(*_SUBJECT, *_CELL)
        .join(aimed.filter(consent), on=_CELL)
        .join(held, on=_SUBJECT)
    )
    itself = pl.col("subject_kind") == pl.col("_kind")
    own = granted.filter(itself).rename({"subject": "point"})
    carried = pl.concat([granted.filter(~itself), _siblings(granted, held)], how="diagonal")
    by_record = carried.join(points.drop("source"), on=["golden_id", "record_key", "_kind"])
    others = points.join(aimed.filter(~consent), on="_kind")
    if purposes is not None:
        others = others.join(stated(purposes), on=["source", "data_use"], how="semi")
    return (
        pl.concat([found.select(_PERMITTED) for found in (own, by_record, others)])
        .unique()
        .group_by("golden_id", *_CELL)
        .agg(pl.col("point").sort().alias("contact_points"))
    )


def _siblings(granted: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """For each record that carries a grant by its key: the others of its source with an external ID of its."""
    ids = held.filter(~pl.col("subject_kind").is_in(["record", *POINT_OF.values()]))
    within = ["golden_id", "source", *_SUBJECT]
    own = granted.filter(pl.col("subject_kind") == "record").drop(_SUBJECT)
    known = own.join(ids, on=["golden_id", "record_key", "source"]).drop("record_key").unique()
    return known.join(ids, on=within)


def stated(purposes: Mapping[str, Collection[str]]) -> pl.DataFrame:
    """The data uses that contracts name, once each: source, data_use."""
    rows = [(source, use) for source, uses in purposes.items() for use in uses]
    return pl.DataFrame(rows, schema={"source": pl.String, "data_use": pl.String}, orient="row").unique()
