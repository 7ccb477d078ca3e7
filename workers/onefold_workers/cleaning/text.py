"""Text and names to one standard: what every other kind of value is built on.

A cleaner is a function from Series to Series, written step by step; `expression` makes a Polars expression of it
that looks at every distinct value once.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from onefold_workers.cleaning.words import NOTHING, NOTHING_EXACT, PARTICLES, RANKS, STYLES, SUFFIXES, TITLES

Cleaner = Callable[[pl.Series], pl.Series]
_INVISIBLE = "[[\\p{Cc}\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]--[\\s]]+"
_FEW = 2_000
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_RANKED = rf"(?i), ?(?:\d|(?:{'|'.join(RANKS)})\b)"
_STYLES = rf"(?i)^(?:(?:{'|'.join((*STYLES, *TITLES))})(?:\. ?| ))+(\S+ \S.*)$"
_TITLES = rf"(?i)^(?:(?:{'|'.join(TITLES)})(?:\. ?| ))+(\S.*)$"

_FAMILY_FIRST = r"^[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー々 ,]+$"
"""Names in the scripts of Japan, China and Korea, where the family name stands first."""


def expression(clean: Cleaner, expr: pl.Expr, dtype: type[pl.DataType] = pl.String) -> pl.Expr:
    """A cleaner as an expression over text; each distinct value is cleaned once, whatever the number of rows."""

    def on_distinct(values: pl.Series) -> pl.Series:
        if values.len() <= _FEW:
            return clean(values)
        distinct = values.unique()
        if distinct.len() > values.len() // 2:
            return clean(values)
        known = pl.DataFrame({"value": distinct, "clean": clean(distinct)})
        rows = values.alias("value").to_frame()
        return rows.join(known, on="value", how="left", nulls_equal=True, maintain_order="left").get_column("clean")

    return expr.cast(pl.String).map_batches(on_distinct, return_dtype=dtype)


def each_country(clean: Callable[[pl.Series, str | None], pl.Series], pairs: pl.Series) -> pl.Series:
    """Values cleaned by the rules of the country beside them; `pairs`: structs of `value` and `country`."""
    rows = pairs.struct.unnest()
    distinct = rows.unique(maintain_order=True)
    parts = [
        part.with_columns(clean(part.get_column("value"), where).alias("clean"))
        for (where,), part in distinct.partition_by("country", as_dict=True).items()
    ]
    if not parts:
        return rows.get_column("value")
    known = pl.concat(parts)
    joined = rows.join(known, on=["value", "country"], how="left", nulls_equal=True, maintain_order="left")
    return joined.get_column("clean")


def only(values: pl.Series, where: pl.Series) -> pl.Series:
    """The values where the condition holds, null elsewhere."""
    return values.zip_with(
        where.fill_null(False), pl.Series([None], dtype=values.dtype).new_from_index(0, values.len())
    )


def squeeze(values: pl.Series) -> pl.Series:
    """Text in Unicode NFC without invisible characters, with single spaces and none at the ends."""
    text = values.str.replace_all(_INVISIBLE, "").str.normalize("NFC")
    return text.str.replace_all(r"\s+", " ").str.strip_chars(" ")


def tidy_up(values: pl.Series) -> pl.Series:
    """`squeeze`, with null where only a placeholder or punctuation stands (`n/a`, `-`, `unknown`, …)."""
    text = squeeze(values)
    says = text.str.contains(r"[\p{L}\p{N}]") & ~text.str.to_lowercase().is_in(NOTHING) & ~text.is_in(NOTHING_EXACT)
    return only(text, says & ~text.str.contains(r"^[xX]{3,}$"))


def _one_case(text: pl.Series) -> pl.Series:
    return (text == text.str.to_uppercase()) | (text == text.str.to_lowercase())


def _titled(text: pl.Series) -> pl.Series:
    titled = text.str.to_titlecase().str.replace_all(r"(['’])S\b", "${1}s")
    for ending in ("st", "nd", "rd", "th"):
        titled = titled.str.replace_all(rf"(\d){ending.capitalize()}\b", f"${{1}}{ending}")
    titled = titled.str.replace_many([f"Mc{c}" for c in _LETTERS], [f"Mc{c.upper()}" for c in _LETTERS])
    inside = [f" {p.capitalize()} " for p in PARTICLES]
    written = [f" {p} " for p in PARTICLES]
    # Twice, because neighbouring particles share the space between them.
    return titled.str.replace_many(inside, written).str.replace_many(inside, written).str.normalize("NFC")


def recase(text: pl.Series) -> pl.Series:
    """Names all in capitals or all in small letters, in title case; a mixed spelling is its owner's choice.

    Recasing that would change again if it were repeated (a few rare letters) is left alone.
    """
    titled = _titled(text)
    settled = ~_one_case(titled) | (_titled(titled) == titled)
    return titled.zip_with((_one_case(text) & settled).fill_null(False), text)


def clean_name(values: pl.Series) -> pl.Series:
    """A given, middle or family name for display; identity compares names folded, so case is never evidence."""
    text = tidy_up(values).str.replace_all('["“”„«»*_]+', " ")
    text = tidy_up(text.str.replace_all(r"^[ .,;:/-]+|[ ,;:/-]+$", ""))
    return recase(only(text, text.str.contains(r"\p{L}")))


def clean_full_name(values: pl.Series) -> pl.Series:
    """A whole name, `Last, First` turned round (not `Name, 1st Baron …`), titles such as Dr. left out."""
    suffix = rf"(?i)^([^,]+), ?([^,]{{2,}}), ?((?:{'|'.join(SUFFIXES)})\.?)$"
    written = tidy_up(values).str.replace(suffix, "${2} ${1}, ${3}")
    ranked = written.str.contains(_RANKED)
    text = written.zip_with(ranked.fill_null(False), written.str.replace(r"^([^,]+), ?([^,]{2,})$", "${2} ${1}"))
    east = written.str.contains(_FAMILY_FIRST).fill_null(False)
    text = written.str.replace(r", ?", " ").zip_with(east, text)
    return clean_name(text.str.replace(_STYLES, "${1}").str.replace(_TITLES, "${1}"))


def clean_organisation(values: pl.Series) -> pl.Series:
    """A company's name; capitals are kept (IBM), small letters alone become title case."""
    text = tidy_up(values)
    return recase(text).zip_with((text == text.str.to_lowercase()).fill_null(False), text)


