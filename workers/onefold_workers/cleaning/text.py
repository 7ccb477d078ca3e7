"""Text and names to one standard: what every other kind of value is built on."""

from __future__ import annotations

import polars as pl

from onefold_workers.cleaning.words import NOTHING, NOTHING_EXACT, PARTICLES, SUFFIXES, TITLES

_INVISIBLE = "[[\\p{Cc}\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]--[\\s]]+"


def as_text(expr: pl.Expr, dtype: pl.DataType | None = None) -> pl.Expr:
    """Any value as text the way a person would write it: whole floats without `.0`, dates as ISO, bytes as UTF-8.

    `dtype` is the column's type; without it text is expected.
    """
    if dtype is None or dtype == pl.String:
        return expr.cast(pl.String)
    if dtype.is_float():
        text = expr.cast(pl.String).str.replace(r"\.0+$", "")
        whole = expr.cast(pl.Int64, strict=False)
        plain = (expr.abs() < 1e15) & (whole.cast(pl.Float64) == expr)
        return pl.when(plain).then(whole.cast(pl.String)).when(expr.is_finite()).then(text)
    if dtype.is_decimal():
        return expr.cast(pl.String).str.replace(r"(\.\d*?)0+$", "${1}").str.replace(r"\.$", "")
    if dtype == pl.Boolean:
        return expr.cast(pl.String)
    if dtype.is_nested():
        return (
            expr.struct.json_encode()
            if dtype == pl.Struct
            else expr.cast(pl.List(pl.String), strict=False).list.join(", ")
        )
    return expr.cast(pl.String, strict=False)


def squeezed(expr: pl.Expr) -> pl.Expr:
    """Text in Unicode NFC without invisible characters, with single spaces and none at the ends."""
    text = expr.str.replace_all(_INVISIBLE, "").str.normalize("NFC")
    return text.str.replace_all(r"\s+", " ").str.strip_chars(" ")


def tidy(expr: pl.Expr) -> pl.Expr:
    """`squeezed`, with null where only a placeholder or punctuation stands (`n/a`, `-`, `unknown`, …)."""
    text = squeezed(expr)
    empty = ~text.str.contains(r"[\p{L}\p{N}]")
    nothing = text.str.to_lowercase().is_in(NOTHING) | text.is_in(NOTHING_EXACT) | text.str.contains(r"^[xX]{3,}$")
    return pl.when(empty | nothing).then(None).otherwise(text)


def _titled(text: pl.Expr) -> pl.Expr:
    titled = text.str.to_titlecase().str.replace_all(r"(['’])S\b", "${1}s")
    letters = "abcdefghijklmnopqrstuvwxyz"
    titled = titled.str.replace_many([f"Mc{c}" for c in letters], [f"Mc{c.upper()}" for c in letters])
    inside = [f" {p.capitalize()} " for p in PARTICLES]
    written = [f" {p} " for p in PARTICLES]
    # Twice, because neighbouring particles share the space between them.
    return titled.str.replace_many(inside, written).str.replace_many(inside, written)


def recased(text: pl.Expr) -> pl.Expr:
    """Names that are all in capitals or all in small letters, in title case; a mixed spelling is its owner's choice.

    Recasing that would change again if it were repeated (a few rare letters) is left alone.
    """
    plain = (text == text.str.to_uppercase()) | (text == text.str.to_lowercase())
    titled = _titled(text)
    stable = titled.str.normalize("NFC") == titled
    settled = pl.when((titled == titled.str.to_uppercase()) | (titled == titled.str.to_lowercase()))
    return (
        pl.when(plain & stable & settled.then(_titled(titled) == titled).otherwise(True))
        .then(titled)
        .otherwise(text)
    )


def name(expr: pl.Expr) -> pl.Expr:
    """A given, middle or family name for display; identity compares names folded, so case is never evidence."""
    text = tidy(expr).str.replace_all('["“”„«»*_]+', " ").str.replace_all(r"^[ .,;:/-]+|[ ,;:/-]+$", "")
    text = tidy(text)
    return recased(pl.when(text.str.contains(r"\p{L}")).then(text))


def full_name(expr: pl.Expr) -> pl.Expr:
    """A whole name, `Last, First` turned round, titles such as Dr. left out."""
    text = tidy(expr).str.replace(r"^([^,]+), ?([^,]{2,})$", "${2} ${1}")
    titles = rf"(?i)^(?:(?:{'|'.join(TITLES)})(?:\. ?| ))+(\S.*)$"
    return name(text.str.replace(titles, "${1}"))


def given_and_family(whole: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Given and family name out of a cleaned whole name: the first word, and the last one with its particles.

    Only a start for names written given name first; used where a source has no better columns.
    """
    bare = whole.str.replace(rf"(?i)[, ]+(?:{'|'.join(SUFFIXES)})\.?$", "")
    given = bare.str.extract(r"^(\S+) \S", 1)
    family = bare.str.extract(rf"^\S+ (?:.* )??((?:(?i:{'|'.join(PARTICLES)}) )*\S+)$", 1)
    return given, family


def organisation(expr: pl.Expr) -> pl.Expr:
    """A company's name; capitals are kept (IBM), small letters alone become title case."""
    text = tidy(expr)
    return pl.when(text == text.str.to_lowercase()).then(recased(text)).otherwise(text)
