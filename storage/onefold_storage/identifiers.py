"""The identifiers of bronze rows, in the normal form that is hashed for the suppression list."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from onefold_storage.contracts import Contract
from onefold_storage.derived import with_derived
from onefold_storage.sieve import RECORD

HASHED = ("email", "phone", "external_id")
"""Semantic kinds whose values identify a person."""


def identifiers(contract: Contract, rows: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    """The identifiers of bronze rows in their normal form, as (scheme, value per row); null where a row has none.

    The scheme is `email`, `phone`, an external ID's scheme, or `record` for the key of a contact record that a
    row makes or belongs to.
    """
    rows = with_derived(contract, rows, contract.taken)
    for name, kind, scheme in hashed_columns(contract):
        if name in rows.columns:
            yield scheme, identifiers_of_kind(rows, name, kind)
    for source, key in record_columns(contract):
        if set(key) <= set(rows.columns):
            yield RECORD, f"{source}:" + record_keys(rows, key)


def hashed_columns(contract: Contract) -> Iterator[tuple[str, str, str]]:
    """(column, kind, scheme) of what identifies a person: columns that are sent, and those taken out of them."""
    for name, column in contract.by_name.items():
        if column.rules.kind in HASHED:
            yield name, column.rules.kind, column.rules.scheme or column.rules.kind
    for name, rule in contract.taken.items():
        if rule.kind in HASHED:
            yield name, rule.kind, rule.scheme or rule.kind


def identifiers_of_kind(rows: pl.DataFrame, name: str, kind: str) -> pl.Series:
    """A column's identifiers in the normal form of their kind; null where a row has none."""
    value = normal_form(kind, name)
    return rows.select(pl.when(value != "").then(value).alias("value")).to_series()


def record_keys(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.Series:
    """The keys of records without their source; null where a part of the key is."""
    texts = [pl.col(c).cast(pl.String).str.strip_chars().str.replace(r"\.0+$", "") for c in key]
    return rows.select(pl.concat_str(texts, separator="|").alias("key")).to_series()


def record_columns(contract: Contract) -> list[tuple[str, tuple[str, ...]]]:
    """(source, key columns) of the contact records that the contract's rows make or belong to."""
    found: dict[tuple[str, tuple[str, ...]], None] = {}
    for rules in contract.maps:
        if rules.table == "contact_records" and (key := rules.key or contract.primary_key):
            found[contract.id, key] = None
        if rules.contact:
            found[rules.contact.source or contract.id, rules.contact.key] = None
    return list(found)


def normal_form(kind: str, name: str = "value") -> pl.Expr:
    """The form of a column that is hashed: emails in lower case, phones as nine digits, others trimmed."""
    value = pl.col(name).cast(pl.String).str.strip_chars()
    if kind == "email":
        return value.str.to_lowercase()
    if kind == "phone":
        return value.str.replace_all(r"\D", "").str.tail(9)
    return value
