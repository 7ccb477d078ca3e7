"""Values that a person set where every source is wrong: they win over every survivorship rule until taken back.

Each belongs to a record, not to a golden ID, so that it follows its record through merge and split.
"""

from __future__ import annotations

import polars as pl

from onefold_storage.schema import CUSTOMERS
from onefold_workers.survivorship import PERSON_FIELDS

_TYPES = pl.Schema(CUSTOMERS.arrow)


def standing(overrides: pl.DataFrame) -> pl.DataFrame:
    """The rows of `identity/overrides` that hold: the last of each record and field, those taken back left out."""
    ordered = overrides.sort("decided_at", maintain_order=True)
    return ordered.unique(["record_key", "field"], keep="last", maintain_order=True).drop_nulls("value")


def overridden(
    golden: pl.DataFrame, owners: pl.DataFrame, overrides: pl.DataFrame | None, came: str
) -> pl.DataFrame:
    """Golden records with the values that people set, and the column `overridden` that names those fields.

    `golden`: `_g`, the person's fields and, as `came` + field, the record each is from. `owners`: `_g`, record_key.
    An empty value says that there is none. Of several in one customer the last decided stands.
    """
    if overrides is None or not overrides.height:
        return golden.with_columns(overridden=pl.lit([], dtype=pl.List(pl.String)))
    own = standing(overrides).join(owners.select("_g", "record_key"), on="record_key", how="inner")
    last = own.sort("decided_at", "record_key").unique(["_g", "field"], keep="last", maintain_order=True)
    last = last.filter(pl.col("field").is_in(PERSON_FIELDS)).with_columns(
        value=pl.when(pl.col("value") != "").then("value")
    )
    for field in last["field"].unique().sort():
        mine = last.filter(pl.col("field") == field).select("_g", _value="value", _by="record_key")
        typed = pl.col("_value").str.to_date(strict=False) if _TYPES[field] == pl.Date else pl.col("_value")
        said = pl.col("_by").is_not_null()
        golden = golden.join(mine, on="_g", how="left").with_columns(
            pl.when(said).then(typed).otherwise(field).alias(field),
            pl.when(said).then("_by").otherwise(came + field).alias(came + field),
        )
        golden = golden.drop("_value", "_by")
    named = last.sort("field").group_by("_g", maintain_order=True).agg(pl.col("field").alias("overridden"))
    return golden.join(named, on="_g", how="left").with_columns(pl.col("overridden").fill_null([]))
