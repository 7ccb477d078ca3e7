"""Which records are worth comparing: blocking rules and keys, derived from the fields at hand.

A rule is a description: records that agree on all of its keys meet. A block that grows too large is refined by
further keys, one after the other; what stays too large is left out and reported, so that the number of pairs
is bounded whatever the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_workers.identity.comparison import AREA
from onefold_workers.identity.fields import ATTRIBUTE, IDENTIFIER
from onefold_workers.identity.names import standard_form, standard_given
from onefold_workers.identity.people import People
from onefold_workers.identity.text import Codes, Values, skeleton

Keyed = npt.NDArray[np.signedinteger[Any]]
MAX_RULES = 48


@dataclass(frozen=True)
class Rule:
    """Records that agree on every one of `keys` meet; too large a block is split by `refine`, key by key.

    `cap`: the largest block that is not too large; 0 while that has not been settled for the data at hand.
    """

    name: str
    keys: tuple[str, ...]
    refine: tuple[str, ...] = ()
    cap: int = 0

    @property
    def fields(self) -> frozenset[str]:
        """The fields whose agreement this rule presupposes."""
        return frozenset(f for k in self.keys for f in KEY_FIELDS.get(k, (k,)))


KEY_FIELDS: dict[str, tuple[str, ...]] = {
    "given": ("given_name", "gender"),
    "given2": ("given_name", "gender"),
    "family": ("family_name",),
    "family2": ("family_name",),
    "both_names": ("given_name", "family_name", "gender"),
    "birth_year": ("birth_date",),
    "birth_month_day": ("birth_date",),
    "email_local": ("email",),
    "postcode": ("postcode", "city", "region", "country"),
    "area": ("postcode", "city", "region", "country"),
    "city": ("city", "region", "country"),
    "street": ("street",),
}
"""Which fields a key tells about; a key not listed tells about the field of its own name."""

_REFINE = ("birth_year", "given2", "family2", "area", "city", "birth_month_day", "given", "family", "house_number")
_SINGLE = ("birth_date", "family", "postcode", "street", "given", "address_line2", "city", "organisation")
_DOUBLE = (
    ("both_names",),
    ("family", "birth_date"),
    ("given", "birth_date"),
    ("family", "postcode"),
    ("given", "postcode"),
    ("street", "house_number"),
    ("birth_date", "postcode"),
    ("family", "birth_month_day"),
    ("given", "family"),
    ("given", "street"),
    ("family", "street"),
    ("birth_date", "house_number"),
    ("birth_date", "city"),
    ("family", "city"),
    ("given", "city"),
    ("family", "birth_year"),
    ("given", "birth_year"),
    ("given", "organisation"),
    ("family", "organisation"),
)
_TRIPLE = (("given", "street", "house_number"), ("both_names", "city"))
_MANY = 2_000_000
"""With more records than this, blocks of two keys grow so large that a birth date parts them, which many records
lack; by the triples these meet all the same."""
_FULL_UP_TO = 200_000
_CORE = 7
_FEW, _ATTRIBUTES = 6, 2
"""With fewer rules than this a name and an attribute make rules, too: those attributes on which the fewest agree."""


def derive_rules(people: People, budget: float) -> tuple[Rule, ...]:
    """Rules for the keys at hand: identifiers first, then single fields that are selective enough, then pairs.

    `budget`: pairs a single field may bring, per record, to make a rule of its own.
    """
    rules, keys = _derived(people, budget), KeyMaker(people)
    return tuple(replace(r, refine=tuple(k for k in r.refine if keys.has(k))) for r in rules)


def _derived(people: People, budget: float) -> tuple[Rule, ...]:
    keys = KeyMaker(people)
    rules = [Rule(f, (f,), _REFINE) for f in people.columns if f.startswith(IDENTIFIER)]
    rules += [Rule(f, (f,), _REFINE) for f in ("email", "phone") if keys.has(f)]
    alone = [k for k in _SINGLE if keys.has(k) and keys.pairs(k) <= budget * people.size + 5_000]
    rules += [Rule(k, (k,), _others((k,))) for k in alone]
    doubles, triples = (
        [d for d in some if all(keys.has(k) for k in d) and not set(d) & set(alone)] for some in (_DOUBLE, _TRIPLE)
    )
    limit = _CORE if people.size > _FULL_UP_TO else MAX_RULES
    rules += [Rule("+".join(d), d, _others(d)) for d in doubles[:limit]]
    if people.size > _MANY:
        rules += [Rule("+".join(t), t, _others(t)) for t in triples]
    if len(rules) < _FEW:
        told = sorted((keys.pairs(a), a) for a in people.columns if a.startswith(ATTRIBUTE))[:_ATTRIBUTES]
        doubles = [(name, a) for _, a in told for name in ("given", "family") if keys.has(name)]
        rules += [Rule("+".join(d), d, _others(d)) for d in doubles]
    if keys.has("email_local"):
        rules.append(Rule("email_local", ("email_local",), _others(("email_local",))))
    return tuple(rules[:MAX_RULES])


def _others(keys: tuple[str, ...]) -> tuple[str, ...]:
    told = {f for k in keys for f in KEY_FIELDS.get(k, (k,))}
    return tuple(r for r in _REFINE if not set(KEY_FIELDS.get(r, (r,))) & told)


class KeyMaker:
    """Keys of records, made once and kept: by name, an integer a record, -1 where it has none."""

    def __init__(self, people: People) -> None:
        self.people = people
        self._made: dict[str, Keyed | None] = {}

    def has(self, key: str) -> bool:
        """Whether any record has this key."""
        codes = self.codes(key)
        return codes is not None and bool((codes >= 0).any())

    def codes(self, key: str) -> Keyed | None:
        """The key's codes; None where the field is absent."""
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def pairs(self, key: str) -> float:
        """Pairs of records that agree on the key."""
        codes = self.codes(key)
        if codes is None:
            return 0.0
        counts = np.bincount(codes[codes >= 0]).astype(np.float64)
        return float((counts * (counts - 1) / 2).sum())

    def _make(self, key: str) -> Keyed | None:
        if key == "both_names":
            given, family = self.codes("given"), self.codes("family")
            if given is None or family is None:
                return None
            return _unordered(self.people.given_token, self.people.family_token)
        field, form = _KEYS.get(key, (key, None))
        values = self.people.columns.get(field)
        if values is None:
            return None
        if key == "given":
            by_value = standard_given(values)
        elif form is None:
            return values.codes
        else:
            by_value = values.part(f"key {key}", form)
        return np.append(by_value, np.int32(-1))[values.codes]


