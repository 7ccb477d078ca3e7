"""Numbers as people read them: the texts of reasons, made for a whole column at once.

A template names features in braces with a format: `{recency_days:day}` gives "1 day" or "41 days" (any word is a
unit), `{spend_90:money}` two decimals and thousands by comma, `{share:%}` a percentage, `{x}` a short number. What
stands in square brackets is left out where a value in it is null; elsewhere null reads "unknown".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter

import polars as pl

_UNKNOWN = "unknown"


def names_in(template: str) -> tuple[str, ...]:
    """The features a template names.

    Raises:
        ValueError: the template is malformed.
    """
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name)


def text(template: str) -> pl.Expr:
    """The template as an expression over the features it names (Float64 columns)."""
    parts: list[pl.Expr] = []
    for i, piece in enumerate(re.split(r"[\[\]]", template)):
        # Splitting at brackets puts what stood inside them at odd places.
        filled = [_value(pl.col(n), spec) if n else pl.lit(literal) for literal, n, spec in _parsed(piece)]
        if i % 2:
            parts.append(pl.concat_str(filled).fill_null(""))
        else:
            parts += [p.fill_null(_UNKNOWN) for p in filled]
    return pl.concat_str(parts) if parts else pl.lit("")


def _parsed(template: str) -> Iterator[tuple[str, str, str]]:
    """(literal, "", "") and ("", name, format), in turn."""
    for literal, name, spec, _ in Formatter().parse(template):
        if literal:
            yield literal, "", ""
        if name:
            yield "", name, spec or ""


def number(value: pl.Expr) -> pl.Expr:
    """A short number: whole from 10 on, else with at most one decimal."""
    tenths = value.round(1)
    whole = (value.abs() >= 10) | (tenths == tenths.round(0))
    # Adding 0 turns -0.0 into 0.0.
    return pl.when(whole).then(_thousands(value.round(0) + 0.0)).otherwise(tenths.cast(pl.String))


def _value(value: pl.Expr, spec: str) -> pl.Expr:
    value = pl.when(value.is_finite()).then(value)
    if spec == "%":
        return pl.concat_str(number(value * 100), pl.lit("%"))
    if spec == "money":
        cents = (value.abs() * 100).round(0).cast(pl.Int64)
        sign = pl.when((value < 0) & (cents > 0)).then(pl.lit("-")).otherwise(pl.lit(""))
        decimals = (cents % 100).cast(pl.String).str.pad_start(2, "0")
        return pl.concat_str(sign, _thousands((cents // 100).cast(pl.Float64)), pl.lit("."), decimals)
    if spec:
        plural = pl.when(number(value) == "1").then(pl.lit(f" {spec}")).otherwise(pl.lit(f" {_plural(spec)}"))
        return pl.concat_str(number(value), plural)
    return number(value)


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def _thousands(value: pl.Expr) -> pl.Expr:
    digits = value.abs().cast(pl.Int64).cast(pl.String)
    grouped = digits.str.reverse().str.replace_all(r"(\d{3})", "$1,").str.strip_suffix(",").str.reverse()
    return pl.when(value < 0).then(pl.concat_str(pl.lit("-"), grouped)).otherwise(grouped)
