"""Match weights: how much more likely a pair is one person than not, in bits.

Fellegi and Sunter (1969) weigh each field by log2(m/u) and add. Fields of an address agree or differ together,
so five explanations of a pair are told apart instead of two: one person; one person who moved (the address
says nothing); two of a family in one household (family name and address agree, the rest does not); two others at
one address; strangers. The match weight is log2 of (first two) / (last three), each with its prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.compared import Compared
from onefold_workers.identity.comparison import Levels, unpacked
from onefold_workers.identity.fields import IDENTIFIER, Field
from onefold_workers.identity.model import FieldParameters, IdentityModel, Priors
from onefold_workers.identity.people import People, Rows

Bits = npt.NDArray[np.float64]
NEVER = -300.0
HOPELESS = -8.0
CERTAIN = 6.0
ATTRIBUTE_BOUNDS = (-5.0, 10.0)
ATTRIBUTE_SHARED = 0.5
_GROUPS = ("person", "family", "address", "attribute", "shared")
EMAIL = "email"
EMAIL_DOUBT = 3.0
"""An email that few have tells a person almost as an identifier does: by so many bits less."""
NO_FREQUENCY = frozenset({"middle_name", "gender"})


@dataclass(frozen=True)
class Sums:
    """Match weights by group of fields, one a pair; `shared`: that of the person's fields within a household."""

    person: Bits
    family: Bits
    address: Bits
    shared: Bits


def log2(share: float) -> float:
    """log2, with a bottom."""
    return float(np.log2(share)) if share > 0 else NEVER


def tables(fields: tuple[Field, ...], parameters: tuple[FieldParameters, ...]) -> list[Bits]:
    """Weight by level of each field: log2(m/u) within its bounds, 0 where missing."""
    known = {p.name: p for p in parameters}
    out = []
    for field in fields:
        p = known.get(field.name) or FieldParameters(field.name, field.match, field.random)
        weight = np.log2(np.array(p.match)) - np.log2(np.array(p.random))
        out.append(np.concatenate([[0.0], np.clip(weight, *field.bounds)]))
    return out


def group_sums(fields: tuple[Field, ...], levels: Levels, weight: list[Bits]) -> Sums:
    """Sums by group for patterns of levels, shape (patterns, fields)."""
    return _settled(_raw_sums(fields, levels, weight))


def _raw_sums(fields: tuple[Field, ...], levels: Levels, weight: list[Bits]) -> dict[str, Bits]:
    sums = {g: np.zeros(len(levels)) for g in _GROUPS}
    for place, field in enumerate(fields):
        bits = weight[place][levels[:, place]]
        sums[field.group] += bits
        if field.group == "person" and field.shared:
            sums["shared"] += _shared(bits, field.shared)
    return sums


def _shared(bits: Bits, share: float) -> Bits:
    """Weight of a likeness for two persons who have the value in common with this probability."""
    return np.asarray(np.log2(share * np.exp2(bits) + 1 - share))


def _settled(sums: dict[str, Bits]) -> Sums:
    """Attributes depend on each other, so together they count no more than a field or two."""
    attributes = np.clip(sums["attribute"], *ATTRIBUTE_BOUNDS)
    return Sums(
        sums["person"] + attributes,
        sums["family"],
        sums["address"],
        sums["shared"] + _shared(attributes, ATTRIBUTE_SHARED),
    )


def explanations(sums: Sums, priors: Priors) -> Bits:
    """log2 of prior times likelihood ratio of the five explanations, shape (5, pairs), strangers last."""
    strangers = max(1.0 - priors.same - priors.moved - priors.household - priors.address, 1e-12)
    return np.stack(
        [
            log2(priors.same) + sums.person + sums.family + sums.address,
            log2(priors.moved) + sums.person + sums.family,
            log2(priors.household) + sums.shared + sums.family + sums.address,
            log2(priors.address) + sums.shared + sums.address,
            np.full(len(sums.person), log2(strangers)),
        ]
    )


def combined(sums: Sums, priors: Priors) -> Bits:
    """The match weight, prior included: above 0 a match is the likelier explanation."""
    e = explanations(sums, priors)
    return np.asarray(np.logaddexp2(e[0], e[1]) - np.logaddexp2(np.logaddexp2(e[2], e[3]), e[4]))


def of_fields(fields: tuple[Field, ...], bits: Bits, priors: Priors) -> Bits:
    """Match weights of pairs from the bits of each of their fields, shape (pairs, fields)."""
    sums = {g: np.zeros(len(bits)) for g in _GROUPS}
    for n, field in enumerate(fields):
        sums[field.group] += bits[:, n]
        if field.group == "person" and field.shared:
            sums["shared"] += _shared(bits[:, n], field.shared)
    return combined(_settled(sums), priors)


def tells_a_person(people: People, prior: float) -> npt.NDArray[np.bool_]:
    """Whether two records identical to each one would be one person, by what is believed before learning.

    `prior`: log2 of the share of pairs that are one person.
    """
    total = np.full(people.size, prior)
    for field in people.fields:
        total += people.columns[field.name].known * np.log2(field.match[-1] / field.random[-1])
    return total > CERTAIN


