"""Most phone numbers at once: the numbering plans of `phonenumbers` as patterns over whole columns.

`phonenumbers` looks at one number at a time (about 100 µs each). Its plans are regular expressions, so the plain
cases (digits and punctuation; a national number, or one with its country code) are decided here for a column in one
go; what stays undecided goes to the library. A test holds both to the same answers.
"""

from __future__ import annotations

from functools import lru_cache

import polars as pl
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata
from phonenumbers.phonemetadata import PhoneNumberDesc

from onefold_workers.cleaning.text import only

_LONGEST = 11
"""Digits of the longest national numbers that are given out."""
_PLAIN = r"^[+]?[\d ().\-/]+$"
_TYPES = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan",
    "voicemail",
)  # fmt: skip


@lru_cache(maxsize=512)
def _plan(region: str) -> tuple[str, str, str | None] | None:
    """(country code, pattern of the valid national numbers, national prefix); None where a plan has exceptions."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    if metadata is None or metadata.general_desc is None or metadata.national_prefix_transform_rule:
        return None
    valid = [p for p in (_pattern(getattr(metadata, name)) for name in _TYPES) if p]
    prefix = metadata.national_prefix_for_parsing
    if not valid:
        return None
    return str(metadata.country_code), f"^(?:{'|'.join(valid)})$", prefix


def _pattern(description: PhoneNumberDesc | None) -> str | None:
    if (
        description is None
        or not description.national_number_pattern
        or description.national_number_pattern == "NA"
    ):
        return None
    return f"(?:{description.national_number_pattern})"


def e164(numbers: pl.Series, region: str | None) -> pl.Series:
    """E.164 of the numbers that are plainly valid, null for all others (which may still be valid).

    `region`: ISO alpha-2 of numbers without a country code.
    """
    text = numbers.str.strip_chars()
    plain = text.str.contains(_PLAIN).fill_null(False)
    digits = text.str.replace_all(r"\D", "")
    abroad = plain & text.str.starts_with("+")
    found = pl.Series([None], dtype=pl.String).new_from_index(0, numbers.len())
    if region:
        found = _in_plan(only(digits, plain & ~abroad), region, national=True)
    if abroad.any():
        for code in digits.filter(abroad).str.slice(0, 3).unique().to_list():
            for country in _regions(code):
                left = abroad & found.is_null() & digits.str.starts_with(code)
                known = _in_plan(only(digits.str.slice(len(country[0])), left), country[1], national=False)
                found = found.zip_with(found.is_not_null(), known)
    return found


def with_plus(numbers: pl.Series, region: str | None) -> pl.Series:
    """Numbers of `region` that begin with its country code, as spreadsheets leave them, with the plus they lost.

    Only where the national prefix that numbers have there is not written, and what follows the code is a valid mobile
    number, or the whole is longer than any national number in use: `4915112345678` is no number of Leer (0491).
    """
    metadata = PhoneMetadata.metadata_for_region(region, None) if region else None
    plan = _plan(region) if region else None
    if metadata is None or plan is None or metadata.mobile is None or not metadata.national_prefix:
        return numbers
    code, valid, prefix = plan
    mobile = _pattern(metadata.mobile)
    text = numbers.str.strip_chars()
    digits = only(text.str.replace_all(r"\D", ""), text.str.contains(_PLAIN) & ~text.str.starts_with("+"))
    rest = digits.str.slice(len(code))
    try:
        written = digits.str.contains(f"^(?:{prefix})") if prefix else digits.str.starts_with("0")
        whole = rest.str.contains(valid)
        clear = rest.str.contains(f"^{mobile}$") if mobile else whole & False
    except pl.exceptions.ComputeError:  # a pattern that Rust's engine does not have
        return numbers
    lost = digits.str.starts_with(code) & ~written & whole & (clear | (digits.str.len_chars() > _LONGEST))
    return ("+" + digits).zip_with(lost.fill_null(value=False), numbers)


def _regions(start: str) -> list[tuple[str, str]]:
    """(country code, region) of the numbers whose first three digits are these; no code is another's beginning."""
    for length in (1, 2, 3):
        code = start[:length]
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code)) if code.isdigit() and code[:1] != "0" else None
        if regions:
            return [(code, r) for r in regions if r != "001"]
    return []


def _in_plan(digits: pl.Series, region: str, *, national: bool) -> pl.Series:
    plan = _plan(region)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, digits.len())
    if plan is None:
        return nothing
    code, valid, prefix = plan
    try:
        whole = digits.str.contains(valid)
        if prefix and national:
            bare = digits.str.replace(f"^(?:{prefix})", "")
            # Valid as written, and beginning with what looks like a prefix: for the library to decide.
            unsure = (bare != digits) & whole
            digits, whole = bare, bare.str.contains(valid) & ~unsure
    except pl.exceptions.ComputeError:  # a pattern that Rust's engine does not have
        return nothing
    return only(code + digits, whole).str.replace("^", "+")
