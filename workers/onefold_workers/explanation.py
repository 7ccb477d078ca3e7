"""Reasons: what moved a score most, in plain English, with effects that add up.

A model is additive, so a feature's effect is what it adds to this score against the average customer (log-odds for
a probability, money for a value). Features that say the same thing share a theme; a reason is a theme: its effect
is the sum of its features', its text that of the feature that did most. Base and the effects of all themes add up
to the score exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from onefold_storage.schema import REASONS
from onefold_workers.additive import Floats
from onefold_workers.feature_view import Feature
from onefold_workers.readable import names_in, number, text

MOST = 3
DECIMALS = 6


def themes(features: Sequence[Feature]) -> tuple[str, ...]:
    """The features' themes, in order of their first feature."""
    return tuple(dict.fromkeys(f.theme for f in features))


def theme_effects(features: Sequence[Feature], contributions: Floats) -> Floats:
    """(rows, themes): the sum of the contributions (rows, features) of each theme's features."""
    named = themes(features)
    member = np.array([[f.theme == t for t in named] for f in features], dtype=np.float64)
    return contributions @ member.reshape(len(features), len(named))


def reasons(
    features: Sequence[Feature], values: pl.DataFrame, contributions: Floats, *, in_favour: bool = False
) -> pl.Series:
    """The `MOST` strongest reasons of each row, strongest first, as the lists of structs of `schema.REASONS`.

    `values`: a column per feature (and any other that a text names); `contributions`: (rows, features). A theme
    that did nothing is no reason, so a list may be shorter; nor, where reasons are to be `in_favour`, is one that
    lowered the score.
    """
    effects = theme_effects(features, contributions)
    kept = min(MOST, effects.shape[1])
    force = effects if in_favour else np.abs(effects)
    strongest = np.argsort(-force, axis=1, kind="stable")[:, :kept]
    named = themes(features)
    position = np.array([named.index(f.theme) for f in features], dtype=np.intp)
    chosen = np.empty(strongest.shape, dtype=np.intp)
    rows = np.arange(len(effects))
    for k in range(kept):
        theme = strongest[:, k]
        pull = contributions * np.sign(effects[rows, theme])[:, None]
        chosen[:, k] = np.argmax(np.where(position[None, :] == theme[:, None], pull, -np.inf), axis=1)
    told = pl.DataFrame(
        {
            "row": np.repeat(rows, kept),
            "feature": chosen.ravel(),
            "effect": np.round(np.take_along_axis(effects, strongest, axis=1).ravel(), DECIMALS),
        }
    ).with_row_index("at")
    told = told.filter(pl.col("effect") > 0 if in_favour else pl.col("effect") != 0)
    parts = [
        _told(features[int(f)], values, part)
        for (f,), part in told.partition_by("feature", as_dict=True, maintain_order=True).items()
    ]
    kind = pl.Series([], dtype=pl.List(pl.Struct(_FIELDS)))
    if not parts:
        return pl.Series("reasons", [[]] * len(effects), dtype=kind.dtype)
    lists = (
        pl.concat(parts).sort("at").group_by("row", maintain_order=True).agg(pl.struct(list(_FIELDS)).alias("r"))
    )
    every = pl.DataFrame({"row": rows}).join(lists, on="row", how="left", maintain_order="left")
    return every["r"].fill_null(pl.Series([[]], dtype=kind.dtype)).cast(kind.dtype).alias("reasons")


_FIELDS = {
    "feature": pl.String(),
    "value": pl.String(),
    "effect": pl.Float64(),
    "text": pl.String(),
}
assert list(_FIELDS) == [REASONS.value_type.field(i).name for i in range(REASONS.value_type.num_fields)]


def _told(feature: Feature, values: pl.DataFrame, part: pl.DataFrame) -> pl.DataFrame:
    """The reasons whose feature this is: `at`, `row` and the fields of a reason."""
    needed = [feature.name, *(n for n in names_in(feature.text) if n != feature.name)]
    found = values.select(needed)[part["row"]].with_columns(pl.all().cast(pl.Float64).fill_nan(None))
    own = pl.col(feature.name)
    absent = feature.absent or f"{feature.doc}: unknown"
    told = found.select(
        value=number(own).fill_null("unknown"),
        text=pl.when(own.is_null()).then(pl.lit(absent)).otherwise(text(feature.text)),
    )
    return pl.concat([part.select("at", "row", "effect"), told], how="horizontal").with_columns(
        feature=pl.lit(feature.name)
    )
