"""Dates as people write them, to dates: the contract's format first, then the forms that the world uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial

import polars as pl

from onefold_storage.contract_fields import Format, each_format
from onefold_workers.cleaning.text import Cleaner, expression, only, squeeze
from onefold_workers.cleaning.words import MONTH_FIRST

EARLIEST = date(1500, 1, 1)
"""Archives hold people of the 16th century; what is earlier is a slip or a database's first year."""
PLACEHOLDERS = (
    date(1900, 1, 1), date(1899, 12, 30), date(1899, 12, 31), date(1753, 1, 1), date(1601, 1, 1), date(1582, 10, 14),
    date(1582, 10, 15), date(1858, 11, 17),
)  # fmt: skip
"""Dates that spreadsheets, databases and file systems write for nothing: the first day they can count."""
_PIVOT = 2030
_PARTS = ("%Y", "%m", "%d")

_YEAR_FIRST = r"^(\d{4})[-/. 年년] ?(\d{1,2})[-/. 月월] ?(\d{1,2})[日일]?(?:[T ].*)?$"
_COMPACT = r"^(\d{4})(\d{2})(\d{2})(?:\d{6}|T.*)?$"
_YEAR_LAST = r"^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})(?:[T ,].*)?$"
_SHORT_YEAR = r"^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{2})$"
_WRITTEN = ("%d %B %Y", "%B %d %Y", "%d %B %y", "%Y %B %d")


def _built(year: pl.Series, month: pl.Series, day: pl.Series) -> pl.Series:
    """A date out of numbers as text; null where there is no such day."""
    joined = year.str.zfill(4) + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    return joined.str.to_date("%Y-%m-%d", strict=False)


def _groups(text: pl.Series, pattern: str) -> tuple[pl.Series, pl.Series, pl.Series]:
    return text.str.extract(pattern, 1), text.str.extract(pattern, 2), text.str.extract(pattern, 3)


def day(
    expr: pl.Expr, form: Format | None = None, country: str | None = None, latest: date | None = None
) -> pl.Expr:
    """A date out of text; null where it is none.

    `form`: strftime format, or several, tried first. Then ISO, `yyyymmdd`, `dd/mm/yyyy` (month first in the US), months in
    English words, two-digit years (the last century where `latest`'s year is exceeded). A day that cannot be
    read in the country's order (13 as a month) is read in the other.
    """
    return expression(lambda values: _day(values, form, country, latest), expr, pl.Date)


def _day(values: pl.Series, form: Format | None, country: str | None, latest: date | None) -> pl.Series:
    text = squeeze(values).str.replace(r"^(\d+)\.0$", "${1}")
    found = pl.Series([None], dtype=pl.Date).new_from_index(0, text.len())
    for attempt in _attempts(form, country, latest):
        left = found.is_null() & text.is_not_null()
        if not left.any():
            break
        tried = attempt(only(text, left))
        found = found.zip_with(found.is_not_null(), tried)
    return found


def _attempts(form: Format | None, country: str | None, latest: date | None) -> Iterator[Cleaner]:
    """Ways to read a date, the surest first."""
    last = latest.year if latest else _PIVOT
    for one in each_format(form):
        yield partial(_formatted, form=one, last=last)
    yield lambda text: _built(*_groups(text, _YEAR_FIRST))
    yield lambda text: _built(*_groups(text, _COMPACT))
    month_first = country in MONTH_FIRST
    for pattern in (_YEAR_LAST, _SHORT_YEAR):
        for swapped in (month_first, not month_first):
            yield partial(_year_last, pattern=pattern, month_first=swapped, pivot=last % 100)
    for written in _WRITTEN:
        yield partial(_written, form=written)


def _formatted(text: pl.Series, form: str, last: int) -> pl.Series:
    day = text.str.to_date(form, strict=False)
    moment = text.str.to_datetime(form, strict=False, time_unit="us").dt.date()
    found = day.zip_with(day.is_not_null(), moment)
    if "%y" not in form:
        return found
    # Two digits of a year mean the last century where this one has not come so far.
    return found.dt.offset_by("-100y").zip_with((found.dt.year() > last).fill_null(False), found)


def _written(text: pl.Series, form: str) -> pl.Series:
    return _words(text).str.to_date(form, strict=False)


