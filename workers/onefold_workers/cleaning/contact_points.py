"""Emails and phone numbers to one standard, so that the same mailbox or line is always written the same way."""

from __future__ import annotations

import re
import unicodedata

import phonenumbers
import polars as pl

from onefold_workers.cleaning import numbering
from onefold_workers.cleaning.text import each_country, expression, only, squeeze, squeezed
from onefold_workers.cleaning.words import NO_MAILBOX, NO_PHONE

_LABEL = r"[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?"
_ADDRESS = rf"^[^\s@<>()\[\],;:\"\\]{{1,64}}@(?:{_LABEL}\.)+\p{{L}}[\p{{L}}\p{{N}}-]*[\p{{L}}\p{{N}}]$"
_LONGEST = 254
_SHORTEST_PHONE = 5
_EXTENSION = re.compile(r"(?i)(?<=\d)\s*(?:ext(?:ension)?\.?|x|#)\s*\d{1,6}\s*$")
"""Of a number that is in no plan its extension, too, would stand among its digits."""
_SCIENTIFIC = r"^(?P<first>\d)(?:[.,](?P<rest>\d+))?[eE][+]?(?P<power>\d{1,2})$"
_REPEATED = "^(?:" + "|".join(f"{d}+" for d in "0123456789") + ")$"


def email(expr: pl.Expr) -> pl.Expr:
    """An email address in lower case; `Jane <jane@x.org>` gives the address, of several the first, invalid null."""
    return expression(_email, expr)


def _email(values: pl.Series) -> pl.Series:
    text = squeeze(values).str.normalize("NFKC").str.to_lowercase()
    inside = text.str.extract(r"<([^<>]*@[^<>]*)>", 1)
    text = inside.zip_with(inside.is_not_null(), text).str.replace(r"^(?:mailto|e-?mail|smtp) ?: ?", "")
    text = text.str.replace(r";.*$", "").str.replace(r"^([^,\s]+@[^,\s]+)[,\s].*$", "${1}")
    text = squeeze(text.str.strip_chars(" '\"`.,:()[]{}").str.replace(r"\s*@\s*", "@"))
    valid = (
        text.str.contains(_ADDRESS)
        & (text.str.len_chars() <= _LONGEST)
        & ~text.str.contains(r"\.\.|^\.|\.@")
        & ~text.str.extract(r"^([^@]*)@", 1).is_in(NO_MAILBOX)
    )
    return only(text, valid)


def is_nobodys(written: str) -> bool:
    """Whether an email address is well-formed and what people write who give none (`test@…`)."""
    local, at, domain = written.strip().lower().rpartition("@")
    return bool(at) and local in NO_MAILBOX and _email(pl.Series([f"a.person@{domain}"])).item() is not None


def phone(expr: pl.Expr, country: str | pl.Expr | None = None) -> pl.Expr:
    """A phone number in E.164 (`+4930123456`), or its digits where it is not a valid number; null where nobody's.

    A number with a plus is never read as a national one.

    `country`: ISO 3166 alpha-2 of numbers written without a country code: one for all, or one per row.
    Every distinct number is looked at once, whatever the number of rows.
    """
    region = country if isinstance(country, pl.Expr) else pl.lit(country, dtype=pl.String)
    pairs = pl.struct(squeezed(expr).alias("value"), region.alias("country"))
    return pairs.map_batches(lambda rows: each_country(_of_one_country, rows), return_dtype=pl.String)


def _of_one_country(numbers: pl.Series, country: str | None) -> pl.Series:
    """Plain numbers by the numbering plan's patterns, all at once; the rest one by one."""
    numbers = numbering.with_plus(_spelled_out(numbers), country)
    digits = numbers.str.replace_all(r"\D", "")
    nobody = digits.is_in(NO_PHONE) | digits.str.contains(_REPEATED) | (digits.str.len_chars() < _SHORTEST_PHONE)
    found = only(numbering.e164(numbers, country), ~nobody)
    left = numbers.to_frame("number").filter(found.is_null() & numbers.is_not_null()).get_column("number")
    slow = pl.Series([_phone(number, country) for number in left.to_list()], dtype=pl.String)
    positions = (found.is_null() & numbers.is_not_null()).arg_true()
    return found.scatter(positions, slow) if left.len() else found


def _spelled_out(numbers: pl.Series) -> pl.Series:
    """What a spreadsheet made a number of, as digits; null where it kept only the first few (`4.915E+12`)."""
    parts = pl.col("n").str.extract_groups(_SCIENTIFIC)
    first, rest, power = (parts.struct.field(f) for f in ("first", "rest", "power"))
    count = power.cast(pl.UInt32)
    whole = pl.when(rest.str.len_chars() >= count).then(first + rest.str.slice(0, count))
    plain = pl.col("n").str.replace(r"^(\d{5,})\.0$", "${1}")
    return numbers.to_frame("n").select(pl.when(first.is_null()).then(plain).otherwise(whole)).to_series()


def _phone(text: str, country: str | None) -> str | None:
    text = unicodedata.normalize("NFKC", text)
    for written in re.split(r"[;|]|,\s|\s/\s", text):
        part = _EXTENSION.sub("", written)
        digits = "".join(str(unicodedata.digit(c)) for c in part if unicodedata.digit(c, None) is not None)
        if len(digits) >= _SHORTEST_PHONE:
            break
    else:
        return None
    if len(set(digits)) == 1 or digits in NO_PHONE:
        return None
    abroad = f"+{digits[2:]}" if digits.startswith("00") else None
    for candidate in (part, abroad):
        valid = _e164(candidate, country) if candidate else None
        if valid:
            return valid
    home = _e164(digits, country)
    # A plus says that a country code follows: the same digits are no number of `country`, and keep the plus lest
    # they are taken for one when they are cleaned again.
    stated = part.lstrip(" (").startswith("+") and not digits.startswith("0")
    return f"+{digits}" if stated and home else home or digits


def _e164(text: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
