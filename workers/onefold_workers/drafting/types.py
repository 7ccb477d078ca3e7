"""Logical types: what a contract may promise of a column without making good rows fail."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from onefold_workers.drafting.dates import Form
from onefold_workers.drafting.kinds import Guess
from onefold_workers.drafting.profile import Profile


@dataclass(frozen=True)
class Type:
    """`logical` type of ODCS, `physical` for decimals, strftime `format` for dates; `note` for the reader, and what
    the person who drafts is asked to `check`."""

    logical: str
    physical: str | None = None
    format: str | None = None
    note: str | None = None
    check: str | None = None


def column_type(p: Profile, guess: Guess | None, *, code: bool) -> Type:
    """The type of a column; `code`: it is a key or refers to something, so text stays text."""
    if guess and guess.format:
        return Type("integer" if p.native else "string", format=guess.format)
    if p.native:
        return _native(p, code=code)
    if not p.filled:
        return Type("string", note="no value in the sample")
    kind = guess.kind if guess else None
    when = p.when
    if when and (kind == "birth_date" or (kind is None and not code and _worth_a_date(p))):
        dated = _dated(p, when, kind)
        asked = f"`{p.name}`: nothing tells day and month apart, so it is read by {when.format}"
        return replace(dated, check=asked) if when.ambiguous else dated
    if kind is not None or code or p.blank:
        return Type("string")
    if p.truth_values:
        return Type("boolean")
    if p.integers == 1 and not p.leading_zeros:
        return Type("integer")
    if p.numbers == 1 and not p.leading_zeros:
        return Type("number")
    return Type("string")


def _dated(p: Profile, when: Form, kind: str | None) -> Type:
    form = None if when.format in (None, "%Y-%m-%d") else when.format
    other = " Day and month could be the other way round: check the format." if when.ambiguous else ""
    if kind == "birth_date" and "%y" in (when.format or ""):
        return Type("string", format=when.format, note=f"Years of two digits: the century is inferred.{other}")
    if kind == "birth_date" and when.share == 1:
        return Type("string", format=form, note=other.strip() or None)
    if when.share < 1 or p.blank:
        dirty = f"{1 - when.share:.1%} of the sample's values are no such date, so the column stays text."
        return Type("string", format=when.format, note=dirty + other)
    return Type("timestamp" if when.times else "date", format=form, note=other.strip() or None)


def _worth_a_date(p: Profile) -> bool:
    from onefold_workers.drafting.roles import is_time

    return is_time(p)


def _native(p: Profile, *, code: bool) -> Type:
    dtype = p.dtype
    if dtype.is_integer() or (code and dtype.is_float() and not p.decimals and p.filled):
        return Type("integer")
    if dtype.is_decimal():
        return Type("number", f"decimal({dtype.precision},{dtype.scale})")  # type: ignore[attr-defined]
    if dtype.is_float():
        return Type("number")
    by_class: dict[type[pl.DataType], str] = {
        pl.Boolean: "boolean",
        pl.Date: "date",
        pl.Datetime: "timestamp",
        pl.Time: "time",
        pl.Struct: "object",
        pl.List: "array",
        pl.Array: "array",
    }
    return Type(next((name for cls, name in by_class.items() if isinstance(dtype, cls)), "string"))
