"""Which locale makes a table's numbers exact: the one that its own values prove, and what they leave open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from onefold_storage.plain_numbers import plain_number
from onefold_workers.drafting.profile import Profile

_NUMBERS = 0.98
_SPACED = r"\d\s\d{3}"
_APOSTROPHE = r"\d['’]\d{3}"


@dataclass(frozen=True)
class Locales:
    """`source`: the locale of all its numbers, or of single `columns` where others are written another way.

    `checks`: what a person should look at, by column.
    """

    source: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)


def locales(profiles: dict[str, Profile], meant: Iterable[str]) -> Locales:
    """The locales of a table. `meant`: columns whose values are no codes, names or dates.

    Without a locale a point is the decimal mark, so only decimal commas ask for one.
    """
    texts = {n: profiles[n] for n in meant if not profiles[n].native}
    found = {n: p for n, p in texts.items() if p.figures > _NUMBERS or p.numbers == 1}
    commas = {n: _locale(p) for n, p in found.items() if p.marks.mark == ","}
    # Written with a point, perhaps here and there only: a locale of all would fail these.
    points = [n for n, p in found.items() if n not in commas and p.marks.point]
    source = next(iter(commas.values()), None) if not points else None
    checks = {n: said for n, p in found.items() if (said := _check(p, commas, points, source))}
    return Locales(source, {} if source else commas, checks)


def _locale(p: Profile) -> str:
    """One that writes numbers as the column does; of those that do alike any will do."""
    if p.share(_APOSTROPHE):
        return "fr_CH"
    return "fr_FR" if p.share(_SPACED) else "de_DE"


def _check(p: Profile, commas: dict[str, str], points: list[str], source: str | None) -> str | None:
    found = p.marks
    if p.name in commas:
        read = p.bare.alias("x").to_frame().select(plain_number(pl.col("x"), commas[p.name])).to_series()
        lost = read.null_count()
        return (
            f"`{p.name}` is written with a decimal comma, but for {lost:,} of the sample's {len(read):,} values, of"
            " which nothing becomes"
            if lost
            else None
        )
    if found.comma and found.point and found.mark is None:
        return (
            f"`{p.name}` is written with decimal commas and with decimal points, and nothing tells which 1.234 is:"
            " it is read as one and a bit, 1,234 as more than a thousand"
        )
    if not found.open or (points and not commas):
        return None
    if source:
        shown = next(iter(commas))
        return f"`{p.name}`: 1.234 is read as more than a thousand, for `{shown}` is written with a decimal comma"
    as_read = "one and a bit" if p.share(r"\.\d{3}(?:\D|$)") else "more than a thousand"
    mark = "1.234" if as_read == "one and a bit" else "1,234"
    return (
        f"`{p.name}`: nothing tells whether {mark} is more than a thousand or one and a bit; it is read as {as_read}."
        " Name the `locale`, such as de_DE or en_US"
    )
