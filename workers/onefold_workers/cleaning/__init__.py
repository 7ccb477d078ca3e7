"""Cleaning: names, emails, phones, dates and addresses to one standard, wherever they come from.

Each function takes a Polars expression and gives one, so that integration, consents and the API's search use the
same standard; `value` does it for one value. Imports only Polars and phonenumbers: an API host has no more.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from onefold_storage.derived import as_text
from onefold_workers.cleaning.contact_points import email, is_nobodys, phone
from onefold_workers.cleaning.dates import birth_date, birth_digits, day, whole_births
from onefold_workers.cleaning.places import city, country, house_number, postcode, region, split_street, street
from onefold_workers.cleaning.standard import EXTERNAL_ID_TYPE, PERSON_KINDS, external_id, gender, standardise
from onefold_workers.cleaning.text import family_first, full_name, name, organisation, squeezed, tidy

__all__ = [
    "EXTERNAL_ID_TYPE",
    "PERSON_KINDS",
    "as_text",
    "birth_date",
    "birth_digits",
    "city",
    "country",
    "day",
    "email",
    "external_id",
    "family_first",
    "full_name",
    "gender",
    "house_number",
    "is_nobodys",
    "name",
    "organisation",
    "phone",
    "postcode",
    "region",
    "split_street",
    "squeezed",
    "standardise",
    "street",
    "tidy",
    "value",
    "whole_births",
]


def value(kind: str, written: str, home: str | None = None) -> str | date | None:
    """One value in the standard form of its semantic kind; null where it is none.

    `home`: country, as in `standardise`. Raises BadInput for an unknown kind.
    """
    frame = standardise(pl.DataFrame({"value": [written]}, schema={"value": pl.String}), {"value": kind}, home)
    if kind == "external_id":
        found = frame.item(0, "external_ids")
        return None if found is None else str(found[0]["value"])
    result = frame.item(0, kind)
    return result if isinstance(result, date) else (None if result is None else str(result))