def prepare_keys(name: str, values: Values) -> None:
    """Make the parts of a field's distinct values that keys are, so that it is done once."""
    for key, (of, form) in _KEYS.items():
        if of == name and form is not None:
            values.part(f"key {key}", form)


def key_form(key: str) -> tuple[str, pl.Expr]:
    """The field that a key is made of, and the key's text as an expression over the field's values, column `v`."""
    field, form = _KEYS.get(key, (key, None))
    return field, standard_form(_V) if key == "given" else _V if form is None else form


def _unordered(a: Codes, b: Codes) -> Keyed:
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.asarray(np.where(low >= 0, low.astype(np.int64) << 32 | high, -1))


_V = pl.col("v")
_LOCAL = pl.when(_V.str.contains(r"^[^@]{5,}@")).then(_V.str.extract(r"^([^@]+)@", 1).str.replace_all(r"\W", ""))
_DAY = pl.when((_V.str.len_chars() == 8) & ~_V.str.ends_with("0101")).then(_V.str.slice(4, 4))
_KEYS: dict[str, tuple[str, pl.Expr | None]] = {
    "given": ("given_name", None),
    "given2": ("given_name", _V.str.slice(0, 2)),
    "family": ("family_name", skeleton(_V)),
    "family2": ("family_name", _V.str.slice(0, 2)),
    "birth_year": ("birth_date", _V.str.slice(0, 4)),
    "birth_month_day": ("birth_date", _DAY),
    "email_local": ("email", _LOCAL),
    "area": ("postcode", AREA),
    "street": ("street", _V.str.replace_all(" ", "").str.slice(0, 6)),
}
