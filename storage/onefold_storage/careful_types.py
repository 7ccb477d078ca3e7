"""Types told value by value: what fits is brought to the contract's type, what does not is found.

Text is read strictly: blanks around a value are none of it, `12` is an integer and `12.0` is not. Everything is done
by column, on whole batches.
"""

from __future__ import annotations

from typing import cast

import polars as pl
import pyarrow as pa

from onefold_storage.contract_fields import each_format
from onefold_storage.contracts import ContractColumn
from onefold_storage.local_time import in_format, localise
from onefold_storage.plain_numbers import plain_number
from onefold_storage.row_text import frame_of, text_of

_TRUE = ["true", "t", "yes", "y", "1"]
_FALSE = ["false", "f", "no", "n", "0"]
_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
_ZONED = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
)


def careful(
    given: pa.Array, column: ContractColumn, zone: str, locale: str | None = None
) -> tuple[pa.Array, pl.Series]:
    """The values in the column's type, null where one does not fit, and a boolean a value: does it not fit?"""
    frame, no_text = frame_of(pa.table({column.name: given}))
    typed = _typed(frame, column, zone, locale)
    misfit = typed.is_null() & frame.get_column(column.name).is_not_null()
    if column.name in no_text:
        misfit = misfit | no_text[column.name]
    return typed.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(column.type), misfit


def _typed(frame: pl.DataFrame, column: ContractColumn, zone: str, locale: str | None) -> pl.Series:
    given = frame.get_column(column.name)
    if given.dtype == pl.Null:
        return given.cast(_polars(column))
    if _polars(column) == pl.String:
        return text_of(given)
    text = given.dtype == pl.String
    expression = _text(column, zone, locale) if text else _native(column, given.dtype, zone)
    return frame.with_columns(expression.alias(column.name)).get_column(column.name)


def _polars(column: ContractColumn) -> pl.DataType:
    return cast("pl.Series", pl.from_arrow(pa.array([], column.type))).dtype


def _text(column: ContractColumn, zone: str, locale: str | None) -> pl.Expr:
    value, target = pl.col(column.name), _polars(column)
    bare = value.str.strip_chars()
    if target == pl.Boolean:
        low = bare.str.to_lowercase()
        return pl.when(low.is_in(_TRUE)).then(True).when(low.is_in(_FALSE)).then(False)
    if target == pl.Date:
        forms = each_format(column.rules.format) or ("%Y-%m-%d",)
        return pl.coalesce([bare.str.to_date(form, strict=False) for form in forms])
    if isinstance(target, pl.Datetime):
        forms = each_format(column.rules.format)
        return pl.coalesce([_moment(bare, form, zone) for form in forms or (None,)])
    if locale:
        bare = plain_number(bare, locale)
    number = bare.cast(target, strict=False)
    if target == pl.Float64:
        return pl.when(number.is_finite()).then(number)
    if isinstance(target, pl.Decimal):  # more places than promised would be rounded away
        finer = bare.str.contains(rf"^[^eE]*\.\d{{{target.scale}}}\d*[1-9]\d*$")
        return pl.when(~finer).then(number)
    return number


def _moment(value: pl.Expr, form: str | None, zone: str) -> pl.Expr:
    if form:
        return in_format(value, form, zone)
    utc = value.str.replace(r"[Zz]$", "+00:00")
    zoned = [utc.str.to_datetime(f, strict=False, time_zone="UTC", time_unit="us") for f in _ZONED]
    naive = [value.str.to_datetime(f, strict=False, time_unit="us") for f in _TIMES]
    day = value.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    return pl.coalesce([*zoned, *(localise(n, zone) for n in (*naive, day))])


def _native(column: ContractColumn, given: pl.DataType, zone: str) -> pl.Expr:
    """From another type than text; null where the types have nothing to do with each other."""
    value, target = pl.col(column.name), _polars(column)
    none = pl.lit(None, dtype=target)
    if isinstance(target, pl.Datetime):
        return _native_moment(value, given, zone) if given in (pl.Date, pl.Datetime) else none
    if target == pl.Date:
        if not isinstance(given, pl.Datetime):
            return value if given == pl.Date else none
        local = value.dt.convert_time_zone(zone).dt.replace_time_zone(None) if given.time_zone else value
        return pl.when(local.dt.time() == pl.time(0)).then(local.dt.date())
    if target == pl.Boolean:
        if given.is_integer():
            return pl.when(value.is_in([0, 1])).then(value == 1)
        return value if given == pl.Boolean else none
    if not given.is_numeric():
        return none
    number = value.cast(target, strict=False)
    if target == pl.Float64:
        return pl.when(number.is_finite()).then(number)
    if target == pl.Int64 and given.is_float():
        return pl.when(value == value.floor()).then(number)
    if given.is_decimal():  # places that would be cut off
        return pl.when(number.cast(given, strict=False) == value).then(number)
    return number


def _native_moment(value: pl.Expr, given: pl.DataType, zone: str) -> pl.Expr:
    stated = given.time_zone if isinstance(given, pl.Datetime) else None
    moment = value.cast(pl.Datetime("us", stated))
    return moment.dt.convert_time_zone("UTC") if stated else localise(moment, zone)
