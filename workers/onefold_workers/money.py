"""Money in one currency: sums of euros and yen mean nothing, so what is added up is reckoned in one of them.

The workspace declares it (`currency` in `onefold.yaml`); else it is the one that most interactions with an amount
have. An amount in another currency is converted where a rate is declared, and counts for no sum where none is; what
was bought still counts as bought. A row that names no currency is taken to be in this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

OTHER = "_other"
"""Column of an amount that counts for no sum, as the row has it: whether it is a return is still known by it."""


@dataclass(frozen=True)
class Reckoning:
    """The currency that sums are in (ISO 4217), and what one unit of others is worth in it.

    Without a currency every amount is taken as it is.
    """

    currency: str | None = None
    rates: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, declared: str | None, rates: Mapping[str, float], found: Mapping[str, int]) -> Reckoning:
        """The currency that is declared, else the one with the most rows of those `found`; ties go by name."""
        currency = declared or min(found, key=lambda c: (-found[c], c), default=None)
        return cls(currency, tuple(sorted(rates.items())))

    def left_out(self, found: Mapping[str, int]) -> dict[str, int]:
        """Of the rows found by currency: those that count for no sum."""
        known = {self.currency, *dict(self.rates)}
        return {c: n for c, n in sorted(found.items()) if c not in known}

    def applied(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows with `amount` (Float64) and `currency`: the amount in this currency, or null; and `OTHER` beside it."""
        if self.currency is None:
            return frame.with_columns(pl.lit(None, pl.Float64).alias(OTHER))
        named = pl.col("currency")
        own = pl.when(named.is_null() | (named == self.currency)).then(1.0)
        worth = pl.coalesce(own, *(pl.when(named == currency).then(rate) for currency, rate in self.rates))
        amount = pl.col("amount")
        return frame.with_columns(amount * worth, pl.when(worth.is_null()).then(amount).alias(OTHER))
