"""Text in the form it is compared in: lower case, without accents or punctuation; and keys made from it.

All functions are Polars expressions' work on *distinct* values: a column is coded first, so that each
spelling is treated once, however many rows hold it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Codes = npt.NDArray[np.int32]
_AT_HAND = 400_000
"""Distinct values up to which their texts are held as Python's, which is quicker where they are used again."""
LONGEST = 80
"""Characters of a value that are looked at; what is longer differs before or does not matter."""

_STREET_WORDS = {
    "street": "st",
    "road": "rd",
    "avenue": "ave",
    "av": "ave",
    "drive": "dr",
    "court": "ct",
    "crescent": "cr",
    "cres": "cr",
    "circuit": "cct",
    "close": "cl",
    "place": "pl",
    "lane": "ln",
    "terrace": "tce",
    "boulevard": "blvd",
    "parade": "pde",
    "highway": "hwy",
    "square": "sq",
    "strasse": "str",
    "apartment": "apt",
    "flat": "apt",
    "unit": "apt",
}


@dataclass(frozen=True)
class Values:
    """A column coded: `codes[i]` is the place of row i's value in `values` (text); -1 is missing."""

    codes: Codes
    values: pl.Series
    parts: dict[str, Codes] = field(default_factory=dict)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Rows that have a value."""
        return self.codes >= 0

    @property
    def size(self) -> int:
        """How many distinct values there are."""
        return len(self.values)

    def series(self) -> pl.Series:
        """The distinct values, in the order of their codes."""
        return self.values

    def texts(self, codes: npt.NDArray[Any]) -> list[str]:
        """The values behind codes, none of which may be missing."""
        if self.size > _AT_HAND:
            found: list[str] = self.values.gather(codes).to_list()
            return found
        return self._objects[codes].tolist()  # type: ignore[no-any-return]

    @cached_property
    def _objects(self) -> npt.NDArray[np.object_]:
        return np.array([*self.values.to_list(), None], dtype=object)[:-1]

    def part(self, name: str, expression: pl.Expr) -> Codes:
        """Codes of a part of each distinct value (such as its year), made once; `expression` is over column `v`.

        Numbers and truth values stand for themselves, text is coded; -1 where there is none.
        """
        if name not in self.parts:
            found = self.values.alias("v").to_frame().select(expression.alias("v"))["v"]
            text = found.dtype == pl.String
            self.parts[name] = encode(found).codes if text else found.cast(pl.Int32).fill_null(-1).to_numpy()
        return self.parts[name]

    def at(self, rows: npt.NDArray[np.int64]) -> Values:
        """These rows alone, with all values."""
        return Values(self.codes[rows], self.values, self.parts)

    def take(self, rows: npt.NDArray[np.int64]) -> Values:
        """These rows alone, with only the values they hold."""
        codes = self.codes[rows]
        used = np.zeros(self.size + 1, dtype=bool)
        used[codes] = True
        used[-1] = False
        places = np.cumsum(used, dtype=np.int32) - 1
        places[-1] = -1
        return Values(places[codes], self.values.filter(pl.Series(used[:-1], dtype=pl.Boolean)))


def distinct(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The distinct numbers in ascending order; sorting is much faster than numpy's hashing here."""
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def encode(series: pl.Series) -> Values:
    """Codes by first appearance; null and empty text are missing."""
    text = series.cast(pl.String)
    array = text.to_arrow(compat_level=pl.CompatLevel.oldest())
    coded = pa.chunked_array([array]).combine_chunks().dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    values = pl.Series("v", pl.from_arrow(coded.dictionary), dtype=pl.String)
    empty = (values == "").arg_true().to_numpy()
    if empty.size:
        places = np.arange(len(values) + 1, dtype=np.int32)
        places[empty[0] + 1 :] -= 1
        places[empty[0]] = -1
        places[-1] = -1
        codes, values = places[codes], values.filter(values != "")
    return Values(codes, values)


def recode(source: Values, forms: pl.Series) -> Values:
    """The column with each distinct value replaced by its form (`forms` in the order of the codes)."""
    if not source.size:
        return source
    coded = encode(forms)
    places = np.append(coded.codes, np.int32(-1))
    return Values(places[source.codes], coded.values)


def folded(text: pl.Expr) -> pl.Expr:
    """Lower case, no accents, only letters, digits and single spaces; bounded in length."""
    plain = text.str.slice(0, 4 * LONGEST).str.normalize("NFKD").str.to_lowercase()
    spaced = plain.str.replace_all(r"[\p{M}'’`]", "").str.replace_all(r"[^\p{L}\p{N}]+", " ")
    return spaced.str.strip_chars().str.slice(0, LONGEST)


def compact(text: pl.Expr) -> pl.Expr:
    """As `folded`, with no spaces: for codes, numbers and postcodes."""
    return folded(text).str.replace_all(" ", "")


def digits(text: pl.Expr) -> pl.Expr:
    """Only its digits; null where there are none."""
    found = text.str.slice(0, 4 * LONGEST).str.replace_all(r"\D+", "").str.slice(0, 32)
    return pl.when(found != "").then(found)


def street(text: pl.Expr) -> pl.Expr:
    """As `folded`, with the usual words for a street in their short form."""
    padded = pl.concat_str(pl.lit(" "), folded(text), pl.lit(" ")).str.replace_all(" ", "  ")
    short = padded.str.replace_many([f" {w} " for w in _STREET_WORDS], [f" {s} " for s in _STREET_WORDS.values()])
    return short.str.replace_all(r" +", " ").str.strip_chars()


def skeleton(name: pl.Expr) -> pl.Expr:
    """How a name sounds, roughly: first letter and consonant classes (after Soundex, Russell 1918)."""
    text = name.str.replace_all(" ", "")
    text = text.str.replace(r"^(?:mac|mc)", "mk").str.replace(r"^kn", "n").str.replace(r"^wr", "r")
    text = text.str.replace_all("ph", "f").str.replace_all(r"[ckq]|gh", "k").str.replace_all(r"[sxz]", "s")
    text = text.str.replace_all(r"[dt]", "t").str.replace_all(r"[mn]", "n").str.replace_all(r"[bp]", "b")
    text = text.str.replace_all(r"[fv]", "f").str.replace_all(r"[gj]", "g")
    first = text.str.slice(0, 1)
    rest = text.str.slice(1).str.replace_all(r"[aeiouyhw\d]+", "")
    for letter in "sktnbfglr":
        rest = rest.str.replace_all(f"{letter}+", letter)
    return pl.concat_str(first, rest.str.slice(0, 4))
