"""How one value becomes a canonical one: text, keys, money, moments, JSON. Expressions only, no loop over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import pyarrow as pa

from onefold_storage.contract_fields import Format, UnitRule, each_format
from onefold_storage.derived import as_text, written
from onefold_storage.local_time import in_format, localise
from onefold_storage.plain_numbers import plain_number
from onefold_storage.units import conversion
from onefold_workers.cleaning import squeezed
from onefold_workers.decimal_marks import BY_COMMA

MONEY = pl.Decimal(18, 4)
MOMENT = pl.Datetime("us", "UTC")
_EXACT = pl.Decimal(38, 18)
_SCALED = pl.Decimal(38, 12)
_LARGEST = 10**14
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_NAIVE = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_DAYS = ("%Y-%m-%d", "%Y%m%d")


def record_key(source: str, columns: Sequence[str], schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Record key out of key columns: `source:` and their values as text joined by `|`; null where one is."""
    parts = [written(pl.col(c), schema[c]) for c in columns]
    return pl.concat_str([pl.lit(f"{source}:") + parts[0], *parts[1:]], separator="|")


def row_key(source: str) -> pl.Expr:
    """Record key of a row of a source without keys: where it stands, `source:package:row`."""
    return pl.format("{}:{}:{}", pl.lit(source), pl.col("_package_id"), pl.col("_row_id"))


def money(expr: pl.Expr, dtype: pl.DataType, locale: str | None = None, unit: UnitRule | None = None) -> pl.Expr:
    """An amount as decimal(18, 4), rounded half to even; null where it is none or too large.

    A float is read as the shortest decimal that stands for it (0.1 is 0.1, not 0.1000000000000000055).
    Text may have a currency sign, thousands separators and a decimal comma; in brackets it is negative. Which mark
    is the decimal one is the locale's, or guessed without one.
    """
    rounded = _exact(expr, dtype, locale, unit).round(4, mode="half_to_even")
    return pl.when(rounded.abs() < _LARGEST).then(rounded).otherwise(None).cast(MONEY, strict=False)


def number(expr: pl.Expr, dtype: pl.DataType, locale: str | None = None, unit: UnitRule | None = None) -> pl.Expr:
    """A quantity as float; null where it is none or not finite, and where a unit is converted beyond 10^14."""
    if unit:
        return _exact(expr, dtype, locale, unit).cast(pl.Float64)
    value = _plain_number(as_text(expr, dtype), locale) if dtype == pl.String else expr
    found = value.cast(pl.Float64, strict=False)
    return pl.when(found.is_finite()).then(found)


def _exact(expr: pl.Expr, dtype: pl.DataType, locale: str | None, unit: UnitRule | None) -> pl.Expr:
    if dtype.is_integer() or dtype.is_decimal():
        text = expr.cast(pl.String)
    elif dtype.is_float():
        text = pl.when(expr.abs() < _LARGEST).then(expr.cast(pl.String))
    else:
        text = _plain_number(as_text(expr, dtype), locale)
    value = text.cast(_EXACT, strict=False)
    if unit is None:
        return value
    factor, offset = conversion(unit.of, unit.into)
    value = pl.when(value.abs() < _LARGEST).then(value)
    # Whole numbers alone, so that an ounce or a third is rounded once and at the end.
    scaled = value.cast(_SCALED) * _whole(factor.numerator) / _whole(factor.denominator)
    return scaled + _whole(offset.numerator) / _whole(offset.denominator) if offset else scaled


def _whole(count: int) -> pl.Expr:
    return pl.lit(count).cast(_SCALED)


def bare_number(text: pl.Expr) -> pl.Expr:
    """A number as text without currency, blanks and apostrophes; one in brackets, or before a minus, is negative."""
    bare = text.str.replace_all(r"[\s'’\p{Sc}]|[A-Za-z]{3}$|^[A-Za-z]{3}", "")
    return bare.str.replace(r"^\((.*)\)$", "-${1}").str.replace(r"^([\d.,]+)-$", "-${1}").str.replace("−", "-")


