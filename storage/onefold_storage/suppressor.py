"""Keeps people who were erased from landing again.

The list holds keyed hashes of identifiers in their normal form: emails, phones, external IDs, and the record keys
that a row makes or points to. The identifiers of a batch that pass the sieve (`sieve.py`) are hashed and looked up;
with an empty list nothing is computed at all. Rows that broke the contract are looked through as well, since they
are kept as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow
from onefold_storage.identifiers import identifiers, normal_form
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.sieve import Sieve
from onefold_storage.suppression import Listed, SuppressionList
from onefold_storage.suspects import suspects
from onefold_storage.texts import Places

_EMAIL = re.compile(r"[^\s\"',;|<>{}\[\]:=]+@[^\s\"',;|<>{}\[\]:=]+")
_PHONE = re.compile(r"\+?\(?\d[\d\s().\-/]{5,}\d")
_WORD = re.compile(r"[^\s\"',;|<>{}\[\]=]+")
_TELLING = 8  # characters from which on a bare word is an identifier rather than a count


class Suppressor:
    """Keeps what stands on the suppression list at hand."""

    def __init__(self, suppression: SuppressionList, keyed: KeyedHash) -> None:
        self._list, self._keyed = suppression, keyed

    def lookup(self) -> Lookup:
        """The list as it stands now; read again only when it has changed since anybody in this process read it."""
        kept = _kept(self._keyed, self._list.state())
        if kept.lookup is None:
            kept.lookup = Lookup(self._list.listed(), self._keyed)
        return kept.lookup

    def suppressed_bad(self, contract: Contract | None, bad: Sequence[BadRow]) -> list[bool]:
        """As `Lookup.suppressed_bad`, by the list as it stands now."""
        return self.lookup().suppressed_bad(contract, bad) if bad else []


class Lookup:
    """Looks rows' identifiers up in a list. Safe to use from several threads."""

    def __init__(self, listed: Listed, keyed: KeyedHash) -> None:
        self._hashes, self._keyed = listed.hashes, keyed
        self._sieve = Sieve(keyed, listed.marks) if listed.marks else None

    def suppressed(self, contract: Contract, rows: pa.Table) -> pa.Array | None:
        """A boolean per row: does one of its identifiers stand on the list? None where none of any row does."""
        if not self._hashes or not rows.num_rows:
            return None
        gone = np.zeros(rows.num_rows, bool)
        for scheme, at, values in self._suspects(contract, rows):
            found = values.to_list()
            listed = {v for v in set(found) - {None} if self._keyed.of(scheme, v) in self._hashes}
            if listed:
                gone[at[[v in listed for v in found]]] = True
        return pa.array(gone) if gone.any() else None

    def _suspects(self, contract: Contract, rows: pa.Table) -> Iterator[tuple[str, Places, pl.Series]]:
        if self._sieve is not None:
            yield from suspects(contract, rows, self._sieve)
            return
        every = np.arange(rows.num_rows)
        for scheme, values in identifiers(contract, cast("pl.DataFrame", pl.from_arrow(rows))):
            yield scheme, every, values

    def suppressed_bad(self, contract: Contract | None, bad: Sequence[BadRow]) -> list[bool]:
        """A boolean per bad row: does what came hold an identifier that stands on the list?

        Without a contract only emails and phones are known.
        """
        if not self._hashes:
            return [False] * len(bad)
        columns = contract.columns if contract else ()
        schemes = {c.rules.scheme for c in columns if c.rules.scheme}
        return [any(h in self._hashes for h in self._found_in(contract, schemes, b.raw)) for b in bad]

    def _found_in(self, contract: Contract | None, schemes: set[str], raw: bytes) -> Iterator[str]:
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


@dataclass
class _Kept:
    lookup: Lookup | None = None


@lru_cache(maxsize=2)
def _kept(keyed: KeyedHash, state: tuple[object, ...]) -> _Kept:  # noqa: ARG001 - they say which it is
    return _Kept()


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
