"""Keeps people who were erased from landing again.

The list holds keyed hashes of identifiers in their normal form; the distinct identifiers of a batch are hashed
and looked up. With an empty list nothing is computed at all.
"""

from __future__ import annotations

import polars as pl

from onefold_storage.contracts import Contract
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.suppression import SuppressionList


class Suppressor:
    """Looks rows' identifiers up in the suppression list."""

    def __init__(self, suppression: SuppressionList, keyed: KeyedHash) -> None:
        self._list, self._keyed = suppression, keyed

    def suppressed(self, contract: Contract, rows: pl.DataFrame) -> pl.Series:
        """A boolean per row: does one of its identifiers stand on the list?"""
        none = pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
        listed = self._list.hashes()
        if not listed or not rows.height:
            return none
        found = none
        for name, kind in contract.kinds.items():
            scheme = contract.by_name[name].rules.scheme or kind
            if kind not in {"email", "phone", "external_id"}:
                continue
            normal = rows.get_column(name).cast(pl.String).to_frame("value").select(normal_form(kind)).to_series()
            distinct = normal.drop_nulls().unique()
            hit = [v for v in distinct if self._keyed.of(scheme, v) in listed]
            found = found | normal.is_in(hit).fill_null(value=False)
        return found


def normal_form(kind: str) -> pl.Expr:
    """The form of `value` that is hashed: emails in lower case, phones as nine digits, others trimmed."""
    value = pl.col("value").str.strip_chars()
    if kind == "email":
        return value.str.to_lowercase()
    if kind == "phone":
        return value.str.replace_all(r"\D", "").str.tail(9)
    return value
