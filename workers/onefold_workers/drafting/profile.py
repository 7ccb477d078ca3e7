"""What a column's values are like: the facts that drafting judges by, measured on a sample."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import phonenumbers
import polars as pl

from onefold_workers.cleaning import as_text, country, email, full_name, gender
from onefold_workers.decimal_marks import Marks, marks
from onefold_workers.drafting import dates
from onefold_workers.drafting.vocabulary import folded, tokens, vocabulary
from onefold_workers.mapping_values import bare_number, number

_LOOKED_AT = 5_000
_PHONES_LOOKED_AT = 150
_FEW = 500
_FIGURE = (
    r"^[-+−(]?\s*(?:\p{Sc}|[A-Z]{3})?\s*[-+−(]?\s*(?:\p{Sc}\s*)?(?:\d[\d.,'’\s]*|[.,]\d+)(?:\p{Sc}|[A-Z]{3})?[-)]?$"
)
"""A number as people write it: thousands parted, a currency on either side, a minus behind it or brackets around."""
_TRUTH_WORDS = frozenset({"true", "false", "t", "f", "yes", "no", "y", "n"})


@dataclass(frozen=True)
class Profile:
    """One column of a sample. Shares are of the values that are there (0 to 1)."""

    name: str
    dtype: pl.DataType
    text: pl.Series
    rows: int
    absent: int
    blank: int
    distinct: int
    month_first: bool = False
    """The table is one of those who write the month before the day."""
    header: str | None = None
    """What is read as its header where its name is not: of what stands inside an object."""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The header's words, folded."""
        return tokens(self.name if self.header is None else self.header)

    @cached_property
    def compact(self) -> str:
        """The header's words, joined."""
        return "".join(self.words)

    @property
    def filled(self) -> int:
        """Rows with a value."""
        return self.rows - self.absent - self.blank

    @property
    def unique(self) -> bool:
        """Every row has a value, and no two the same."""
        return self.rows > 0 and self.filled == self.rows == self.distinct

    @property
    def complete(self) -> bool:
        """Every row has a value."""
        return self.rows > 0 and self.filled == self.rows

    @property
    def distinct_share(self) -> float:
        """Distinct values per value."""
        return self.distinct / self.filled if self.filled else 0.0

    @property
    def native(self) -> bool:
        """The source has types of its own (Parquet, SQL), so that the column's type is known."""
        return self.dtype != pl.String

    def share(self, pattern: str) -> float:
        """Share of values that match a regular expression."""
        return _share(self.text.str.contains(pattern))

    @cached_property
    def folded(self) -> pl.Series:
        """Values in small letters without accents."""
        plain = self.text.str.to_lowercase().str.normalize("NFKD").str.replace_all(r"\p{M}", "")
        return plain.str.strip_chars()

    def share_in(self, known: frozenset[str]) -> float:
        """Share of values that are one of the words."""
        return _share(self.folded.is_in(list(known)))

    def written_as(self, known: frozenset[str]) -> tuple[str, ...]:
        """The values that are one of the words, as they are written, in order."""
        return tuple(self.text.filter(self.folded.is_in(list(known))).unique().sort())

    def first_word_in(self, known: frozenset[str]) -> float:
        """Share of values whose first word is one of the words."""
        return _share(self.folded.str.extract(r"^[^\p{L}]*(\p{L}+)", 1).fill_null("").is_in(list(known)))

    def a_word_in(self, known: frozenset[str]) -> float:
        """Share of values that hold one of the words."""
        found = self.folded.str.extract_all(r"\p{L}+").list.eval(pl.element().is_in(list(known))).list.any()
        return _share(found)

    @cached_property
    def integers(self) -> float:
        """Share of whole numbers."""
        return 1.0 if self.dtype.is_integer() else self.share(r"^[+-]?\d{1,18}$")

    @cached_property
    def numbers(self) -> float:
        """Share of plain numbers."""
        return 1.0 if self.dtype.is_numeric() else self.share(r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$")

    @cached_property
    def decimals(self) -> float:
        """Share of numbers with a fraction written."""
        return self.share(r"^[+-]?\d*\.\d+$")

    @cached_property
    def figures(self) -> float:
        """Share of numbers as people write them: with parted thousands, currencies, brackets."""
        if self.dtype.is_numeric():
            return 1.0
        read = self.text.alias("x").to_frame().select(number(pl.col("x"), pl.String())).to_series()
        return _share(self.text.str.contains(_FIGURE) & read.is_not_null())

    @cached_property
    def money(self) -> float:
        """Share of numbers that name a currency."""
        return _share(self.text.str.contains(_FIGURE) & self.text.str.contains(r"\p{Sc}|[A-Z]{3}"))

    @cached_property
    def bare(self) -> pl.Series:
        """Values without currencies and blanks."""
        return self.text.alias("x").to_frame().select(bare_number(pl.col("x"))).to_series()

    @cached_property
    def marks(self) -> Marks:
        """What its numbers prove of their decimal mark."""
        return marks(self.bare)

    @cached_property
    def leading_zeros(self) -> float:
        """Share of digits that begin with a zero and go on."""
        return 0.0 if self.native else self.share(r"^[+-]?0\d")

    @cached_property
    def letters(self) -> float:
        """Share of values with a letter in them."""
        return self.share(r"\p{L}")

    @cached_property
    def length(self) -> float:
        """Mean length of a value."""
        return float(self.text.str.len_chars().mean() or 0.0)  # type: ignore[arg-type]

    @cached_property
    def several_words(self) -> float:
        """Share of values of two words or more."""
        return self.share(r"\S\s+\S")

    @cached_property
    def truth_values(self) -> bool:
        """Only words for true and false, both of them."""
        seen = set(self.folded.unique().to_list())
        return self.dtype == pl.Boolean or (len(seen) == 2 and seen <= _TRUTH_WORDS)

    @cached_property
    def emails(self) -> float:
        """Share of valid email addresses."""
        return _share(self._clean(email).is_not_null())

    @cached_property
    def genders(self) -> float:
        """Share of words for a gender."""
        return _share(self._clean(gender).is_not_null())

    @cached_property
    def countries(self) -> float:
        """Share of names and codes of countries."""
        return _share(self._clean(country).is_not_null())

    @cached_property
    def given_names(self) -> float:
        """Share of values whose first word is a common given name."""
        return self.first_word_in(vocabulary().values["given_names"])

    @cached_property
    def family_names(self) -> float:
        """Share of values with a common family name as their last word."""
        last = self.folded.str.extract(r"([\p{L}']+)[^\p{L}]*$", 1).fill_null("")
        return _share(last.is_in(list(vocabulary().values["family_names"])))

    @cached_property
    def whole_names(self) -> float:
        """Share of values of several words that begin or end with a common given name once turned round."""
        several = self._clean(full_name).str.to_lowercase().str.normalize("NFKD").str.replace_all(r"\p{M}", "")
        first = several.str.extract(r"^(\p{L}+)[. ]", 1).fill_null("")
        return _share(first.is_in(list(vocabulary().values["given_names"])))

    @cached_property
    def streets(self) -> float:
        """Share of values with a word for a street, as a word or at a word's end."""
        known = vocabulary().values
        endings = "|".join(re.escape(folded(e)) for e in known["street_endings"])
        ended = self.folded.str.contains(rf"\p{{L}}(?:{endings})(?:\W|$)")
        return max(self.a_word_in(known["street_words"]), _share(ended))

    @cached_property
    def cities(self) -> float:
        """Share of values whose first word is a well-known city's."""
        return self.first_word_in(vocabulary().values["cities"])

    @cached_property
    def companies(self) -> float:
        """Share of values with a company's legal form."""
        return self.a_word_in(vocabulary().values["company_words"])

    @cached_property
    def phones(self) -> float:
        """Share of numbers that look like telephone numbers or are valid ones."""
        looks = self.text.str.contains(r"^[+(]?[\d(][\d ()./x–-]{5,22}$") & self.text.str.contains(
            r"(?:\d\D*){7,15}$"
        )
        return _share(looks)

    @cached_property
    def sure_phones(self) -> float:
        """Share of numbers that only a telephone has: valid with a country code, or grouped as one."""
        distinct = self.text.unique(maintain_order=True).head(_PHONES_LOOKED_AT).to_list()
        valid = [_valid(t) for t in distinct]
        grouped = self.share(r"^\(?\d{2,5}\)?[ /.-]+\d{2,8}(?:[ /.-]+\d{2,8})*(?: ?x\d+)?$")
        # Dates are grouped digits too, and mistyped ones are no dates any more.
        dated = self.share(r"^(?:1[4-9]|20)\d{2}[-/. ]\d{1,2}[-/. ]\d{1,3}$|^\d{1,2}[-/. ]\d{1,2}[-/. ]\d{4}$")
        if self.decimals > 0.5:  # 32.6027397 is grouped by a point as well
            grouped = 0.0
        dates_among = max(dated, self.when.share if self.when else 0.0)
        return max(sum(valid) / len(valid) if valid else 0.0, 0.0 if dates_among > 0.5 else grouped * self.phones)

    @cached_property
    def when(self) -> dates.Form | None:
        """How its dates or times are written, if it has any."""
        return dates.form(self.text, self.dtype, month_first=self.month_first)

    def _clean(self, cleaner: dates.Cleaner) -> pl.Series:
        return self.text.alias("x").to_frame().select(cleaner(pl.col("x"))).to_series()


def month_first(frame: pl.DataFrame) -> bool:
    """A column of the table is in dollars, as their amounts are who write the month before the day."""
    texts = frame.head(_FEW).select(pl.col(pl.String))
    return any(_share(column.drop_nulls().str.contains(r"^\s*[-(]?\s*\$")) > 0.5 for column in texts)


def profile(name: str, values: pl.Series, *, month_first: bool = False) -> Profile:
    """Measure one column; at most some thousand of its values are looked at closely."""
    text = values.alias("x").to_frame().select(as_text(pl.col("x"), values.dtype).str.strip_chars()).to_series()
    absent = text.null_count()
    blank = int((text == "").sum())
    there = text.filter(text.is_not_null() & (text != ""))
    distinct = there.n_unique()
    return Profile(name, values.dtype, there.head(_LOOKED_AT), values.len(), absent, blank, distinct, month_first)


def _share(mask: pl.Series) -> float:
    return float(mask.fill_null(False).mean() or 0.0) if mask.len() else 0.0  # type: ignore[arg-type]


def _valid(text: str) -> bool:
    if not text.startswith(("+", "00")):
        return False
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse("+" + text.lstrip("+0")))
    except phonenumbers.NumberParseException:
        return False
