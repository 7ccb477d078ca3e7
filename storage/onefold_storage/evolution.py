"""How a bronze table follows its contract: columns are added and safely widened; what would lose values is refused.

A type may widen where every value that has landed stays what it is: integer to decimal or number, decimal to one
with more places, date to timestamp (its midnight in the source's time zone), anything to text; and a column
without any value may take any type. Delta's own type widening is not written by delta-rs and read by few, so the
table is written anew, row group by row group, in one commit. Nullability never changes a file: a column that is no
longer required simply accepts rows without it.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import Schema

from onefold_storage.checking import localise
from onefold_storage.contracts import Contract
from onefold_storage.errors import BadContract
from onefold_storage.lake import Lake
from onefold_storage.schema import BRONZE_META
from onefold_storage.shapes import TableShape

_STATISTICS = ("_package_id", "_row_id", "_landed_at", "_deleted")
_REQUIRED = tuple(c.name for c in BRONZE_META if c.required)
_EXACT = 2**53
"""Whole numbers up to this one are exact as a 64-bit float (IEEE 754)."""

Convert = Callable[[pa.ChunkedArray], pa.ChunkedArray]
"""A column in its wider type; raises `pa.ArrowInvalid` where a value would not stay what it is."""


def bronze_shape(lake: Lake, contract: Contract) -> TableShape:
    """The shape of the contract's bronze table, after it was brought up to the contract. Hold the source's lock.

    Raises:
        BadContract: the contract would change values that have landed; names each column, and what can be done.
    """
    wanted = pa.schema([*contract.arrow, *(pa.field(c.name, c.type) for c in BRONZE_META)])
    table = lake.found(contract.bronze)
    if table is None:
        return TableShape(wanted, (), _STATISTICS, _REQUIRED)
    present = pa.schema(table.schema().to_arrow())
    changed = {f.name: f.type for f in wanted if f.name in present.names and present.field(f.name).type != f.type}
    if changed:
        present = _widened(lake, contract, present, changed)
    added = [f for f in wanted if f.name not in present.names]
    if added:
        with lake.lock(contract.bronze):
            table = lake.handle(contract.bronze)
            lake.must_hold(contract.bronze)
            table.alter.add_columns(list(Schema.from_arrow(pa.schema(added)).fields))
            if lake.objects.local:
                lake.objects.sync(f"{contract.bronze}/_delta_log/{lake.version(contract.bronze):020d}.json")
    return TableShape(pa.schema([*present, *added]), (), _STATISTICS, _REQUIRED)


def type_words(kind: pa.DataType) -> str:
    """A type as a contract writes it."""
    if pa.types.is_decimal(kind):
        return f"number, decimal({kind.precision},{kind.scale})"
    for matches, words in _WORDS:
        if matches(kind):
            return words
    return str(kind)


_WORDS: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
    (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t), "string"),
)


def _widened(lake: Lake, contract: Contract, present: pa.Schema, changed: dict[str, pa.DataType]) -> pa.Schema:
    """Write the table anew with wider columns, in one commit, and return its schema."""
    converts: dict[str, Convert] = {}
    refused: list[str] = []
    for name, kind in changed.items():
        was = present.field(name).type
        convert = _conversion(was, kind, contract.rules.timezone)
        if convert is None and not _has_values(lake, contract.bronze, name):
            convert = _nulls(kind)
        if convert is None:
            refused.append(f"{name} from {type_words(was)} to {type_words(kind)}")
        else:
            converts[name] = convert
    if refused:
        raise BadContract(
            f"{contract.id}: the contract changes the type of {'; '.join(refused)}; values that have landed would "
            "not stay what they are: put the type back (text holds everything), or land the changed source under "
            "another id. Its packages are held back until then"
        )
    fields = [pa.field(f.name, changed.get(f.name, f.type)) for f in present]
    shape = TableShape(pa.schema(fields), (), _STATISTICS, _REQUIRED)
    with lake.lock(contract.bronze):
        writer = lake.writer(contract.bronze, shape=shape)
        for path, _ in lake.standing(contract.bronze):
            with lake.objects.open(f"{contract.bronze}/{path}") as file:
                parquet = pq.ParquetFile(file)
                for number in range(parquet.num_row_groups):
                    writer.write(_converted(contract.id, parquet.read_row_group(number), converts, shape.schema))
        lake.commit(contract.bronze, writer.close(), shape=shape, replace=True)
    return shape.schema


def _converted(source: str, rows: pa.Table, converts: dict[str, Convert], schema: pa.Schema) -> pa.Table:
    for name, convert in converts.items():
        if name in rows.column_names:
            at, kind = rows.column_names.index(name), schema.field(name).type
            try:
                column = convert(rows.column(name))
            except pa.ArrowInvalid:
                raise BadContract(
                    f"{source}: the contract makes {name} {type_words(kind)}, which does not hold every value that "
                    "has landed: allow more digits, or make it a string. Its packages are held back until then"
                ) from None
            rows = rows.set_column(at, pa.field(name, kind), column)
    return rows


def _conversion(was: pa.DataType, kind: pa.DataType, zone: str) -> Convert | None:
    """How a column widens; None where it would not be safe."""
    if pa.types.is_string(kind):
        return _as_text
    if pa.types.is_integer(was) and pa.types.is_decimal(kind):
        return lambda column: column.cast(pa.decimal128(38, 0)).cast(kind)
    if pa.types.is_integer(was) and pa.types.is_floating(kind):
        return _as_float
    if pa.types.is_decimal(was) and pa.types.is_decimal(kind):
        wider = kind.scale >= was.scale and kind.precision - kind.scale >= was.precision - was.scale
        return (lambda column: column.cast(kind)) if wider else None
    if pa.types.is_date(was) and pa.types.is_timestamp(kind):
        return lambda column: _as_moment(column, zone, kind)
    return None


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%S+00:00")
    return column.cast(pa.string())


def _as_float(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.any(pc.greater(pc.abs(column), _EXACT)).as_py():
        raise pa.ArrowInvalid("a whole number is not exact as a float")
    return column.cast(pa.float64())


def _as_moment(column: pa.ChunkedArray, zone: str, kind: pa.DataType) -> pa.ChunkedArray:
    days = pl.DataFrame({"day": pl.from_arrow(column)})
    moments = days.select(localise(pl.col("day").cast(pl.Datetime("us")), zone)).to_series()
    return pa.chunked_array([moments.to_arrow().cast(kind)])


def _nulls(kind: pa.DataType) -> Convert:
    return lambda column: pa.chunked_array([pa.nulls(len(column), kind)])


def _has_values(lake: Lake, table: str, column: str) -> bool:
    """Whether any row has a value in the column; reads no other."""
    for path, _ in lake.standing(table):
        with lake.objects.open(f"{table}/{path}") as file:
            parquet = pq.ParquetFile(file)
            if column not in parquet.schema_arrow.names:
                continue
            for batch in parquet.iter_batches(columns=[column]):
                if batch.column(0).null_count < batch.num_rows:
                    return True
    return False
