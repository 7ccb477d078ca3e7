"""Countries, regions, cities, streets and postcodes to one standard."""

from __future__ import annotations

from functools import lru_cache

import polars as pl
from phonenumbers.geodata.locale import LOCALE_DATA

from onefold_workers.cleaning.text import recased, squeezed, tidy
from onefold_workers.cleaning.words import ALPHA3, COUNTRY_WORDS, NOT_HOUSE, POSTCODE_DIGITS, REGIONS

_HOUSE = r"\d{1,5}[A-Za-z]?(?: ?[-/] ?\d{1,5}[A-Za-z]?)?"
_LEADING = rf"^({_HOUSE})[, ]+(.*\p{{L}}{{2}}.*)$"
_TRAILING = (
    r"^(.*\p{L}{2}.*?),? +(?:(?i:nr|no|nº|n°)[. ]*)?(\d{1,4} ?[A-Za-z]?(?: ?[-/] ?\d{1,4}[A-Za-z]?)?)$"
)
_NOT_HOUSE = rf"(?i)\b(?:{'|'.join(NOT_HOUSE)})\.? *\d+ ?[a-z]?$|#"


@lru_cache(maxsize=1)
def country_words() -> dict[str, str]:
    """Alpha-2 by alpha-3, by name in every language of the locale data, and by common words; keys in lower case."""
    words = {
        name.lower(): code for code, names in LOCALE_DATA.items() for name in names.values() if name[:1] != "*"
    }
    alpha2 = {code.lower(): code for code in LOCALE_DATA if len(code) == 2 and code.isalpha()}
    return {**words, **alpha2, **ALPHA3, **COUNTRY_WORDS}


def country(expr: pl.Expr) -> pl.Expr:
    """A country as ISO 3166 alpha-2, from its name, alpha-3 or alpha-2; null where it is none of them."""
    text = squeezed(expr.cast(pl.String)).str.to_lowercase()
    return text.replace_strict(country_words(), default=None, return_dtype=pl.String)


def postcode(expr: pl.Expr, country: str | pl.Expr | None = None) -> pl.Expr:
    """A postal code in capitals and its country's form: dropped zeros back, ZIP+4 to ZIP, `SW1A 1AA`, `K1A 0B1`."""
    where = country if isinstance(country, pl.Expr) else pl.lit(country, dtype=pl.String)
    text = tidy(expr.cast(pl.String)).str.normalize("NFKC").str.to_uppercase().str.replace(r"\.0$", "")
    text = pl.when(~text.str.contains(r"^[0-]*$")).then(text)
    text = pl.when(where.is_null()).then(text).otherwise(text.str.replace(r"^(?:[A-Z]{1,2})-(\d)", "${1}"))
    digits = text.str.contains(r"^\d+$")
    known = pl.when(where == "US").then(text.str.replace(r"^(\d{5})[- ]?\d{4}$", "${1}")).otherwise(text)
    for width in sorted(set(POSTCODE_DIGITS.values())):
        there = [c for c, n in POSTCODE_DIGITS.items() if n == width]
        short = digits & where.is_in(there) & text.str.len_chars().is_between(width - 2, width)
        known = pl.when(short).then(text.str.zfill(width)).otherwise(known)
    tight = known.str.replace_all(r"[ \-]", "")
    spaced = (
        pl.when((where == "GB") & tight.str.contains(r"^[A-Z]{1,2}\d[A-Z\d]?\d[A-Z]{2}$"))
        .then(tight.str.replace(r"^(.+)(\d[A-Z]{2})$", "${1} ${2}"))
        .when((where == "CA") & tight.str.contains(r"^[A-Z]\d[A-Z]\d[A-Z]\d$"))
        .then(tight.str.replace(r"^(...)(...)$", "${1} ${2}"))
        .when((where == "NL") & tight.str.contains(r"^\d{4}[A-Z]{2}$"))
        .then(tight.str.replace(r"^(....)(..)$", "${1} ${2}"))
        .when(where.is_in(["SE", "CZ", "SK", "GR"]) & tight.str.contains(r"^\d{5}$"))
        .then(tight)
    )
    return spaced.otherwise(known)


def region(expr: pl.Expr, country: str | pl.Expr | None = None) -> pl.Expr:
    """A state or province: codes in capitals, names recased, and where the country is known (AU, CA, US) its code."""
    where = country if isinstance(country, pl.Expr) else pl.lit(country, dtype=pl.String)
    text = tidy(expr)
    folded = text.str.to_lowercase()
    short = text.str.contains(r"^\p{L}{1,3}$")
    result = pl.when(short).then(text.str.to_uppercase()).otherwise(recased(text))
    for code, pairs in REGIONS.items():
        names = dict(p.replace("~", " ").rsplit(":", 1) for p in pairs.split())
        named = folded.replace_strict(names, default=None, return_dtype=pl.String)
        result = pl.when((where == code) & named.is_not_null()).then(named).otherwise(result)
    return result


def city(expr: pl.Expr) -> pl.Expr:
    """A city or suburb for display, recased where it is all in one case."""
    return recased(tidy(expr).str.strip_chars(" ,;"))


def street(expr: pl.Expr) -> pl.Expr:
    """A street or address line for display, recased where it is all in one case; abbreviations stay as written."""
    return recased(tidy(expr).str.strip_chars(" ,;"))


def house_number(expr: pl.Expr) -> pl.Expr:
    """A house number in capitals without spaces: `12 a` and `12A` are one."""
    text = (
        tidy(expr)
        .str.to_uppercase()
        .str.replace(r"^(\d+)\.0$", "${1}")
        .str.replace(r"^(?:NR|NO|#)[. ]*(\d)", "${1}")
    )
    return tidy(text.str.replace_all(r"(\d) +([A-Z])$", "${1}${2}").str.replace_all(r" ?([-/]) ?", "${1}"))


def split_street(line: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """(street, house number) out of a cleaned line such as `12 Main Street` or `Hauptstraße 12a`.

    Where the line holds no house number (`Route 66`, `PO Box 12`) it stays whole and the number is null.
    """
    leading = line.str.extract(_LEADING, 1)
    trailing = pl.when(~line.str.contains(_NOT_HOUSE)).then(line.str.extract(_TRAILING, 2))
    rest = (
        pl.when(leading.is_not_null())
        .then(line.str.extract(_LEADING, 2))
        .when(trailing.is_not_null())
        .then(line.str.extract(_TRAILING, 1))
        .otherwise(line)
    )
    return rest, house_number(pl.coalesce(leading, trailing))
