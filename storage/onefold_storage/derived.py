"""Values that a contract takes out of a column: by a path into JSON, by parting text, by a value map.

One place carries this out, for the maps into silver and for the suppression list alike, so that a person whose email
stands inside an object is known by it in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import polars as pl
import pyarrow as pa

from onefold_storage.contract_fields import DerivedRule, FieldRule, SplitRule
from onefold_storage.json_paths import spelt

if TYPE_CHECKING:
    from onefold_storage.contracts import Contract


def as_text(expr: pl.Expr, dtype: pl.DataType | None = None) -> pl.Expr:
    """Any value as text the way a person would write it: whole floats without `.0`, dates as ISO, bytes as UTF-8.

    `dtype` is the column's type; without it text is expected.
    """
    if dtype is None or dtype == pl.String:
        return expr.cast(pl.String)
    if dtype.is_float():
        whole = expr.cast(pl.Int64, strict=False)
        plain = (expr.abs() < 1e15) & (whole.cast(pl.Float64) == expr)
        return pl.when(plain).then(whole.cast(pl.String)).when(expr.is_finite()).then(expr.cast(pl.String))
    if dtype.is_decimal():
        return expr.cast(pl.String).str.replace(r"(\.\d*?)0+$", "${1}").str.replace(r"\.$", "")
    if isinstance(dtype, pl.Struct):
        return expr.struct.json_encode()
    if isinstance(dtype, pl.List):
        return expr.cast(pl.List(pl.String), strict=False).list.join(", ")
    return expr.cast(pl.String, strict=False)


def written(expr: pl.Expr, dtype: pl.DataType, *values: Mapping[str, str | None] | None) -> pl.Expr:
    """A column as text without space at its ends, empty is null; then the value maps, one after the other."""
    text = _filled(as_text(expr, dtype))
    for meant in values:
        if meant:
            text = replaced(text, meant)
    return text


def replaced(text: pl.Expr, meant: Mapping[str, str | None]) -> pl.Expr:
    """Text by a value map; what the map does not name stays."""
    return text.replace_strict(list(meant), list(meant.values()), default=text, return_dtype=pl.String)


def taken(rule: FieldRule, dtype: pl.DataType, own: Mapping[str, str | None] | None = None) -> pl.Expr:
    """A rule's column as text through its `path`, `split` and `values`; `own` is the column's own value map."""
    text = written(pl.col(rule.column or ""), dtype, own)
    if rule.path:
        text = _filled(text.str.json_path_match(spelt(rule.path)))
    if rule.split:
        text = _filled(parted(text, rule.split))
    return replaced(text, rule.values) if rule.values else text


def parted(text: pl.Expr, rule: SplitRule) -> pl.Expr:
    """Parts of a text; null where it has not so many. Runs of blanks part once where it is parted by a blank."""
    blank = rule.by == " "
    parts = (text.str.replace_all(r"\s+", " ") if blank else text).str.split(rule.by)
    count = parts.list.len().cast(pl.Int64)
    first = _place(rule.part, count)
    last = first if rule.to is None else pl.min_horizontal(_place(rule.to, count), count - 1)
    there = (first >= 0) & (first < count) & (last >= first)
    return pl.when(there).then(parts.list.slice(first, last - first + 1).list.join(rule.by))


def with_derived(contract: Contract, frame: pl.DataFrame, rules: Mapping[str, DerivedRule]) -> pl.DataFrame:
    """Bronze rows with what `rules` take out of them, as text by name; a column that is not there gives nulls."""
    made: list[pl.Expr] = []
    for name, rule in rules.items():
        if name in frame.columns:
            continue
        if rule.column in frame.columns:
            own = contract.by_name[rule.column].rules.values
            value = taken(rule, frame.schema[rule.column], own)
        else:
            value = pl.lit(None, dtype=pl.String)
        made.append(value.alias(name))
    return frame.with_columns(made) if made else frame


def table_with_derived(contract: Contract, rows: pa.Table, rules: Mapping[str, DerivedRule]) -> pa.Table:
    """As `with_derived`, for Arrow, whose other columns stay as they lie in memory."""
    if not rules:
        return rows
    wanted = dict.fromkeys(r.column for r in rules.values() if r.column in rows.column_names)
    frame = cast("pl.DataFrame", pl.from_arrow(rows.select(list(wanted))))
    if not wanted:
        frame = pl.DataFrame({"_": pl.repeat(0, rows.num_rows, eager=True)})
    frame = with_derived(contract, frame, rules)
    for name in rules:
        rows = rows.append_column(
            name, frame[name].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
        )
    return rows


def _filled(text: pl.Expr) -> pl.Expr:
    bare = text.str.strip_chars()
    return pl.when(bare != "").then(bare)


def _place(part: int, count: pl.Expr) -> pl.Expr:
    return pl.lit(part - 1, pl.Int64) if part > 0 else count + part
