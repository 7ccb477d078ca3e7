"""Checks a batch against its contract: types, required values, and what was not promised.

Text is read strictly (`12` is an integer, `12.0` is not); what does not fit becomes a failed event with its
row, field and rule, and the rest of the batch goes on. Everything is done by column, on whole batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import polars as pl
import pyarrow as pa

from onefold_storage.contracts import Contract, ContractColumn
from onefold_storage.deliveries import BadRow, Batch
from onefold_storage.errors import BadInput
from onefold_storage.row_text import as_json, frame_of, text_of

_TRUE = ["true", "t", "yes", "y", "1"]
_FALSE = ["false", "f", "no", "n", "0"]
_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
_ZONED = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
)
_ROW = "_row_id"


@dataclass(frozen=True)
class Checked:
    """The rows that keep the contract (its columns, `_row_id`, `_extra`), and those that break it."""

    rows: pl.DataFrame
    bad: tuple[BadRow, ...]


def check(contract: Contract, batch: Batch) -> Checked:
    """Bring a batch to the contract's types.

    Raises:
        BadInput: a required column is absent: a breaking change, the whole package is held back.
    """
    frame, no_text = frame_of(batch.rows)
    absent = [c.name for c in contract.columns if c.required and c.name not in frame.columns]
    if absent and frame.height:
        known = [n for n in contract.by_name if n in frame.columns]
        others = len(frame.columns) - len(known)  # unnamed: without a header line, data stands in their place
        found = ", ".join(known) or "none of its columns"
        raise BadInput(
            f"required column {', '.join(absent)} of contract {contract.id} is absent; found {found}"
            f"{f' and {others} unknown' if others else ''}: correct the contract, or ask the source what changed"
        )
    typed = {c.name: _typed(frame, c, contract.rules.timezone) for c in contract.columns}
    extra = [n for n in frame.columns if n not in typed]
    checks: list[pl.DataFrame] = []
    for column in contract.columns:
        given = frame.get_column(column.name) if column.name in frame.columns else None
        result = typed[column.name]
        if given is not None:
            misfit = result.is_null() & given.is_not_null()
            if column.name in no_text:
                misfit = misfit | no_text[column.name]
            checks.append(_faults(misfit, column, "type", f"expected {_expected(column)}"))
        if column.required:
            empty = result.is_null() if given is None else given.is_null()
            checks.append(_faults(empty, column, "required", "expected a value, found none"))
    rows = pl.DataFrame([*typed.values()]) if typed else pl.DataFrame()
    rows = rows.with_columns(
        pl.Series(_ROW, batch.row_ids.to_numpy(zero_copy_only=False), pl.Int64),
        as_json(frame, extra).alias("_extra"),
    )
    faults = pl.concat(checks).sort("at").unique("at", keep="first", maintain_order=True) if checks else None
    if faults is None or not faults.height:
        return Checked(rows, batch.bad)
    raw = as_json(frame, frame.columns)
    broken = faults.with_columns(
        rows.get_column(_ROW).gather(faults["at"]).alias("row"),
        raw.gather(faults["at"]).alias("raw"),
    )
    bad = tuple(BadRow(r["row"], r["rule"], r["message"], r["raw"].encode(), r["field"]) for r in broken.to_dicts())
    kept = rows.with_row_index("_at").join(faults.select(_at=pl.col("at")), on="_at", how="anti").drop("_at")
    return Checked(kept, (*batch.bad, *bad))


def _faults(mask: pl.Series, column: ContractColumn, rule: str, message: str) -> pl.DataFrame:
    return pl.DataFrame({"at": mask.arg_true()}, schema={"at": pl.UInt32}).with_columns(
        field=pl.lit(column.name), rule=pl.lit(rule), message=pl.lit(f"{column.name}: {message}")
    )


def _expected(column: ContractColumn) -> str:
    how = f" as {column.rules.format}" if column.rules.format else ""
    return f"{column.logical_type}{how}"


def _typed(frame: pl.DataFrame, column: ContractColumn, zone: str) -> pl.Series:
    if column.name not in frame.columns:
        return pl.Series(column.name, [None], dtype=_polars(column)).new_from_index(0, frame.height)
    given = frame.get_column(column.name)
    if given.dtype == pl.Null:
        return given.cast(_polars(column))
    if _polars(column) == pl.String:
        return text_of(given)
    expression = _native(column, given.dtype, zone) if given.dtype != pl.String else _text(column, zone)
    return frame.with_columns(expression.alias(column.name)).get_column(column.name)


def _polars(column: ContractColumn) -> pl.DataType:
    return cast("pl.Series", pl.from_arrow(pa.array([], column.type))).dtype


def _text(column: ContractColumn, zone: str) -> pl.Expr:
    value, target = pl.col(column.name), _polars(column)
    bare = value.str.strip_chars()
    if target == pl.Boolean:
        low = bare.str.to_lowercase()
        return pl.when(low.is_in(_TRUE)).then(True).when(low.is_in(_FALSE)).then(False)
    if target == pl.Date:
        return bare.str.to_date(column.rules.format or "%Y-%m-%d", strict=False)
    if isinstance(target, pl.Datetime):
        return _moment(bare, column.rules.format, zone)
    number = bare.cast(target, strict=False)
    if target == pl.Float64:
        return pl.when(number.is_finite()).then(number)
    if isinstance(target, pl.Decimal):  # more places than promised would be rounded away
        finer = bare.str.contains(rf"^[^eE]*\.\d{{{target.scale}}}\d*[1-9]\d*$")
        return pl.when(~finer).then(number)
    return number


def _moment(value: pl.Expr, form: str | None, zone: str) -> pl.Expr:
    if form and "%z" in form:
        return value.str.to_datetime(form, strict=False, time_zone="UTC", time_unit="us")
    if form:
        return localise(value.str.to_datetime(form, strict=False, time_unit="us"), zone)
    utc = value.str.replace(r"[Zz]$", "+00:00")
    zoned = [utc.str.to_datetime(f, strict=False, time_zone="UTC", time_unit="us") for f in _ZONED]
    naive = [value.str.to_datetime(f, strict=False, time_unit="us") for f in _TIMES]
    day = value.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    return pl.coalesce([*zoned, *(localise(n, zone) for n in (*naive, day))])


def localise(naive: pl.Expr, zone: str) -> pl.Expr:
    """Local time to UTC; an hour that a clock change repeats is its first, one it skips is an hour later."""

    def placed(e: pl.Expr) -> pl.Expr:
        return e.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")

    return pl.coalesce(placed(naive), placed(naive.dt.offset_by("1h"))).dt.convert_time_zone("UTC")


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
