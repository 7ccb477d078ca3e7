"""Why two records are, or are not, one person: field by field, in bits, with parts that add up to the match weight.

The weight of a pair is one number over five explanations (`weights.py`). Told apart here: the prior; what each field
says when it is taken alone; what the frequency of a shared value adds to it; that attributes count no more together
than a field or two; and, as what is left of the total, that likeness may come from one household or address, and
difference from a move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import polars as pl

from onefold_workers.identity.clustering import LIMITS, UNSEEN
from onefold_workers.identity.compared import Compared, counted
from onefold_workers.identity.comparison import compare_pairs
from onefold_workers.identity.conflicts import rivals, sole_holders
from onefold_workers.identity.fields import ATTRIBUTE, IDENTIFIER
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.pairing import candidate_pairs
from onefold_workers.identity.people import People, Rows, encode_people
from onefold_workers.identity.weights import ATTRIBUTE_BOUNDS, Bits, Weigher, of_fields

_LEVELS: dict[str, tuple[str, ...]] = {
    "given": ("different", "alike", "elsewhere in the name", "nearly the same", "nickname or initial", "same"),
    "family": ("different", "alike", "elsewhere in the name", "nearly the same", "part of a double name", "same"),
    "rest": ("nothing shared", "something shared", "all shared"),
    "date": ("different", "same year", "two parts of three", "one slip, or day and month exchanged", "same"),
    "email": ("different", "alike before the @", "same before the @", "one slip", "same"),
    "postcode": ("different", "same area", "one slip", "same"),
    "identifier": ("different", "one slip", "same"),
    "same": ("different", "same"),
    "number": ("different", "one slip", "same"),
    "phone": ("different", "one slip", "same"),
    "place": ("different", "alike", "same"),
    "street": ("different", "alike", "nearly the same", "same"),
}


@dataclass(frozen=True)
class FieldPart:
    """One field of a pair: the values as the records have them, the level of likeness, and bits.

    `level`: 0 where a side has no value (or finer fields say it all). `weight`: log2(m/u) of the level. `frequency`:
    what the rareness of the shared value adds or takes.
    """

    field: str
    left: str | None
    right: str | None
    level: int
    said: str
    weight: float
    frequency: float


@dataclass(frozen=True)
class PairExplained:
    """A pair's parts; `prior` + all fields + `attributes` + `households` is `total`, exactly to the hundredth of a bit.

    `rules`: the blocking rules whose keys the two share. `told_apart`: their source says that they are two customers.
    """

    prior: float
    fields: tuple[FieldPart, ...]
    attributes: float
    households: float
    total: float
    rules: tuple[str, ...]
    told_apart: bool


@dataclass(frozen=True)
class GroupsExplained:
    """Two groups of records: every pair's weight, and the mean that decides whether they are one."""

    weights: Bits
    mean: float


def explain_pair(
    records: pl.DataFrame,
    model: IdentityModel,
    fields: list[str] | None = None,
    keys_of: frozenset[tuple[str, str]] = frozenset(),
) -> PairExplained:
    """Explain a pair.

    `records`: the two records, as `resolve` takes them. `fields`: those of the run that is explained; all by default.
    `keys_of`: of that run, as `conflicts.own_keys` gives it.
    """
    people = _people(records, fields)
    pairs = _compared(people, np.array([0]), np.array([1]))
    weigher = Weigher(people, model)
    total = round(float(weigher.weigh(pairs)[0]), 2)
    levels, base, added = weigher.parts(pairs)
    if (
        abs(of_fields(weigher.fields, base + added, model.priors)[0] - total) > 0.02
    ):  # too unlikely for the values to have been looked at
        added = np.zeros_like(added)
    told = tuple(
        FieldPart(
            field.name,
            *_shown(records, field.name),
            level=int(levels[0, n]),
            said=_LEVELS[field.compare][levels[0, n] - 1] if levels[0, n] else "not compared",
            weight=round(float(base[0, n]), 2),
            frequency=round(float(added[0, n]), 2),
        )
        for n, field in enumerate(people.fields)
    )
    summed = sum(
        p.weight + p.frequency for p, f in zip(told, weigher.fields, strict=True) if f.group == "attribute"
    )
    attributes = round(min(max(summed, ATTRIBUTE_BOUNDS[0]), ATTRIBUTE_BOUNDS[1]) - summed, 2)
    prior = round(float(of_fields(weigher.fields, np.zeros_like(base), model.priors)[0]), 2)
    households = round(total - prior - attributes - sum(p.weight + p.frequency for p in told), 2)
    found, _ = candidate_pairs(people, model.rules, 1e9)
    shared = int(found.rules[0]) if found.size else 0
    rules = tuple(r.name for n, r in enumerate(model.rules) if shared >> n & 1)
    apart = bool(rivals(sole_holders(records, known=keys_of), np.array([0]), np.array([1]))[0])
    return PairExplained(prior, told, attributes, households, total, rules, apart)


def explain_groups(
    records: pl.DataFrame, left: Rows, right: Rows, model: IdentityModel, fields: list[str] | None = None
) -> GroupsExplained:
    """Weights of the pairs of rows (left[i], right[i]) between two groups, and their mean as clustering takes it."""
    people = _people(records, fields)
    pairs = _compared(people, left, right)
    weigher = Weigher(people, model)
    weights, voices = weigher.weigh(pairs), weigher.voices(pairs)
    told = float((voices * (np.clip(weights, *LIMITS) - UNSEEN)).sum())
    return GroupsExplained(weights, UNSEEN + told / max(float(voices.sum()), 1e-9))


def _people(records: pl.DataFrame, fields: list[str] | None) -> People:
    people = encode_people(records)
    if fields is None:
        return people
    kept = {n: v for n, v in people.columns.items() if n in fields}
    slots = {n: s for n, s in people.slots.items() if n in fields}
    return People(people.size, kept, people.tokens, people.given_token, people.family_token, slots)


def _compared(people: People, left: Rows, right: Rows) -> Compared:
    left, right = left.astype(np.int64), right.astype(np.int64)
    return counted(left, right, compare_pairs(people, left, right))


def _shown(records: pl.DataFrame, name: str) -> tuple[str | None, str | None]:
    """The values of both records as text, as they stand there."""
    left, right = (_value(row, name) for row in records.head(2).to_dicts())
    return left, right


def _value(row: dict[str, Any], name: str) -> str | None:
    if name.startswith(IDENTIFIER):
        scheme = name.removeprefix(IDENTIFIER)
        held = [i["value"] for i in row.get("external_ids") or [] if i and i["scheme"] == scheme]
        return ", ".join(held) or None
    if name.startswith(ATTRIBUTE):
        given = row.get(name)
        if given is None and row.get("attributes"):
            given = orjson.loads(row["attributes"]).get(name.removeprefix(ATTRIBUTE))
    elif name == "birth_date":
        given = row.get("birth_date") or row.get("birth_digits")
    else:
        given = row.get(name)
        if given is None and name in ("given_name", "family_name", "middle_name"):
            given = row.get("full_name")
    return None if given is None else str(given)
