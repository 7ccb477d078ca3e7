"""Any column as text, so that a row can be kept as it came: as JSON, whatever its types are.

Numbers, dates and booleans become their usual text, nested values JSON, and bytes the text they hold; bytes that
are no UTF-8 are written as `\\x` and hexadecimal digits, so that nothing is lost.
"""

from __future__ import annotations

from typing import Any, cast

import orjson
import polars as pl
import pyarrow as pa

_HEX = "\\x"


def frame_of(rows: pa.Table) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """Rows as Polars with bytes and nested values as text, and by column which values were no UTF-8."""
    if not rows.num_columns:
        return pl.DataFrame(), {}
    frame = cast("pl.DataFrame", pl.from_arrow(rows))
    broken: dict[str, pl.Series] = {}
    for name, kind in frame.schema.items():
        column = frame.get_column(name)
        if kind == pl.Binary:
            text, wrong = _decoded(column)
            frame = frame.with_columns(text)
            if wrong.any():
                broken[name] = wrong
        elif kind.is_nested():
            frame = frame.with_columns(_nested(column, rows.column(name)))
    return frame, broken


def text_of(column: pl.Series) -> pl.Series:
    """A flat column as text."""
    if column.dtype == pl.Duration:
        column = column.dt.total_microseconds()
    return column.cast(pl.String, strict=False)


def as_json(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    """One JSON object a row, all values as text; null where no column is named."""
    if not columns:
        return pl.Series("json", [None], dtype=pl.String).new_from_index(0, frame.height)
    texts = pl.DataFrame([text_of(frame.get_column(c)) for c in columns])
    return texts.select(pl.struct(pl.all()).struct.json_encode().alias("json")).get_column("json")


def _decoded(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    try:
        return column.cast(pl.String), column.is_null() & False
    except pl.exceptions.ComputeError:
        pass
    texts: list[str | None] = []
    wrong: list[bool] = []
    for value in column:  # only where a batch holds such bytes
        try:
            texts.append(None if value is None else value.decode())
            wrong.append(False)
        except UnicodeDecodeError:
            texts.append(_HEX + value.hex())
            wrong.append(True)
    return pl.Series(column.name, texts, pl.String), pl.Series(wrong, dtype=pl.Boolean)


def _nested(column: pl.Series, given: pa.ChunkedArray) -> pl.Series:
    if _encodes(column.dtype):
        wrapped = column.alias("v").to_frame().select(pl.struct("v").struct.json_encode().alias(column.name))
        text = wrapped.get_column(column.name).str.slice(5).str.head(-1)  # {"v":…}
        return text.zip_with(column.is_not_null(), pl.Series([None], dtype=pl.String))
    values = given.to_pylist()
    texts = [None if v is None else orjson.dumps(v, default=_plain).decode() for v in values]
    return pl.Series(column.name, texts, pl.String)


def _encodes(kind: pl.DataType) -> bool:
    """Whether Polars writes it as JSON."""
    if isinstance(kind, pl.List):
        return _encodes(cast("pl.DataType", kind.inner))
    if isinstance(kind, pl.Struct):
        return bool(kind.fields) and all(_encodes(cast("pl.DataType", f.dtype)) for f in kind.fields)
    return kind.is_integer() or kind.is_float() or kind in (pl.String, pl.Boolean, pl.Date)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return _HEX + value.hex()
    return str(value)