def has_own_value(people: People) -> npt.NDArray[np.bool_]:
    """Whether each record has an email or an identifier: values that are given to one person."""
    own = [v.known for n, v in people.columns.items() if n == EMAIL or n.startswith(IDENTIFIER)]
    return np.asarray(np.logical_or.reduce([np.zeros(people.size, dtype=bool), *own]))


class Weigher:
    """Weighs pairs of these people under a model; frequencies of values are looked up once."""

    def __init__(self, people: People, model: IdentityModel, shares: dict[str, Bits] | None = None) -> None:
        self.people, self.model, self._shares = people, model, shares or {}
        known = {p.name: p.shared for p in model.fields}
        self.fields = tuple(replace(f, shared=known.get(f.name, f.shared)) for f in people.fields)
        self.tables = tables(self.fields, model.fields)
        self._extra = [self._by_value(f, t) for f, t in zip(self.fields, self.tables, strict=True)]
        self._in_household = [
            None if e is None or not f.shared else _shared(t[-1] + e, f.shared) - _shared(t[-1:], f.shared)
            for f, t, e in zip(self.fields, self.tables, self._extra, strict=True)
        ]

    def _by_value(self, field: Field, table: Bits) -> Bits | None:
        """What agreement on each value adds to or takes from the weight of agreement on the average value."""
        if field.name in NO_FREQUENCY:
            return None
        known = {p.name: p for p in self.model.fields}.get(field.name)
        if known is None:
            return None
        share = self._shares.get(field.name)
        if share is None:
            share = self.model.shares(field.name, self.people.columns[field.name])
        share = np.minimum(share, 1.0)
        bits = table[-1] + self.model.damping * (np.log2(known.random[-1]) - np.log2(share))
        bits = np.clip(bits, 0.0, field.bounds[1])
        if field.name.startswith(IDENTIFIER) or field.name == EMAIL:
            least = self.model.strong - (EMAIL_DOUBT if field.name == EMAIL else 0.0)
            bits = np.where(share <= self.model.crowd, np.maximum(bits, least), bits)
        return np.asarray(bits - table[-1])

    def weigh(self, pairs: Compared) -> Bits:
        """Match weights of pairs of these people, in bits.

        Values are looked at only where they could lift a pair above `HOPELESS`; others keep their pattern's weight.
        """
        levels = unpacked(pairs.patterns, self.fields)
        base = _raw_sums(self.fields, levels, self.tables)
        weight = combined(_settled(base), self.model.priors)
        able = np.flatnonzero((weight + self._most(levels) > HOPELESS)[pairs.place])
        weight = weight[pairs.place]
        left, right, at = pairs.left[able], pairs.right[able], pairs.place[able]
        sums = {group: bits[at] for group, bits in base.items()}
        for number, (field, extra) in enumerate(zip(self.fields, self._extra, strict=True)):
            if extra is None:
                continue
            same = np.flatnonzero((levels[:, number] == field.levels - 1)[at])
            sums[field.group][same] += self._by_pair(field.name, extra, left[same], right[same])
            common = self._in_household[number]
            if field.group == "person" and common is not None:
                sums["shared"][same] += self._by_pair(field.name, common, left[same], right[same])
        weight[able] = combined(_settled(sums), self.model.priors)
        return weight

    def parts(self, pairs: Compared) -> tuple[Levels, Bits, Bits]:
        """Of each pair and field, shape (pairs, fields): the level, its weight, what the value's frequency adds."""
        levels = unpacked(pairs.patterns, self.fields)[pairs.place]
        base = [table[levels[:, n]] for n, table in enumerate(self.tables)]
        added = np.zeros(levels.shape)
        for n, (field, extra) in enumerate(zip(self.fields, self._extra, strict=True)):
            if extra is not None:
                same = np.flatnonzero(levels[:, n] == field.levels - 1)
                added[same, n] = self._by_pair(field.name, extra, pairs.left[same], pairs.right[same])
        return levels, np.stack(base, axis=1) if base else np.zeros(levels.shape), added

    def _by_pair(self, name: str, extra: Bits, left: Rows, right: Rows) -> Bits:
        codes = self.people.columns[name].codes
        a, b = codes[left], codes[right]
        return np.asarray(np.where(a == b, extra[a], np.minimum(extra[a], extra[b])))

    def _most(self, levels: Levels) -> Bits:
        """The most that the values behind each pattern could add to its weight."""
        most = [0.0 if e is None or not len(e) else max(float(e.max()), 0.0) for e in self._extra]
        top = np.array([f.levels - 1 for f in self.fields])
        return np.asarray((levels == top) @ np.array(most)) if most else np.zeros(len(levels))

    def voices(self, pairs: Compared) -> Bits:
        """How much each pair has to say, 0 to 1: what agreement of all it knows would give, by what it takes.

        Two records that have next to nothing in common are no evidence that a cluster is not one person.
        """
        known = unpacked(pairs.patterns, self.fields) > 0
        best = (
            known @ np.array([max(float(t[-1]), 0.0) for t in self.tables]) if self.fields else np.zeros(len(known))
        )
        needed = max(-log2(self.model.priors.same), 1.0)
        return np.asarray(np.minimum(best / needed, 1.0)[pairs.place])
