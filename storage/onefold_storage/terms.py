"""What a person is looked for by in any text: an identifier as a word of its own, or digits that end in a phone number.

External IDs that are short, or are numbers that anything else may be, tell nobody in a text and are not looked for;
rows that carry them go by their record key and by their column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

Identifier = tuple[str, str]
"""Scheme (`email`, `phone`, `record` or an external ID's) and value in its normal form."""

_TELLING = 6
"""Characters from which on an external ID is looked for."""
_TELLING_DIGITS = 9
"""Likewise, of one that is a number: amounts, counts and other numbers have fewer digits, or stand in a date."""
_WORD = r"(?<![\w@])(?<!\w[.+%'-]){}(?![.-]?[\w@])"
"""Not a part of a longer one: `ann@x.org` is neither in `jo.ann@x.org` nor in `ann@x.org.au`."""
SEPARATORS = r"[\s().\-/+]"
"""What people write between the digits of a phone number."""


@dataclass(frozen=True)
class Terms:
    """What is looked for: words (in lower case) and ends of phone numbers."""

    words: frozenset[str]
    phones: frozenset[str]
    _word: re.Pattern[str] | None = field(init=False, repr=False, default=None)
    _phone: re.Pattern[str] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_word", any_of(_WORD, self.words))
        object.__setattr__(self, "_phone", any_of(r"(?<!\d)\d{{0,6}}{}(?!\d)", self.phones))

    @classmethod
    def of(cls, identifiers: Iterable[Identifier]) -> Terms:
        """The terms of identifiers in their normal form."""
        given = list(identifiers)
        telling = {v for s, v in given if s in ("email", "record") or (s != "phone" and _telling(v))}
        phones = {v for s, v in given if s == "phone" and len(v) >= _TELLING}
        return cls(frozenset(v.lower() for v in telling), frozenset(phones))

    def found_in(self, text: str) -> bool:
        """Whether a text holds one of them."""
        if self._word and self._word.search(text.lower()):
            return True
        return bool(self._phone and self._phone.search(re.sub(SEPARATORS, "", text)))


def carried(texts: pl.Series, identifiers: Iterable[Identifier]) -> set[Identifier]:
    """Which emails and phone numbers stand in one of these texts."""
    wanted = {(s, v): Terms.of([(s, v)]) for s, v in identifiers if s in ("email", "phone")}
    terms = Terms.of(wanted)
    if not terms.words | terms.phones:
        return set()
    text = pl.col("text")
    places = ((text.str.to_lowercase(), terms.words), (text.str.replace_all(SEPARATORS, ""), terms.phones))
    may = [place.str.contains_any(sorted(values)) for place, values in places if values]
    some = pl.DataFrame({"text": texts.drop_nulls().unique()}).filter(pl.any_horizontal(may))
    return {i for i, own in wanted.items() if any(map(own.found_in, some["text"]))}


def _telling(value: str) -> bool:
    return len(value) >= (_TELLING_DIGITS if value.isdigit() else _TELLING)


def any_of(form: str, words: Iterable[str]) -> re.Pattern[str] | None:
    """The pattern `form` with any of these words at its `{}`; None where there are none."""
    found = "|".join(re.escape(w) for w in sorted(words))
    return re.compile(form.format(f"(?:{found})")) if found else None
