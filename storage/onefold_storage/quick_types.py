"""Types that are told for a whole column at once: the way of values that are written as most are.

`quick` gives a column in the contract's type, or None where that takes a closer look: a value that does not fit, or
that only the careful way reads (blanks around, a plus sign, a time without seconds, another format). It never gives
another answer than the careful way of `checking.py` would, which a property test holds. Arrow's own parsers do the
work; what they take beyond that (`0x1F`, hours alone) is kept from them by a look at the bytes.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from onefold_storage.contracts import ContractColumn
from onefold_storage.local_time import localise
from onefold_storage.locales import decimal_mark
from onefold_storage.schema import TIMESTAMP
from onefold_storage.texts import Texts

_WHOLE = b"0123456789-"
_NUMBER = b"0123456789.-"
_BOOLEANS = ("true", "t", "yes", "y", "1", "false", "f", "no", "n", "0")
_TRUE = 5  # so many of them, from the first on, are true
_NAIVE = pa.timestamp("us")


def quick(given: pa.Array, column: ContractColumn, zone: str, locale: str | None = None) -> pa.Array | None:
    """The values in the column's type, each of them; None where the careful way must look."""
    target = column.type
    if pa.types.is_null(given.type):
        return pa.nulls(len(given), target)
    if given.type == target:
        return given if not pa.types.is_floating(target) or _finite(given) else None
    try:
        if pa.types.is_large_string(given.type):
            given = given.cast(pa.string())
        if given.type != pa.string():
            return None
        return given if target == pa.string() else _from_text(given, column, zone, locale)
    except pa.ArrowInvalid:  # a value that does not fit
        return None


def _from_text(given: pa.Array, column: ContractColumn, zone: str, locale: str | None) -> pa.Array | None:
    target, text = column.type, Texts(given)
    if pa.types.is_integer(target):
        return given.cast(target) if text.only(_WHOLE) else None
    if pa.types.is_floating(target) or pa.types.is_decimal(target):
        if not text.only(_NUMBER) or not text.lengths_within(1, 64) or not text.each_has(-1, b"0123456789"):
            return None
        if locale and decimal_mark(locale) == "," and text.count(b"."):  # a point parts thousands
            return None
        number = given.cast(target)
        return number if pa.types.is_decimal(target) or _finite(number) else None
    if pa.types.is_boolean(target):
        at = pc.index_in(given, _booleans())
        return pc.less(at, _TRUE) if at.null_count == given.null_count else None
    if column.rules.format:
        return None
    if pa.types.is_date(target):
        return given.cast(target) if text.lengths_within(10, 10) and text.only(_WHOLE) else None
    return _moments(given, text, zone) if target == TIMESTAMP else None


@cache
def _booleans() -> pa.Array:
    """As Arrow looks them up; made when first needed, for the first array that is made imports pandas."""
    return pa.array(_BOOLEANS)


def _moments(given: pa.Array, text: Texts, zone: str) -> pa.Array | None:
    """Times to the second or finer: all in UTC (`Z`) or all without a zone, which is the source's then."""
    if not text.lengths_within(19, 27) or not text.each_has(13, b":") or not text.each_has(16, b":"):
        return None
    if text.each_has(-1, b"Z"):
        return given.cast(TIMESTAMP)
    if not text.each_has(-1, b"0123456789"):
        return None
    naive = given.cast(_NAIVE)
    if zone == "UTC":
        return naive.cast(TIMESTAMP)
    placed = cast("pl.Series", pl.from_arrow(naive)).alias("at").to_frame().select(localise(pl.col("at"), zone))
    return placed.to_series().to_arrow().cast(TIMESTAMP)


def _finite(numbers: pa.Array) -> bool:
    values = numbers.to_numpy(zero_copy_only=False)  # null is NaN there
    return bool(np.isfinite(values).sum() == len(numbers) - numbers.null_count)
