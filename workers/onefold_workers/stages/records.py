"""Contact records as they stand: the latest version of each, deleted ones left out."""

from __future__ import annotations

import polars as pl

from onefold_storage.lake import Lake
from onefold_storage.schema import CONTACT_RECORDS, LINKS


def current_records(lake: Lake) -> pl.DataFrame:
    """Every contact record's latest version, sorted by record key."""
    return latest(lake.scan(CONTACT_RECORDS.name)).collect()


def latest(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The last version by what it says, then by arrival; a deleted record drops out."""
    return (
        rows.sort("effective_at", "package_id", "row_id")
        .unique("record_key", keep="last", maintain_order=True)
        .filter(~pl.col("deleted"))
        .sort("record_key")
    )


def current_links(lake: Lake) -> pl.LazyFrame:
    """record_key and golden_id of the links that hold now."""
    return lake.scan(LINKS.name).filter(pl.col("valid_to").is_null()).select("record_key", "golden_id")
