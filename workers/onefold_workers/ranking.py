"""What survivorship rules compare, and the records sorted by it: the winner first within each customer.

Frames here carry `_g` (the customer) and `_tie` (the record) as small integers, `_trust` and `_filled`.
"""

from __future__ import annotations

import polars as pl

from onefold_workers.survivorship import PERSON_FIELDS, TRUST, Group, Rules, Survivorship


def ranked_records(records: pl.DataFrame, survivorship: Survivorship) -> pl.DataFrame:
    """The records that stand (not deleted, with a golden ID), with what record-level rules compare."""
    if "deleted" in records.columns:
        records = records.filter(~pl.col("deleted").fill_null(False))
    trust = pl.col("source").replace_strict(survivorship.trust, default=TRUST, return_dtype=pl.Int64)
    filled = pl.sum_horizontal(pl.col(f).is_not_null().cast(pl.Int32) for f in PERSON_FIELDS)
    return records.with_columns(
        _g=pl.col("golden_id").rank("dense").cast(pl.UInt32),
        _tie=pl.col("record_key").rank("ordinal").cast(pl.UInt32),
        _trust=trust if survivorship.trust else pl.lit(TRUST),
        _filled=filled,
    ).filter(pl.col("golden_id").is_not_null())


def order(rules: Rules, group: Group | None, values: tuple[str, ...]) -> list[pl.Expr]:
    """What a chain of rules sorts by, largest first. `values`: the columns whose values are compared."""
    text = [pl.col(v).cast(pl.String) for v in values]
    value = pl.col(values[0]) if len(values) == 1 else pl.struct(values)
    filled = pl.col("_filled") if group is None or len(group.fields) == 1 else _count(group.fields)
    by: dict[str, pl.Expr] = {
        "most_trusted": pl.col("_trust"),
        "most_recent": pl.col("effective_at"),
        "most_frequent": pl.when(any_of(values)).then(pl.len().over("_g", value)).otherwise(0),
        "most_complete": filled,
        "longest": pl.sum_horizontal(t.str.len_chars() for t in text),
    }
    needs = [_count(group.needs) == len(group.needs)] if group and group.needs else []
    return [*needs, *(by[r] for r in rules)]


def any_of(columns: tuple[str, ...]) -> pl.Expr:
    """Whether a record has any of these."""
    return pl.any_horizontal(pl.col(c).is_not_null() for c in columns)


def _count(columns: tuple[str, ...]) -> pl.Expr:
    return pl.sum_horizontal(pl.col(c).is_not_null().cast(pl.Int32) for c in columns)


def best_first(frame: pl.DataFrame, keys: list[pl.Expr], *within: str) -> pl.DataFrame:
    """The rows sorted by customer (and `within`), the winner first; ties by record key."""
    named = frame.with_columns(k.alias(f"_k{i}") for i, k in enumerate(keys))
    names = [f"_k{i}" for i in range(len(keys))]
    descending = [False] * (1 + len(within)) + [True] * len(names) + [False]
    sorted_ = named.sort("_g", *within, *names, "_tie", descending=descending, nulls_last=True)
    return sorted_.drop(names)
