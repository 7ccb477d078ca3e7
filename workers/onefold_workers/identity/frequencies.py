"""How often values occur among persons, and how often two strangers therefore agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.fields import Field
from onefold_workers.identity.model import keyed
from onefold_workers.identity.people import People, Rows
from onefold_workers.identity.weights import NO_FREQUENCY, Bits

_U_STRENGTH, _SHARE_STRENGTH = 2_000.0, 300.0
_FREQUENT = 3


@dataclass(frozen=True)
class Counts:
    """Share of persons by frequent value (hashed), the share of any other, the chance that two agree."""

    table: dict[str, float]
    rare: float
    same: float | None
    shares: Bits


def frequencies(people: People, field: Field, owner: Rows, salt: str) -> Counts:
    """Count a field's values by person (`owner` of each record), held towards what is believed where they are few."""
    values = people.columns[field.name]
    known = values.known
    if field.name in NO_FREQUENCY or not known.any():
        return Counts({}, 1.0, None, np.ones(values.size))
    pair = owner[known] << 32 | values.codes[known].astype(np.int64)
    order = np.argsort(pair, kind="stable")
    pair = pair[order]
    start = np.flatnonzero(np.append(True, pair[1:] != pair[:-1]))
    persons = np.maximum.reduceat(people.persons[known][order], start)
    counts = np.bincount(pair[start] & 0xFFFFFFFF, weights=persons, minlength=values.size)
    total = float(persons.sum())
    believed = _SHARE_STRENGTH * field.random[-1]
    rare = round((2.0 + believed) / (total + _SHARE_STRENGTH), 12)
    frequent = np.flatnonzero(counts >= _FREQUENT)
    shares = np.full(values.size, rare)
    shares[frequent] = np.round((counts[frequent] + believed) / (total + _SHARE_STRENGTH), 12)
    hashes = keyed(values.values[frequent], salt)
    table = dict(zip(hashes, shares[frequent].tolist(), strict=True))
    same = float((counts * (counts - 1)).sum() / max(total * (total - 1), 1.0))
    return Counts(table, rare, same, shares)


def chance(field: Field, levels: npt.NDArray[np.uint8], same: float | None) -> Bits:
    """u by level: sampled, with the prior as pseudo-counts; agreement itself from the exact value counts."""
    counts = np.bincount(levels, minlength=field.levels)[1 : field.levels].astype(np.float64)
    prior = np.array(field.random)
    u = (counts + _U_STRENGTH * prior) / (counts.sum() + _U_STRENGTH)
    if same is not None:
        weight = counts.sum() / (counts.sum() + _U_STRENGTH)
        exact = max(weight * same + (1 - weight) * prior[-1], 1e-9)
        u[:-1] *= (1 - min(exact, 0.999)) / max(u[:-1].sum(), 1e-12)
        u[-1] = min(exact, 0.999)
    return np.asarray(np.maximum(u, 1e-9))