def _year_last(text: pl.Series, pattern: str, month_first: bool, pivot: int) -> pl.Series:
    first, second, year = _groups(text, pattern)
    short = year.str.len_chars() == 2
    last_century = ("19" + year).zip_with((year.cast(pl.Int32, strict=False) > pivot).fill_null(False), "20" + year)
    year = last_century.zip_with(short.fill_null(False), year)
    return _built(year, first, second) if month_first else _built(year, second, first)


def _words(text: pl.Series) -> pl.Series:
    bare = text.str.replace_all(r"[.,/\-]", " ").str.replace_all(r"(\d)(?:st|nd|rd|th)\b", "${1}")
    return bare.str.replace_all(r"\s+", " ").str.strip_chars(" ")


def birth_date(
    expr: pl.Expr, form: Format | None = None, country: str | None = None, latest: date | None = None
) -> pl.Expr:
    """A date of birth; null before 1500, after `latest`, and for dates that stand for nothing (1900-01-01).

    A year alone, or a year and a month, is no date: what is not known is not made up. `birth_digits` keeps it.
    """
    last = latest or date(_PIVOT, 12, 31)

    def plausible(values: pl.Series) -> pl.Series:
        found = _day(values, form, country, latest)
        return only(found, (found >= EARLIEST) & (found <= last) & ~found.is_in(PLACEHOLDERS))

    return expression(plausible, expr, pl.Date)


def whole_births(
    frame: pl.DataFrame, kinds: Mapping[str, str], formats: Mapping[str, Format | None]
) -> tuple[pl.DataFrame, dict[str, str], dict[str, Format | None]]:
    """The frame with year, month and day of birth of three columns as one date in the year's column.

    And the kinds without the other two, and the formats. The parts are columns of kind `birth_date` with the formats
    `%Y`, `%m` and `%d`.
    """
    parts = {formats.get(c): c for c, k in kinds.items() if k == "birth_date" and formats.get(c) in _PARTS}
    if len(parts) < len(_PARTS):
        return frame, dict(kinds), dict(formats)
    year, month, of_month = (pl.col(parts[p]).cast(pl.String).str.strip_chars() for p in _PARTS)
    joined = pl.concat_str(year, month.str.zfill(2), of_month.str.zfill(2), separator="-")
    rest = [parts[p] for p in _PARTS[1:]]
    whole = frame.with_columns(pl.coalesce(joined, year).alias(parts[_PARTS[0]]))
    left = {c: f for c, f in formats.items() if c not in parts.values()}
    return whole, {c: k for c, k in kinds.items() if c not in rest}, left


def birth_digits(expr: pl.Expr, form: Format | None = None, country: str | None = None) -> pl.Expr:
    """What is written of a date of birth, for comparison: `yyyymmdd`, also of days that do not exist, or `yyyy`.

    Where `birth_date` gives a date this gives the same one. A mistyped month 13 can still be compared, and so can
    a year alone; other digits stand as they are written. Null for fewer than four, and for what stands for nothing.
    """

    def digits(values: pl.Series) -> pl.Series:
        text = squeeze(values).str.replace(r"^(\d+)\.0$", "${1}")
        found = _day(values, form, country, None)
        dated = found.dt.strftime("%Y%m%d")
        for pattern, order in ((_YEAR_FIRST, (0, 1, 2)), (_YEAR_LAST, _year_last_order(form, country))):
            groups = _groups(text, pattern)
            year, month, of_month = (groups[i] for i in order)
            dated = dated.fill_null(year + month.str.zfill(2) + of_month.str.zfill(2))
        only_digits = text.str.replace_all(r"\D", "")
        dated = dated.fill_null(only(only_digits, only_digits.str.len_chars() >= 4))
        nothing = found.is_in(PLACEHOLDERS) | dated.str.contains(r"^(?:0+|0000.*|9{4,})$")
        return only(dated, ~nothing.fill_null(False))

    return expression(digits, expr)


def _year_last_order(form: Format | None, country: str | None) -> tuple[int, int, int]:
    """Where year, month and day stand in a date that ends with its year."""
    first = next(iter(each_format(form)), None)
    month_first = first.startswith(("%m", "%b", "%B")) if first else country in MONTH_FIRST
    return (2, 0, 1) if month_first else (2, 1, 0)
