"""A database driver's values as Arrow: the type that the column promises, else the values' own, else text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import sqlalchemy as sa


def arrow_column(values: Sequence[Any], expected: pa.DataType | None) -> pa.Array:
    """Driver values as an Arrow array: of the expected type, else of their own, else as text.

    Raises:
        UnicodeEncodeError: text with bytes that are not UTF-8.
    """
    for kind in (expected, None) if expected is not None else (None,):
        try:
            array = pa.array(values, kind)
        except (pa.ArrowException, OverflowError, TypeError):
            continue
        if pa.types.is_nested(array.type) or isinstance(array.type, pa.BaseExtensionType):
            break
        if pa.types.is_timestamp(array.type) and array.type.tz:
            return array.cast(pa.timestamp("us", "UTC"))
        return array.cast(pa.string()) if pa.types.is_null(array.type) else array
    return pa.array([text_of(v) for v in values], pa.string())


def text_of(value: Any) -> str | None:
    """A value of any kind as text: JSON for what is nested."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return orjson.dumps(value, default=str).decode()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)


def arrow_type(kind: Any, dialect: str) -> pa.DataType | None:
    """The Arrow type that a database column always fits; None where its values must say."""
    if isinstance(kind, sa.Integer):
        return pa.int64()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.String):
        return pa.string()
    if isinstance(kind, sa.LargeBinary):
        return pa.binary()
    if dialect == "sqlite":
        return None
    if isinstance(kind, sa.Numeric) and kind.precision and kind.precision <= 38:
        return pa.decimal128(kind.precision, kind.scale or 0)
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", "UTC" if kind.timezone else None)
    if isinstance(kind, sa.Date):
        return pa.date32()
    return pa.bool_() if isinstance(kind, sa.Boolean) else None
