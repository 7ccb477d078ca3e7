"""The one way to read numbers as a locale writes them; apart from `locales.py`, which must be quick to import."""

from __future__ import annotations

import polars as pl

from onefold_storage.locales import decimal_mark


def plain_number(text: pl.Expr, locale: str) -> pl.Expr:
    """Numbers as a locale writes them, as digits with a point; null where it does not write them so.

    Groups may be parted by the other mark, a space or an apostrophe, and must be whole: `1.23` is no number in
    German. A minus may be the typographic one.
    """
    mark = decimal_mark(locale)
    other = r"\." if mark == "," else ","
    group = rf"(?:{other}|['’\s])"
    inner = r"\d{2,3}" if mark == "." else r"\d{3}"  # India parts lakhs by two digits
    shape = rf"^[+-]?(?:\d+|\d{{1,3}}(?:{group}{inner})*{group}\d{{3}})?(?:\{mark}\d*)?(?:[eE][+-]?\d+)?$"
    bare = text.str.strip_chars().str.replace("−", "-")
    plain = bare.str.replace_all(group, "").str.replace(mark, ".", literal=True)
    return pl.when(bare.str.contains(shape) & plain.str.contains(r"\d")).then(plain)
