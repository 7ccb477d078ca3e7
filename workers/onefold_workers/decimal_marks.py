"""Which mark is the decimal one: what numbers written as text prove, and what they leave open.

`1.234,5` and `0,5` can only be read one way; `1.234` is more than a thousand or little more than one.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


def _only(mark: str, other: str, inner: str) -> str:
    """Bare numbers of which `mark` can only be the decimal mark, as a pattern.

    Groups before it, other than three digits after it, nothing that it could part into thousands before it, or the
    other mark twice. `inner`: digits of a group that is not the last.
    """
    return (
        rf"^[+-]?(?:\d{{1,3}}(?:{other}{inner})*{other}\d{{3}}{mark}\d*|\d*{mark}(?:\d{{1,2}}|\d{{4,}})"
        rf"|(?:0|\d{{4,}})?{mark}\d{{3}}|\d{{1,3}}(?:{other}{inner})+{other}\d{{3}})$"
    )


BY_COMMA = _only(",", r"\.", r"\d{3}")
BY_POINT = _only(r"\.", ",", r"\d{2,3}")  # India parts lakhs by two digits
EITHER = r"^[+-]?[1-9]\d{0,2}[.,]\d{3}$"


@dataclass(frozen=True)
class Marks:
    """Shares of a column's values that only a decimal comma explains, only a decimal point, or both do otherwise."""

    comma: float
    point: float
    either: float

    @property
    def mark(self) -> str | None:
        """The decimal mark, where the values prove one: hardly any may speak against it."""
        if self.comma and self.point < _STRAYS * self.comma:
            return ","
        return "." if self.point and self.comma < _STRAYS * self.point else None

    @property
    def open(self) -> bool:
        """Whether values are there that are read by a guess."""
        return self.either > 0 and self.mark is None


_STRAYS = 0.05


def marks(bare: pl.Series) -> Marks:
    """What bare numbers (`mapping_values.bare_number`) prove of their decimal mark."""

    def share(pattern: str) -> float:
        return float(bare.str.contains(pattern).mean() or 0.0)  # type: ignore[arg-type]

    return Marks(share(BY_COMMA), share(BY_POINT), share(EITHER))
