"""Columns that look like a time, money or a wish and are none in the draft: what a person is asked about them."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from onefold_workers.drafting.headers import header_kind
from onefold_workers.drafting.kinds import Guess
from onefold_workers.drafting.profile import Profile
from onefold_workers.drafting.roles import Roles, is_time, of_other_purpose
from onefold_workers.drafting.vocabulary import longest, vocabulary

_SOME, _ALL = 0.3, 0.98
_FEW = 8
_BORN, _YOUNG, _NOW = 1_000, 5_000, 60_000
"""Days since 1900: a birth in 1902, what half of all people are younger than, and a day in 2064."""


def passed_over(profiles: dict[str, Profile], found: dict[str, Guess], roles: Roles) -> dict[str, str]:
    """A question by column, without any value of it."""
    codes = {*roles.key, roles.customer, roles.item, roles.order}
    free = {n: p for n, p in profiles.items() if n not in found and n not in codes and p.filled}
    asked = dict(_times(free)) | dict(_wishes(free))
    if roles.amount is None:
        asked |= dict(_money({n: p for n, p in free.items() if n not in asked and n != roles.quantity}))
    return asked


def _times(free: dict[str, Profile]) -> Iterator[tuple[str, str]]:
    known = vocabulary().roles
    words = known["time"] | known["created"] | known["updated"]
    for name, p in free.items():
        birth = header_kind(p) == "birth_date"
        if not (birth or longest(p.words, words)) or is_time(p):
            continue
        if _serials(p):
            yield (
                name,
                f"`{name}` looks like days since 1900, as spreadsheets count them, which no format reads: let the sheet"
                " write dates, such as 2026-05-23",
            )
        elif p.when and p.when.covered >= _SOME:
            yield (
                name,
                f"`{name}` is named like a time, and {p.when.covered:.0%} of its values are dates by"
                f" {' or '.join(p.when.formats) or 'ISO 8601'}: too few to draft it as one",
            )


def _serials(p: Profile) -> bool:
    if {*p.words} & vocabulary().roles["id"] or p.numbers <= 0.5:
        return False
    numbers = p.text.cast(pl.Float64, strict=False).drop_nulls()
    return bool(numbers.is_between(_BORN, _NOW).mean() > 0.9 and numbers.median() > _YOUNG)  # type: ignore[operator]


def _wishes(free: dict[str, Profile]) -> Iterator[tuple[str, str]]:
    for name, p in free.items():
        if of_other_purpose(p) and p.distinct <= _FEW:
            yield (
                name,
                f"`{name}` looks like a wish for something else than marketing and was passed over: where it is one, map"
                " it to `consents` with the `data_use` that it is for",
            )


def _money(free: dict[str, Profile]) -> Iterator[tuple[str, str]]:
    known = vocabulary().roles
    for name, p in free.items():
        named = bool(longest(p.words, known["amount"])) and p.figures > _SOME
        if (named or p.money > _SOME) and not {*p.words} & known["not_amount"] and not is_time(p):
            why = f", for {1 - p.figures:.0%} of its values are no number" if p.figures < _ALL else ""
            yield (
                name,
                f"purchase? `{name}` looks like money and was passed over{why}: where each row is one, map it to"
                " `amount` of interactions of kind `purchase`",
            )
