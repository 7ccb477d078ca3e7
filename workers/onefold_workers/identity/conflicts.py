"""Facts that tell two customers apart whatever else is alike: keys that one source gave to two of them.

A source whose own key is an identifier that other sources mention too (a loyalty programme's card numbers) knows its
customers by it: two of its keys are two customers. A number that only its own source knows (a row's id in a file
with duplicates) says no such thing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_workers.identity.text import Codes

Rows = npt.NDArray[np.int64]

_MOST = 0.9
"""Share of a source's records that have their key as the identifier, from which on it is the source's key."""


def sole_holders(
    records: pl.DataFrame, many: Sequence[str] = (), known: frozenset[tuple[str, str]] | None = None
) -> Codes:
    """Scheme and value of the key that a record is its source's customer by, as codes of shape (records, 2); else -1.

    Two records of one scheme and different values are two customers, by their source's own word.
    `records`: record_key and external_ids, as `resolve` takes them. `many`: schemes of which a customer may have
    several keys in one source, so that they tell nobody apart. `known`: sources and the schemes of their own keys,
    where that was found out before (`own_keys`), from more records than these.
    """
    none = np.full((records.height, 2), -1, dtype=np.int32)
    if records.schema.get("external_ids") in (None, pl.Null):
        return none
    ids = _identifiers(records, many)
    found = own_keys(records, many) if known is None else known
    table = pl.DataFrame(sorted(found), schema={"source": pl.String, "scheme": pl.String}, orient="row")
    holders = ids.filter("own").join(table, on=["source", "scheme"]).unique("row").sort("row")
    codes = holders.select(pl.col("scheme", "value").rank("dense").cast(pl.Int32))
    none[holders["row"].to_numpy()] = codes.to_numpy()
    return none


def own_keys(records: pl.DataFrame, many: Sequence[str] = ()) -> frozenset[tuple[str, str]]:
    """Sources, and the schemes of identifiers that are their own keys and that other sources mention, too."""
    if records.schema.get("external_ids") in (None, pl.Null):
        return frozenset()
    ids = _identifiers(records, many)
    told = ids.group_by("source", "scheme").agg(keys=pl.col("own").mean() >= _MOST)
    ids = ids.join(told, on=["source", "scheme"], how="left")
    mentioned = ids.filter(~pl.col("keys")).select("scheme", "value").unique()
    known = ids.filter("keys").join(mentioned, on=["scheme", "value"], how="semi")
    return frozenset(known.select("source", "scheme").unique().rows())


def _identifiers(records: pl.DataFrame, many: Sequence[str]) -> pl.DataFrame:
    """row, scheme, value, source of each identifier, and whether it is its record's own key."""
    key = pl.col("record_key").str.split_exact(":", 1)
    return (
        records.lazy()
        .select(key.struct[0].alias("source"), key.struct[1].alias("own"), pl.col("external_ids"))
        .with_row_index("row")
        .explode("external_ids")
        .drop_nulls("external_ids")
        .unnest("external_ids")
        .filter(~pl.col("scheme").is_in(list(many)))
        .with_columns(own=pl.col("own").str.to_lowercase() == pl.col("value").str.to_lowercase())
        .collect()
    )


def of_profiles(holders: Codes, place: Rows, profiles: int) -> Codes:
    """The same for profiles, each of which stands for the records that have its `place`."""
    out = np.full((profiles, 2), -1, dtype=np.int32)
    np.maximum.at(out, place, holders)
    return out


def rivals(holders: Codes, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
    """Whether a source says that the records of each pair are two customers."""
    a, b = holders[left], holders[right]
    return np.asarray((a[:, 0] >= 0) & (a[:, 0] == b[:, 0]) & (a[:, 1] != b[:, 1]))
