"""Checks a batch against its contract: types, required values, and what was not promised.

What does not fit becomes a failed event with its row, field and rule, and the rest of the batch goes on. Columns
written as most are pass at once (`quick_types.py`); only those with anything odd in them are looked at value by value
(`careful_types.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import polars as pl
import pyarrow as pa

from onefold_storage.careful_types import careful
from onefold_storage.contract_fields import format_said
from onefold_storage.contracts import Contract, ContractColumn
from onefold_storage.deliveries import BadRow, Batch
from onefold_storage.errors import BadInput
from onefold_storage.local_time import localise
from onefold_storage.quick_types import quick
from onefold_storage.row_text import as_json, frame_of

__all__ = ["Checked", "check", "localise"]
_ROW = "_row_id"


@dataclass(frozen=True)
class Checked:
    """The rows that keep the contract (its columns, `_row_id`, `_extra`), and those that break it."""

    table: pa.Table
    bad: tuple[BadRow, ...]

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The table as Polars."""
        return cast("pl.DataFrame", pl.from_arrow(self.table))


def check(contract: Contract, batch: Batch) -> Checked:
    """Bring a batch to the contract's types.

    Raises:
        BadInput: a required column is absent: a breaking change, the whole package is held back.
    """
    given, names = batch.rows, batch.rows.column_names
    _refuse_absent(contract, given)
    columns: dict[str, pa.Array] = {}
    faults: list[pl.DataFrame] = []
    for column in contract.columns:
        if column.name not in names:
            columns[column.name] = pa.nulls(given.num_rows, column.type)
            continue
        values = _whole(given.column(column.name))
        zone = column.rules.timezone or contract.rules.timezone
        locale = column.rules.locale or contract.rules.locale
        typed = quick(values, column, zone, locale)
        if typed is None:
            typed, misfit = careful(values, column, zone, locale)
            faults.append(_faults(misfit, column, "type", f"expected {_expected(column, locale)}"))
        if column.required and values.null_count:
            empty = cast("pl.Series", pl.from_arrow(values.is_null()))
            faults.append(_faults(empty, column, "required", "expected a value, found none"))
        columns[column.name] = typed
    extra = _rest(given.select([n for n in names if n not in columns]))
    rows = pa.table(columns | {_ROW: batch.row_ids.cast(pa.int64()), "_extra": extra})
    found = (
        pl.concat(faults).sort("at", maintain_order=True).unique("at", keep="first", maintain_order=True)
        if faults
        else None
    )
    if found is None or not found.height:
        return Checked(rows, batch.bad)
    broken = found["at"].to_arrow()
    texts = _rest(given.take(broken))
    bad = tuple(
        BadRow(row, rule, message, raw.encode(), field)
        for row, rule, message, raw, field in zip(
            rows.column(_ROW).take(broken).to_pylist(),
            found["rule"],
            found["message"],
            texts.to_pylist(),
            found["field"],
            strict=True,
        )
    )
    kept = pl.repeat(True, rows.num_rows, eager=True).scatter(found["at"], False)
    return Checked(rows.filter(kept.to_arrow()), (*batch.bad, *bad))


def _refuse_absent(contract: Contract, rows: pa.Table) -> None:
    absent = [c.name for c in contract.columns if c.required and c.name not in rows.column_names]
    if not absent or not rows.num_rows:
        return
    known = [n for n in contract.by_name if n in rows.column_names]
    others = rows.num_columns - len(known)  # unnamed: without a header line, data stands in their place
    found = ", ".join(known) or "none of its columns"
    raise BadInput(
        f"required column {', '.join(absent)} of contract {contract.id} is absent; found {found}"
        f"{f' and {others} unknown' if others else ''}: correct the contract, or ask the source what changed"
    )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _rest(rows: pa.Table) -> pa.Array:
    """Rows as JSON objects of text; null where there is no column."""
    frame, _ = frame_of(rows)
    if not rows.num_columns:
        return pa.nulls(rows.num_rows, pa.string())
    return as_json(frame, frame.columns).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())


def _faults(mask: pl.Series, column: ContractColumn, rule: str, message: str) -> pl.DataFrame:
    return pl.DataFrame({"at": mask.arg_true()}, schema={"at": pl.UInt32}).with_columns(
        field=pl.lit(column.name), rule=pl.lit(rule), message=pl.lit(f"{column.name}: {message}")
    )


def _expected(column: ContractColumn, locale: str | None) -> str:
    how = format_said(column.rules.format)
    if locale and column.logical_type in ("integer", "number"):
        how = f" as {locale} writes it"
    return f"{column.logical_type}{how}"
