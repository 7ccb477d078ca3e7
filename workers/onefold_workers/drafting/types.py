"""Logical types: what a contract may promise of a column without making good rows fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from onefold_storage.contract_fields import Format
from onefold_workers.drafting.dates import Form
from onefold_workers.drafting.kinds import Guess
from onefold_workers.drafting.profile import Profile


@dataclass(frozen=True)
class Type:
    """`logical` type of ODCS, `physical` for decimals, strftime `format` for dates; `note` for the reader, and what
    the person who drafts is asked to look at in `checks`."""

    logical: str
    physical: str | None = None
    format: Format | None = None
    note: str | None = None
    checks: tuple[str, ...] = ()


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
        return replace(_dated(p, when, kind), checks=tuple(_asked(p, when, kind)))
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
    form: Format | None = None if when.format in (None, "%Y-%m-%d") else when.format
    other = " Day and month could be the other way round: check the format." if when.ambiguous else ""
    if kind == "birth_date" and "%y" in (when.format or ""):
        return Type("string", format=when.format, note=f"Years of two digits: the century is inferred.{other}")
    if kind == "birth_date" and when.share == 1:
        return Type("string", format=form, note=other.strip() or None)
    if when.covered < 1 or p.blank or (when.more and len(when.formats) <= len(when.more)):
        dirty = f"{1 - when.covered:.1%} of the sample's values are no such date, so the column stays text."
        return Type("string", format=_formats(when), note=dirty + other)
    if when.more:
        form = _formats(when)
    return Type("timestamp" if when.times else "date", format=form, note=other.strip() or None)


def _formats(when: Form) -> Format | None:
    return when.formats if len(when.formats) > 1 else next(iter(when.formats), None)


def _asked(p: Profile, when: Form, kind: str | None) -> Iterator[str]:
    if when.ambiguous:
        yield f"`{p.name}`: nothing tells day and month apart, so it is read by {when.format}"
    if when.more:
        written = ", ".join([*when.formats, *(["ISO 8601"] if None in (when.format, *when.more) else [])])
        yield f"`{p.name}` is written in several ways: {written}"
    lost = round((1 - when.covered) * p.text.len())
    if lost and kind is None:
        yield f"`{p.name}`: {lost:,} of the sample's {p.text.len():,} values are no date that its format reads"


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