def squeezed(expr: pl.Expr) -> pl.Expr:
    """`squeeze` as an expression."""
    return expression(squeeze, expr)


def tidy(expr: pl.Expr) -> pl.Expr:
    """`tidy_up` as an expression."""
    return expression(tidy_up, expr)


def name(expr: pl.Expr) -> pl.Expr:
    """`clean_name` as an expression."""
    return expression(clean_name, expr)


def full_name(expr: pl.Expr) -> pl.Expr:
    """`clean_full_name` as an expression."""
    return expression(clean_full_name, expr)


def organisation(expr: pl.Expr) -> pl.Expr:
    """`clean_organisation` as an expression."""
    return expression(clean_organisation, expr)


def family_first(name: pl.Expr) -> pl.Expr:
    """Whether a name is written in a script in which the family name stands first."""
    return name.str.contains(_FAMILY_FIRST)


def given_and_family(whole: pl.Expr, turned: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Given and family name out of a cleaned whole name: the first word, and the last one with its particles.

    The other way round in the scripts whose names begin with the family's, and where `turned` holds (Hungary).
    Only a start; used where a source has no better columns.
    """
    bare = whole.str.replace(rf"(?i)[, ]+(?:{'|'.join(SUFFIXES)})\.?$", "").str.replace(rf"{_RANKED}.*$", "")
    first = bare.str.extract(r"^(\S+) \S", 1)
    last = bare.str.extract(rf"^\S+ (?:.* )??((?:(?i:{'|'.join(PARTICLES)}) )*\S+)$", 1)
    family_leads = turned | family_first(bare)
    given = pl.when(family_leads).then(bare.str.extract(r"^\S+ (\S.*)$", 1)).otherwise(first)
    return given, pl.when(family_leads).then(first).otherwise(last)
