"""Which identifiers of a batch are worth a look at the suppression list: those that pass the sieve.

Text that is in its normal form but for ASCII letters' case goes through the sieve as it lies in memory; other columns
are brought to their normal form first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa

from onefold_storage.contracts import Contract
from onefold_storage.derived import table_with_derived
from onefold_storage.identifiers import hashed_columns, identifiers_of_kind, record_columns, record_keys
from onefold_storage.sieve import RECORD, Sieve
from onefold_storage.texts import Places, Texts

_BLANK = bytes(range(33))
_PHONE_DIGITS = 9


def suspects(contract: Contract, rows: pa.Table, sieve: Sieve) -> Iterator[tuple[str, Places, pl.Series]]:
    """By scheme, the rows whose identifier may stand on the list, and those identifiers in their normal form.

    What `identifiers` gives for these rows, and of the others nothing that is on the list.
    """
    rows = table_with_derived(contract, rows, contract.taken)
    for name, kind, scheme in hashed_columns(contract):
        if name in rows.column_names:
            at = _passed(rows, (name,), kind, sieve, partial(identifiers_of_kind, name=name, kind=kind))
            yield scheme, at, identifiers_of_kind(_frame(rows, (name,), at), name, kind)
    for source, key in record_columns(contract):
        if set(key) <= set(rows.column_names):
            at = _passed(rows, key, RECORD, sieve, partial(record_keys, key=key))
            yield RECORD, at, f"{source}:" + record_keys(_frame(rows, key, at), key)


def _passed(
    rows: pa.Table, names: tuple[str, ...], kind: str, sieve: Sieve, normal: Callable[[pl.DataFrame], pl.Series]
) -> Places:
    """Places of the rows that pass the sieve with these columns."""
    found = _as_it_is(rows, names[0], kind) if len(names) == 1 else None
    values, text, starts, lengths = found or _normal(normal(_frame(rows, names)))
    at = np.flatnonzero(sieve.passes(text, starts, lengths))
    return np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))[at] if values.null_count else at


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
    if kind == RECORD and text.any_at(-1, b"0") and text.count(b"."):  # may end in `.0`, which a key drops
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


def _frame(rows: pa.Table, names: tuple[str, ...], at: Places | None = None) -> pl.DataFrame:
    some = rows.select(names)
    return cast("pl.DataFrame", pl.from_arrow(some if at is None else some.take(pa.array(at))))