def _plain_number(text: pl.Expr, locale: str | None = None) -> pl.Expr:
    bare = bare_number(text)
    if locale:
        return plain_number(bare, locale)
    by_comma = bare.str.contains(r",\d{1,2}$") | bare.str.contains(BY_COMMA)
    european = bare.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    plain = pl.when(by_comma).then(european).otherwise(bare.str.replace_all(",", "", literal=True))
    return pl.when(plain.str.contains(r"^[+-]?\d*\.?\d*(?:[eE][+-]?\d+)?$")).then(plain)


def moment(expr: pl.Expr, dtype: pl.DataType, zone: str, form: Format | None = None) -> pl.Expr:
    """A point in time in UTC; what has no time zone is in `zone`, a day is its midnight there.

    Text is read by `form` (strftime; one or several), else as ISO 8601; whole numbers as yyyymmdd, or seconds,
    milliseconds or microseconds since 1970 by their size. Null where it is none of these.
    """
    if isinstance(dtype, pl.Datetime):
        value = expr.cast(pl.Datetime("us", dtype.time_zone))
        return value.dt.convert_time_zone("UTC") if dtype.time_zone else localise(value, zone)
    if dtype == pl.Date:
        return localise(expr.cast(pl.Datetime("us")), zone)
    text = as_text(expr, dtype).str.strip_chars()
    tries = [in_format(text, one, zone) for one in each_format(form)]
    iso = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T").str.replace(r" ?(?:Z|z|UTC|GMT)$", "+00:00")
    iso = iso.str.replace(r" ([+-]\d{2}:?\d{2})$", "${1}")
    tries += [iso.str.to_datetime(f, strict=False, time_zone="UTC", time_unit="us") for f in _ZONED]
    tries += [localise(iso.str.to_datetime(f, strict=False, time_unit="us"), zone) for f in _NAIVE]
    tries += [localise(iso.str.to_date(f, strict=False).cast(pl.Datetime("us")), zone) for f in _DAYS]
    tries.append(_epoch(text))
    return pl.coalesce(tries)


def calendar_day(expr: pl.Expr, dtype: pl.DataType, zone: str) -> pl.Expr:
    """The day that a moment was written as; what is no moment stays as it is.

    A spreadsheet's or database's birth date is midnight in `zone`, and the day before in UTC east of Greenwich. One
    written as midnight in UTC is that day, wherever the source stands.
    """
    if not isinstance(dtype, pl.Datetime):
        return expr
    if not dtype.time_zone:
        return expr.dt.date()
    there, utc = expr.dt.convert_time_zone(zone), expr.dt.convert_time_zone("UTC")
    meant = (there.dt.time() != pl.time(0)) & (utc.dt.time() == pl.time(0))
    return pl.when(meant).then(utc.dt.date()).otherwise(there.dt.date())


def _epoch(text: pl.Expr) -> pl.Expr:
    """Seconds, milliseconds from eleven digits on, or microseconds from fourteen on, since 1970."""
    count = pl.when(text.str.contains(r"^\d{9,17}$")).then(text).cast(pl.Int64, strict=False)
    micros = (
        pl.when(count >= 10**13).then(count).when(count >= 10**10).then(count * 1_000).otherwise(count * 1_000_000)
    )
    return micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def json(columns: Mapping[str, pl.Expr]) -> pl.Expr:
    """Columns as a JSON object, one per row; null where every one of them is."""
    if not columns:
        return pl.lit(None, dtype=pl.String)
    nothing = pl.all_horizontal(e.is_null() for e in columns.values())
    text = pl.struct(e.alias(n) for n, e in columns.items()).struct.json_encode()
    return pl.when(~nothing).then(text)


def label(expr: pl.Expr) -> pl.Expr:
    """Text for people: tidy spaces, nothing where it is empty."""
    text = squeezed(expr)
    return pl.when(text != "").then(text)


def polars_type(arrow: pa.DataType) -> pl.DataType:
    """The Polars type of an Arrow one."""
    return pl.Series(pa.array([], arrow)).dtype
