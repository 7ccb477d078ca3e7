"""Keeps people who were erased from landing again.

The list holds keyed hashes of identifiers in their normal form: emails, phones, external IDs, and the record keys
that a row makes or points to. The distinct identifiers of a batch are hashed and looked up; with an empty list
nothing is computed at all. Rows that broke the contract are looked through as well, since they are kept as they
came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import orjson
import polars as pl

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.suppression import SuppressionList

RECORD = "record"
_HASHED = ("email", "phone", "external_id")
_EMAIL = re.compile(r"[^\s\"',;|<>{}\[\]:=]+@[^\s\"',;|<>{}\[\]:=]+")
_PHONE = re.compile(r"\+?\(?\d[\d\s().\-/]{5,}\d")
_WORD = re.compile(r"[^\s\"',;|<>{}\[\]=]+")
_TELLING = 8  # characters from which on a bare word is an identifier rather than a count


class Suppressor:
    """Looks rows' identifiers up in the suppression list."""

    def __init__(self, suppression: SuppressionList, keyed: KeyedHash) -> None:
        self._list, self._keyed = suppression, keyed

    def suppressed(self, contract: Contract, rows: pl.DataFrame) -> pl.Series:
        """A boolean per row: does one of its identifiers stand on the list?"""
        found = pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
        listed = self._list.hashes()
        if not listed or not rows.height:
            return found
        for scheme, values in identifiers(contract, rows):
            distinct = values.drop_nulls().unique()
            hit = [v for v in distinct if self._keyed.of(scheme, v) in listed]
            found = found | values.is_in(hit).fill_null(value=False)
        return found

    def suppressed_bad(self, contract: Contract | None, bad: Sequence[BadRow]) -> list[bool]:
        """A boolean per bad row: does what came hold an identifier that stands on the list?

        Without a contract only emails and phones are known.
        """
        listed = self._list.hashes() if bad else frozenset()
        if not listed:
            return [False] * len(bad)
        columns = contract.columns if contract else ()
        schemes = {c.rules.scheme for c in columns if c.rules.scheme}
        return [any(h in listed for h in self._hashes(contract, schemes, b.raw)) for b in bad]

    def _hashes(self, contract: Contract | None, schemes: set[str], raw: bytes) -> Iterator[str]:
        text = raw.decode("utf-8", "replace")
        for kind, pattern in (("email", _EMAIL), ("phone", _PHONE)):
            found = pl.DataFrame({"value": pattern.findall(text)}, schema={"value": pl.String})
            yield from (self._keyed.of(kind, v) for v in found.select(normal_form(kind)).to_series())
        named = _named(contract, raw) if contract else None
        if contract and named is not None:
            for scheme, values in identifiers(contract, named):
                yield from (self._keyed.of(scheme, v) for v in values.drop_nulls())
            return
        for word in _WORD.findall(text):
            if len(word) >= _TELLING:
                yield from (self._keyed.of(s, word) for s in schemes)


def identifiers(contract: Contract, rows: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    """The identifiers of bronze rows in their normal form, as (scheme, value per row); null where a row has none.

    The scheme is `email`, `phone`, an external ID's scheme, or `record` for the key of a contact record that a
    row makes or belongs to.
    """
    for name, kind in contract.kinds.items():
        if kind in _HASHED and name in rows.columns:
            scheme = contract.by_name[name].rules.scheme or kind
            values = rows.select(pl.col(name).cast(pl.String).alias("value")).select(normal_form(kind)).to_series()
            yield scheme, values.replace("", None)
    for source, key in record_columns(contract):
        if set(key) <= set(rows.columns):
            texts = [pl.col(c).cast(pl.String).str.strip_chars().str.replace(r"\.0+$", "") for c in key]
            yield RECORD, rows.select(pl.lit(f"{source}:") + pl.concat_str(texts, separator="|")).to_series()


def record_columns(contract: Contract) -> list[tuple[str, tuple[str, ...]]]:
    """(source, key columns) of the contact records that the contract's rows make or belong to."""
    found: dict[tuple[str, tuple[str, ...]], None] = {}
    for rules in contract.maps:
        if rules.table == "contact_records" and (key := rules.key or contract.primary_key):
            found[contract.id, key] = None
        if rules.contact:
            found[rules.contact.source or contract.id, rules.contact.key] = None
    return list(found)


def normal_form(kind: str) -> pl.Expr:
    """The form of `value` that is hashed: emails in lower case, phones as nine digits, others trimmed."""
    value = pl.col("value").str.strip_chars()
    if kind == "email":
        return value.str.to_lowercase()
    if kind == "phone":
        return value.str.replace_all(r"\D", "").str.tail(9)
    return value


def _named(contract: Contract, raw: bytes) -> pl.DataFrame | None:
    """A bad row that says which value is whose, as text by column."""
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(given, dict):
        return None
    known = {c: given.get(c) for c in contract.by_name}
    return pl.DataFrame({c: [None if v is None else str(v)] for c, v in known.items()}, schema=_texts(contract))


def _texts(contract: Contract) -> dict[str, type[pl.DataType]]:
    return dict.fromkeys(contract.by_name, pl.String)
