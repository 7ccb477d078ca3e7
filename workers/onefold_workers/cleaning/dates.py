"""Dates as people write them, to dates: the contract's format first, then the forms that the world uses."""

from __future__ import annotations

from datetime import date

import polars as pl

from onefold_workers.cleaning.text import squeezed
from onefold_workers.cleaning.words import MONTH_FIRST

EARLIEST = date(1880, 1, 1)
PLACEHOLDERS = (date(1900, 1, 1), date(1899, 12, 30), date(1899, 12, 31))
"""Dates that spreadsheets and databases write for nothing."""
_PIVOT = 2030

_YEAR_FIRST = r"^(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})(?:[T ].*)?$"
_COMPACT = r"^(\d{4})(\d{2})(\d{2})(?:\d{6}|T.*)?$"
_YEAR_LAST = r"^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})(?:[T ,].*)?$"
_SHORT_YEAR = r"^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{2})$"
_WRITTEN = ("%d %b %Y", "%b %d %Y", "%d %b %y", "%Y %b %d")


def _built(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """A date out of numbers as text; null where there is no such day."""
    parts = [year.str.zfill(4), month.str.zfill(2), day.str.zfill(2)]
    return pl.concat_str(parts, separator="-").str.to_date("%Y-%m-%d", strict=False)


def _groups(text: pl.Expr, pattern: str) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    return text.str.extract(pattern, 1), text.str.extract(pattern, 2), text.str.extract(pattern, 3)


def day(expr: pl.Expr, form: str | None = None, country: str | None = None, latest: date | None = None) -> pl.Expr:
    """A date out of text; null where it is none.

    `form`: strftime format tried first. Then ISO, `yyyymmdd`, `dd/mm/yyyy` (month first in the US), months in
    English words, two-digit years (the last century where `latest`'s year is exceeded). A day that cannot be
    read in the country's order (13 as a month) is read in the other.
    """
    text = squeezed(expr.cast(pl.String)).str.replace(r"^(\d+)\.0$", "${1}")
    tries = []
    if form:
        tries.append(text.str.to_date(form, strict=False))
        tries.append(text.str.to_datetime(form, strict=False, time_unit="us").dt.date())
    for pattern in (_YEAR_FIRST, _COMPACT):
        tries.append(_built(*_groups(text, pattern)))
    first, second, year = _groups(text, _YEAR_LAST)
    short_first, short_second, short = _groups(text, _SHORT_YEAR)
    pivot = (latest.year if latest else _PIVOT) % 100
    century = pl.when(short.cast(pl.Int32, strict=False) > pivot).then(pl.lit("19")).otherwise(pl.lit("20"))
    full = century + short
    orders = [(second, first, year), (short_second, short_first, full)]  # month, day, year: day first
    swapped = [(first, second, year), (short_first, short_second, full)]
    chosen = [*swapped, *orders] if country in MONTH_FIRST else [*orders, *swapped]
    tries += [_built(y, m, d) for m, d, y in chosen]
    words = text.str.replace_all(r"[.,/\-]", " ").str.replace_all(r"(\d)(?:st|nd|rd|th)\b", "${1}")
    words = words.str.replace_all(r"\s+", " ").str.strip_chars(" ")
    tries += [words.str.to_date(form, strict=False) for form in _WRITTEN]
    return pl.coalesce(tries)


def birth_date(
    expr: pl.Expr, form: str | None = None, country: str | None = None, latest: date | None = None
) -> pl.Expr:
    """A date of birth; null before 1880, after `latest`, and for dates that stand for nothing (1900-01-01)."""
    found = day(expr, form, country, latest)
    last = latest or date(_PIVOT, 12, 31)
    return pl.when((found >= EARLIEST) & (found <= last) & ~found.is_in(PLACEHOLDERS)).then(found)
