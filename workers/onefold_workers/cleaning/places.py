"""Countries, regions, cities, streets and postcodes to one standard."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import phonenumbers
import polars as pl

from onefold_workers.cleaning.text import each_country, expression, only, recase, squeeze, tidy_up
from onefold_workers.cleaning.words import (
    ALPHA3,
    COUNTRY_WORDS,
    NOT_HOUSE,
    POSTCODE_DIGITS,
    POSTCODE_FORMS,
    REGIONS,
)

_HOUSE = r"\d{1,5}[A-Za-z]?(?: ?[-/] ?\d{1,5}[A-Za-z]?)?"
_LEADING = rf"^({_HOUSE})[, ]+(.*\p{{L}}{{2}}.*)$"
_TRAILING = r"^(.*\p{L}{2}.*?),? +(?:(?i:nr|no|nº|n°)[. ]*)?(\d{1,4} ?[A-Za-z]?(?: ?[-/] ?\d{1,4}[A-Za-z]?)?)$"
_NOT_HOUSE = rf"(?i)\b(?:{'|'.join(NOT_HOUSE)})\.? *\d+ ?[a-z]?$|#"


@lru_cache(maxsize=1)
def country_words() -> dict[str, str]:
    """Alpha-2 by alpha-3, by name in every language of the locale data, and by common words; keys in lower case."""
    named = _names_by_country()
    words = {name.lower(): code for code, names in named.items() for name in names.values() if name[:1] != "*"}
    alpha2 = {code.lower(): code for code in named if len(code) == 2 and code.isalpha()}
    return {**words, **alpha2, **ALPHA3, **COUNTRY_WORDS}


def _names_by_country() -> dict[str, dict[str, str]]:
    """Country names by language; without the geocodes beside them, whose import takes seconds and 50 MB."""
    path = Path(phonenumbers.__file__).parent / "geodata" / "locale.py"
    spec = spec_from_file_location("phonenumbers.geodata.locale", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    names: dict[str, dict[str, str]] = module.LOCALE_DATA
    return names


def country(expr: pl.Expr) -> pl.Expr:
    """A country as ISO 3166 alpha-2, from its name, alpha-3 or alpha-2; null where it is none of them."""
    return expression(_country, expr)


def _country(values: pl.Series) -> pl.Series:
    folded = squeeze(values).str.to_lowercase()
    return folded.replace_strict(country_words(), default=None, return_dtype=pl.String)


def postcode(expr: pl.Expr, country: str | pl.Expr | None = None) -> pl.Expr:
    """A postal code in capitals and its country's form: dropped zeros back, ZIP+4 to ZIP, `SW1A 1AA`, `K1A 0B1`."""
    return _by_country(_postcode, expr, country)


def _by_country(
    clean: Callable[[pl.Series, str | None], pl.Series], expr: pl.Expr, country: str | pl.Expr | None
) -> pl.Expr:
    """A cleaner that depends on the country, for one country or for one per row."""
    if not isinstance(country, pl.Expr):
        return expression(lambda values: clean(values, country), expr)
    pairs = pl.struct(expr.cast(pl.String).alias("value"), country.alias("country"))
    return pairs.map_batches(lambda rows: each_country(clean, rows), return_dtype=pl.String)


def _postcode(values: pl.Series, country: str | None) -> pl.Series:
    text = tidy_up(values.str.normalize("NFKC").str.to_uppercase()).str.replace(r"\.0$", "")
    text = only(text, ~text.str.contains(r"^[0-]*$"))
    if country is None:
        return text
    text = text.str.replace(r"^[A-Z]{1,2}-(\d)", "${1}")
    if country == "US":
        text = text.str.replace(r"^(\d{5})[- ]?\d{4}$", "${1}")
    width = POSTCODE_DIGITS.get(country)
    if width:
        tight = text.str.replace_all(r"[ \-]", "")
        text = tight.zip_with(tight.str.contains(rf"^\d{{{width}}}$").fill_null(False), text)
        short = text.str.contains(rf"^\d{{{width - 2},{width}}}$").fill_null(False)
        text = text.str.zfill(width).zip_with(short, text)
    if country in POSTCODE_FORMS:
        shape, spaced = POSTCODE_FORMS[country]
        tight = text.str.replace_all(r"[ \-]", "")
        text = tight.str.replace(shape, spaced).zip_with(tight.str.contains(shape).fill_null(False), text)
    return text


def region(expr: pl.Expr, country: str | pl.Expr | None = None) -> pl.Expr:
    """A state or province: codes in capitals, names recased; in AU, CA and US a name becomes its code."""
    return _by_country(_region, expr, country)


def _region(values: pl.Series, country: str | None) -> pl.Series:
    text = tidy_up(values)
    capitals = text.str.to_uppercase()
    short = text.str.contains(r"^\p{L}{1,3}$").fill_null(False)
    # A letter that grows in capitals (ß) is in no code.
    code = capitals.zip_with((capitals.str.len_chars() == text.str.len_chars()).fill_null(False), text)
    cased = code.zip_with(short, recase(text))
    if country not in REGIONS:
        return cased
    names = dict(p.replace("~", " ").rsplit(":", 1) for p in REGIONS[country].split())
    named = text.str.to_lowercase().replace_strict(names, default=None, return_dtype=pl.String)
    return named.zip_with(named.is_not_null(), cased)


def city(expr: pl.Expr) -> pl.Expr:
    """A city or suburb for display, recased where it is all in one case."""
    return expression(_line, expr)


def street(expr: pl.Expr) -> pl.Expr:
    """A street or address line for display, recased where it is all in one case; abbreviations stay as written."""
    return expression(_line, expr)


def _line(values: pl.Series) -> pl.Series:
    return recase(tidy_up(tidy_up(values).str.strip_chars(" ,;")))


def house_number(expr: pl.Expr) -> pl.Expr:
    """A house number in capitals without spaces: `12 a` and `12A` are one."""
    return expression(_house_number, expr)


def _house_number(values: pl.Series) -> pl.Series:
    text = tidy_up(values).str.to_uppercase().str.replace(r"^(\d+)\.0$", "${1}")
    text = text.str.replace(r"^(?:(?:NR|NO|#)[. ]*)+(\d)", "${1}")
    text = text.str.replace_all(r"(\d) +([A-Z])$", "${1}${2}").str.replace_all(r" ?([-/]) ?", "${1}")
    return tidy_up(text)


def split_street(line: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """(street, house number) out of a cleaned line such as `12 Main Street` or `Hauptstraße 12a`.

    Where the line holds no house number (`Route 66`, `PO Box 12`) it stays whole and the number is null.
    """
    return expression(lambda v: _split_street(v)[0], line), expression(lambda v: _split_street(v)[1], line)


def _split_street(line: pl.Series) -> tuple[pl.Series, pl.Series]:
    leading = line.str.extract(_LEADING, 1)
    at_end = only(line, ~line.str.contains(_NOT_HOUSE) & leading.is_null())
    trailing = at_end.str.extract(_TRAILING, 2)
    rest = line.str.extract(_LEADING, 2).zip_with(leading.is_not_null(), line)
    rest = at_end.str.extract(_TRAILING, 1).zip_with(trailing.is_not_null(), rest)
    return rest, _house_number(leading.zip_with(leading.is_not_null(), trailing))
