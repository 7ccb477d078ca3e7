"""Match weights: how much more likely a pair is one person than not, in bits.

Fellegi and Sunter (1969) weigh each field by log2(m/u) and add. Fields of an address agree or differ together,
so four explanations of a pair are told apart instead of two: one person; one person who moved (the address
says nothing); two persons of one household (family name and address agree, the rest does not); strangers.
The match weight is log2 of (first two) / (last two), each with its prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.comparison import Levels, Packed, unpacked
from onefold_workers.identity.fields import IDENTIFIER, Field
from onefold_workers.identity.model import FieldParameters, IdentityModel, Priors
from onefold_workers.identity.people import People, Rows

Bits = npt.NDArray[np.float64]
NEVER = -300.0
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
    sums = {g: np.zeros(len(levels)) for g in ("person", "family", "address")}
    shared = np.zeros(len(levels))
    for place, field in enumerate(fields):
        bits = weight[place][levels[:, place]]
        sums[field.group] += bits
        if field.group == "person" and field.shared:
            shared += np.log2(field.shared * np.exp2(bits) + 1 - field.shared)
    return Sums(sums["person"], sums["family"], sums["address"], shared)


def explanations(sums: Sums, priors: Priors) -> Bits:
    """log2 of prior times likelihood ratio of the four explanations, shape (4, pairs), strangers last."""
    strangers = max(1.0 - priors.same - priors.moved - priors.household, 1e-12)
    return np.stack(
        [
            log2(priors.same) + sums.person + sums.family + sums.address,
            log2(priors.moved) + sums.person + sums.family,
            log2(priors.household) + sums.shared + sums.family + sums.address,
            np.full(len(sums.person), log2(strangers)),
        ]
    )


def combined(sums: Sums, priors: Priors) -> Bits:
    """The match weight, prior included: above 0 a match is the likelier explanation."""
    e = explanations(sums, priors)
    return np.asarray(np.logaddexp2(e[0], e[1]) - np.logaddexp2(e[2], e[3]))


class Weigher:
    """Weighs pairs of these people under a model; frequencies of values are looked up once."""

    def __init__(self, people: People, model: IdentityModel) -> None:
        self.people, self.model = people, model
        self.fields = people.fields
        self.tables = tables(self.fields, model.fields)
        self._extra = [self._by_value(f, t) for f, t in zip(self.fields, self.tables, strict=True)]

    def _by_value(self, field: Field, table: Bits) -> Bits | None:
        """What agreement on each value adds to or takes from the weight of agreement on the average value."""
        if field.name in NO_FREQUENCY:
            return None
        known = {p.name: p for p in self.model.fields}.get(field.name)
        if known is None:
            return None
        share = np.minimum(self.model.shares(field.name, self.people.columns[field.name]), 1.0)
        bits = table[-1] + self.model.damping * (np.log2(known.random[-1]) - np.log2(share))
        bits = np.clip(bits, 0.0, field.bounds[1])
        if field.name.startswith(IDENTIFIER):
            bits = np.where(share <= self.model.crowd, np.maximum(bits, self.model.strong), bits)
        return np.asarray(bits - table[-1])

    def weigh(
        self, left: Rows, right: Rows, patterns: Packed, place: npt.NDArray[np.integer] | None = None
    ) -> Bits:
        """Match weights of pairs; `place[i]` is pair i's pattern (or pattern i is its own)."""
        levels = unpacked(patterns, self.fields)
        base = group_sums(self.fields, levels, self.tables)
        at = slice(None) if place is None else place
        sums = {g: getattr(base, g)[at].copy() for g in ("person", "family", "address", "shared")}
        for number, (field, extra) in enumerate(zip(self.fields, self._extra, strict=True)):
            if extra is None:
                continue
            same = np.flatnonzero((levels[:, number] == field.levels - 1)[at])
            codes = self.people.columns[field.name].codes
            a, b = codes[left[same]], codes[right[same]]
            bits = np.where(a == b, extra[a], np.minimum(extra[a], extra[b]))
            sums[field.group][same] += bits
            if field.group == "person" and field.shared:
                s, top = field.shared, self.tables[number][-1]
                sums["shared"][same] += np.log2(s * np.exp2(top + bits) + 1 - s) - np.log2(s * np.exp2(top) + 1 - s)
        return combined(Sums(**sums), self.model.priors)
