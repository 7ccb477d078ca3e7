"""Further attributes of records, JSON objects, merged to one object per customer by the survivorship rules."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import polars as pl

from onefold_workers.ranking import best_first, order
from onefold_workers.survivorship import ATTRIBUTES, Rules, Survivorship


def merged_attributes(records: pl.DataFrame, survivorship: Survivorship) -> pl.DataFrame:
    """`_g` and `attributes` (JSON text with sorted keys; customers without any are left out).

    `records`: `_g`, `attributes` and what the rules compare. What is no JSON object, and null values, are left out.
    """
    known = records.filter(pl.col(ATTRIBUTES).is_not_null() & (pl.col(ATTRIBUTES) != "{}"))
    pairs = known.join(opened(known.get_column(ATTRIBUTES)), on=ATTRIBUTES, how="inner").drop(ATTRIBUTES)
    chains: dict[Rules, list[str]] = {}
    for key in pairs.get_column("key").unique().sort():
        chains.setdefault(survivorship.rules_of(f"{ATTRIBUTES}.{key}"), []).append(key)
    won = [
        best_first(pairs.filter(pl.col("key").is_in(keys)), order(rules, None, ("key", "value")), "key").unique(
            ["_g", "key"], keep="first", maintain_order=True
        )
        for rules, keys in chains.items()
    ]
    every = pl.concat(won) if won else pairs
    return (
        every.sort("_g", "key")
        .group_by("_g", maintain_order=True)
        .agg(pl.concat_str("quoted", pl.lit(":"), "value").str.join(","))
        .select("_g", pl.concat_str(pl.lit("{"), "quoted", pl.lit("}")).alias(ATTRIBUTES))
    )


def opened(texts: pl.Series) -> pl.DataFrame:
    """Distinct JSON objects as rows: the text, key, the key quoted, and the value as JSON."""
    columns = (ATTRIBUTES, "key", "quoted", "value")
    return pl.DataFrame(list(_pairs(texts.unique())), schema=dict.fromkeys(columns, pl.String), orient="row")


def _pairs(texts: pl.Series) -> Iterator[tuple[str, str, str, str]]:
    """Each distinct text is read once: a JSON object's keys are not known before."""
    for text in texts:
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(given, dict):
            for key, value in given.items():
                if value is not None:
                    yield (
                        text,
                        key,
                        orjson.dumps(key).decode(),
                        orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode(),
                    )
