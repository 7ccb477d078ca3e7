"""A value that a person types for a field of the golden record, brought to the form that sources' values have."""

from __future__ import annotations

from onefold_storage.errors import BadInput
from onefold_workers import cleaning
from onefold_workers.survivorship import PERSON_FIELDS


def standard_value(field: str, written: str, country: str | None) -> str:
    """The standard form; empty stays empty, which says that there is none.

    Raises:
        BadInput: no such field, or what was written is no value of it; the value is not repeated.
    """
    if field not in PERSON_FIELDS:
        raise BadInput(f"override: no field of this name; there are {', '.join(PERSON_FIELDS)}")
    if not written.strip():
        return ""
    found = cleaning.value(field, written, country)
    if found is None:
        raise BadInput(f"override: what was given is no {field.replace('_', ' ')}")
    return str(found)
