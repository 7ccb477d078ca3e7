"""Which rows are worth a look at the suppression list: those of which an identifier passes the sieve.

Text that is in its normal form but for ASCII letters' case goes through the sieve as it lies in memory; other columns
are brought to their normal form first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from onefold_storage.contracts import Contract
from onefold_storage.identifiers import HASHED, identifiers_of_kind, record_columns, record_keys
from onefold_storage.sieve import Sieve
from onefold_storage.texts import Places, Texts

Mask = npt.NDArray[np.bool_]

_BLANK = bytes(range(33))
_PHONE_DIGITS = 9


def suspects(contract: Contract, rows: pa.Table, sieve: Sieve) -> Mask:
    """A boolean per row: may one of its identifiers stand on the list?"""
    found = np.zeros(rows.num_rows, bool)
    for values, text, starts, lengths in _identifiers(contract, rows):
        passed = sieve.passes(text, starts, lengths)
        if values.null_count:
            found[np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))] |= passed
        else:
            found |= passed
    return found


def _identifiers(contract: Contract, rows: pa.Table) -> Iterator[tuple[pa.Array, Texts, Places, Places]]:
    """Each identifier's column, and where the bytes of its normal form are (of the values that are not null)."""
    for name, kind in contract.kinds.items():
        if kind in HASHED and name in rows.column_names:
            yield _as_it_is(rows, name, kind) or _normal(identifiers_of_kind(_frame(rows, (name,)), name, kind))
    for _, key in record_columns(contract):
        if set(key) <= set(rows.column_names):
            at_once = _as_it_is(rows, key[0], "record") if len(key) == 1 else None
            yield at_once or _normal(record_keys(_frame(rows, key), key))


def _as_it_is(rows: pa.Table, name: str, kind: str) -> tuple[pa.Array, Texts, Places, Places] | None:
    """The column's own bytes, where they are the normal form up to case; else None."""
    column = rows.column(name)
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if values.type == pa.int64():
        values = values.cast(pa.string())
    if values.type != pa.string():
        return None
    text = Texts(values)
    starts, lengths = text.starts, text.lengths
    if not text.ascii() or not len(lengths) or not text.lengths_within(1, 1 << 20):
        return None
    if text.any_at(0, _BLANK) or text.any_at(-1, _BLANK):
        return None
    if kind == "record" and text.any_at(-1, b"0") and text.count(b"."):  # may end in `.0`, which a key drops
        return None
    if kind == "phone":
        plus = text.data[starts] == ord("+")
        if not text.only(b"+0123456789") or text.count(b"+") != int(plus.sum()):
            return None
        ends = starts + lengths
        starts = np.maximum(starts + plus, ends - _PHONE_DIGITS)
        lengths = ends - starts
    return values, text, starts, lengths


def _normal(values: pl.Series) -> tuple[pa.Array, Texts, Places, Places]:
    array = values.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
    text = Texts(array)
    return array, text, text.starts, text.lengths


def _frame(rows: pa.Table, names: tuple[str, ...]) -> pl.DataFrame:
    return cast("pl.DataFrame", pl.from_arrow(rows.select(names)))
