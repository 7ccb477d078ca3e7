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

_TRUE = ["true", "t", "yes", "y", "1"]
_FALSE = ["false", "f", "no", "n", "0"]
_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
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
    frame = _frame(batch)
    absent = [c.name for c in contract.columns if c.required and c.name not in frame.columns]
    if absent and frame.height:
        raise BadInput(
            f"{contract.id}: required column {', '.join(absent)} is absent; found {', '.join(frame.columns[:20])}"
        )
    typed = {c.name: _typed(frame, c, contract.rules.timezone) for c in contract.columns}
    extra = [n for n in frame.columns if n not in typed]
    checks: list[pl.DataFrame] = []
    for column in contract.columns:
        given = frame.get_column(column.name) if column.name in frame.columns else None
        result = typed[column.name]
        if given is not None:
            misfit = result.is_null() & given.is_not_null()
            checks.append(_faults(misfit, column, "type", f"expected {_expected(column)}"))
        if column.required:
            empty = result.is_null() if given is None else given.is_null()
            checks.append(_faults(empty, column, "required", "expected a value, found none"))
    rows = pl.DataFrame([*typed.values()]) if typed else pl.DataFrame()
    rows = rows.with_columns(
        pl.Series(_ROW, batch.row_ids.to_numpy(zero_copy_only=False), pl.Int64), _extra(frame, extra)
    )
    faults = pl.concat(checks).sort("at").unique("at", keep="first", maintain_order=True) if checks else None
    if faults is None or not faults.height:
        return Checked(rows, batch.bad)
    raw = frame.select(pl.struct(pl.all().cast(pl.String, strict=False)).struct.json_encode().alias("raw"))
    broken = faults.with_columns(
        rows.get_column(_ROW).gather(faults["at"]).alias("row"),
        raw.get_column("raw").gather(faults["at"]).alias("raw"),
    )
    bad = tuple(BadRow(r["row"], r["rule"], r["message"], r["raw"].encode(), r["field"]) for r in broken.to_dicts())
    kept = rows.with_row_index("_at").join(faults.select(_at=pl.col("at")), on="_at", how="anti").drop("_at")
    return Checked(kept, (*batch.bad, *bad))


def _frame(batch: Batch) -> pl.DataFrame:
    rows = batch.rows
    if not rows.num_columns:
        return pl.DataFrame()
    for i, f in enumerate(rows.schema):  # bytes that a connector could not call text: landing keeps them as text
        if pa.types.is_binary(f.type) or pa.types.is_large_binary(f.type):
            rows = rows.set_column(i, f.name, rows.column(i).cast(pa.string()))
    return cast("pl.DataFrame", pl.from_arrow(rows))


def _faults(mask: pl.Series, column: ContractColumn, rule: str, message: str) -> pl.DataFrame:
    return pl.DataFrame({"at": mask.arg_true()}, schema={"at": pl.UInt32}).with_columns(
        field=pl.lit(column.name), rule=pl.lit(rule), message=pl.lit(f"{column.name}: {message}")
    )


def _expected(column: ContractColumn) -> str:
    how = f" as {column.rules.format}" if column.rules.format else ""
    return f"{column.logical_type}{how}"


def _extra(frame: pl.DataFrame, names: list[str]) -> pl.Series:
    if not names:
        return pl.Series("_extra", [None], dtype=pl.String).new_from_index(0, frame.height)
    text = frame.select(pl.struct(pl.col(names).cast(pl.String, strict=False)).struct.json_encode().alias("_extra"))
    return text.get_column("_extra")


def _typed(frame: pl.DataFrame, column: ContractColumn, zone: str) -> pl.Series:
    if column.name not in frame.columns:
        return pl.Series(column.name, [None], dtype=_polars(column)).new_from_index(0, frame.height)
    given = frame.get_column(column.name)
    if given.dtype == pl.Null:
        return given.cast(_polars(column))
    expression = _native(column, given.dtype, zone) if given.dtype != pl.String else _text(column, zone)
    return frame.select(expression.alias(column.name)).get_column(column.name)


def _polars(column: ContractColumn) -> pl.DataType:
    return cast("pl.Series", pl.from_arrow(pa.array([], column.type))).dtype


def _text(column: ContractColumn, zone: str) -> pl.Expr:
    value, target = pl.col(column.name), _polars(column)
    bare = value.str.strip_chars()
    if target == pl.String:
        return value
    if target == pl.Boolean:
        low = bare.str.to_lowercase()
        return pl.when(low.is_in(_TRUE)).then(True).when(low.is_in(_FALSE)).then(False)
    if target == pl.Date:
        return bare.str.to_date(column.rules.format or "%Y-%m-%d", strict=False)
    if isinstance(target, pl.Datetime):
        return _moment(bare, column.rules.format, zone)
    number = bare.cast(target, strict=False)
    return pl.when(number.is_finite()).then(number) if target == pl.Float64 else number


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
    value, target = pl.col(column.name), _polars(column)
    if isinstance(target, pl.Datetime):
        if isinstance(given, pl.Datetime):
            moment = value.cast(pl.Datetime("us", given.time_zone))
            return moment.dt.convert_time_zone("UTC") if given.time_zone else localise(moment, zone)
        if given == pl.Date:
            return localise(value.cast(pl.Datetime("us")), zone)
        return pl.lit(None, dtype=target)
    if target == pl.String:
        if isinstance(given, pl.Struct):
            return value.struct.json_encode()
        return value.cast(pl.String, strict=False)
    if target == pl.Date:
        return value.cast(pl.Date, strict=False) if given.is_temporal() else pl.lit(None, dtype=pl.Date)
    if target == pl.Int64 and given.is_float():
        return pl.when(value == value.floor()).then(value.cast(pl.Int64, strict=False))
    if target == pl.Float64:
        number = value.cast(pl.Float64, strict=False)
        return pl.when(number.is_finite()).then(number)
    if target == pl.Boolean and given.is_integer():
        return pl.when(value.is_in([0, 1])).then(value == 1)
    return value.cast(target, strict=False)
