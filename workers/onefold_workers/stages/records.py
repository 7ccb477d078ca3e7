"""Contact records as they stand: the latest version of each, deleted ones left out.

A device's record stands while one user alone is known on it. What happened there before anybody signed in is then that
user's; of a device that several share nobody can say whose it is, so its record falls out, and what happened on it
without a user belongs to no customer. So nobody is taken for another because both used one device.
"""

from __future__ import annotations

import hashlib

import polars as pl

from onefold_storage.evidence import MUST
from onefold_storage.lake import Lake
from onefold_storage.schema import CONTACT_RECORDS, LINKS, RELATIONS

DEVICE, ALIAS = "device", "alias"
"""Kinds of relations: which user a device is known to be of; which two records their source says are one user."""

_ORDER = ("effective_at", "package_id", "row_id")
"""Versions of a record come one after the other in this order."""


def current_records(lake: Lake) -> pl.DataFrame:
    """Every contact record's latest version, sorted by record key; devices that several users share left out."""
    shared = shared_devices(lake)
    return latest(lake.scan(CONTACT_RECORDS.name)).filter(~pl.col("record_key").is_in(shared.implode())).collect()


def shared_devices(lake: Lake) -> pl.Series:
    """Record keys of devices on which more than one user is known."""
    known = latest(lake.scan(RELATIONS.name)).filter(kind=DEVICE).group_by("from_key")
    users = known.agg(users=pl.col("to_key").n_unique()).filter(pl.col("users") > 1)
    return users.select("from_key").sort("from_key").collect().to_series()


def with_aliases(lake: Lake, records: pl.DataFrame, obeyed: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Decisions that are obeyed, and the pairs of these records that their source says are one; and a digest of those.

    What people decided on a pair comes before.
    """
    keys = records["record_key"].implode()
    said = latest(lake.scan(RELATIONS.name)).filter(
        pl.col("from_key").is_in(keys),
        pl.col("to_key").is_in(keys),
        pl.col("from_key") != pl.col("to_key"),
        kind=ALIAS,
    )
    pairs = said.select(
        left_key=pl.min_horizontal("from_key", "to_key"),
        right_key=pl.max_horizontal("from_key", "to_key"),
        verdict=pl.lit(MUST),
        decided_at=pl.col("effective_at").cast(obeyed.schema["decided_at"]),
    )
    found = (
        pairs.sort("decided_at")
        .unique(["left_key", "right_key"], keep="last")
        .sort("left_key", "right_key")
        .collect()
    )
    digest = hashlib.sha256(repr(found.select("left_key", "right_key").rows()).encode()).hexdigest()
    fresh = found.join(obeyed, on=["left_key", "right_key"], how="anti")
    return pl.concat([obeyed, fresh.select(obeyed.columns)]), digest if found.height else ""


def latest(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The last version of each record by what it says, then by arrival; a deleted record drops out. By record key.

    Which version that is, is found without the rest of the rows: to sort those took five times as long and three times
    the memory.
    """
    versions = rows.select("record_key", *_ORDER, "deleted").sort(*_ORDER)
    last = versions.unique("record_key", keep="last", maintain_order=True).filter(~pl.col("deleted"))
    of = ["record_key", "package_id", "row_id"]
    standing = rows.join(last.select(of), on=of, how="semi", nulls_equal=True).sort("record_key")
    return standing.filter(pl.col("record_key").ne_missing(pl.col("record_key").shift()))


def current_links(lake: Lake) -> pl.LazyFrame:
    """record_key and golden_id of the links that hold now."""
    return lake.scan(LINKS.name).filter(pl.col("valid_to").is_null()).select("record_key", "golden_id")
