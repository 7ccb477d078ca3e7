"""How often values occur among persons, and how often two strangers therefore agree. One task a field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.coding import StoredPeople
from onefold_workers.identity.desk import Handle
from onefold_workers.identity.fields import Field, derive
from onefold_workers.identity.model import IdentityModel, keyed, shares_of
from onefold_workers.identity.people import Rows
from onefold_workers.identity.tasks import RunTasks, run
from onefold_workers.identity.text import Values
from onefold_workers.identity.weights import NO_FREQUENCY, Bits

_U_STRENGTH, _SHARE_STRENGTH = 2_000.0, 300.0
_FREQUENT = 3


@dataclass(frozen=True)
class Counts:
    """Share of persons by frequent value (hashed), the share of any other, the chance that two agree.

    `shares`: handle of the share by code.
    """

    table: dict[str, float]
    rare: float
    same: float | None
    shares: Handle


def count_values(stored: StoredPeople, owner: Rows, salt: str | None, run_tasks: RunTasks) -> dict[str, Counts]:
    """Count each field's values by person (`owner` of each record).

    `salt`: key of the hashes in the tables, which stay empty without it.
    """
    fields = derive(stored.columns)
    laid = stored.desk.put(owner)
    done = run(run_tasks, _count, [(stored, f, laid, salt) for f in fields])
    return {f.name: c for f, c in zip(fields, done, strict=True)}


def known_shares(
    stored: StoredPeople, model: IdentityModel, copied: Rows, run_tasks: RunTasks
) -> dict[str, Handle]:
    """Handles of the share of persons by code, by field, as a model has them.

    `copied`: records that stand for several.
    """
    laid = stored.desk.put(copied)
    fields = [f.name for f in derive(stored.columns) if f.name not in NO_FREQUENCY]
    tasks = [(stored, n, model.frequencies.get(n, {}), model.rare.get(n, 1.0), model.salt, laid) for n in fields]
    return dict(zip(fields, run(run_tasks, _look_up, tasks), strict=True))


def _look_up(task: tuple[StoredPeople, str, dict[str, float], float, str, Handle]) -> Handle:
    stored, name, table, rare, salt, copied = task
    values = stored.open().columns[name]
    slots = stored.open().slots.get(name, values.codes)
    again = slots[stored.desk.get(copied)]
    held = np.bincount(np.concatenate([slots[slots >= 0], again[again >= 0]]), minlength=values.size)
    return stored.desk.put(shares_of(values, table, rare, salt, held))


def _count(task: tuple[StoredPeople, Field, Handle, str | None]) -> Counts:
    stored, field, owner, salt = task
    people = stored.open()
    own = stored.desk.get(owner)
    return frequencies(people.columns[field.name], people.persons, field, own, salt, stored)


def frequencies(
    values: Values,
    standing: npt.NDArray[np.float64],
    field: Field,
    owner: Rows,
    salt: str | None,
    stored: StoredPeople,
) -> Counts:
    """Count a field's values by person, held towards what is believed where they are few.

    `standing`: how many persons each record stands for.
    """
    known = values.known
    if field.name in NO_FREQUENCY or not known.any():
        return Counts({}, 1.0, None, stored.desk.put(np.ones(values.size)))
    pair = owner[known] << 32 | values.codes[known].astype(np.int64)
    order = np.argsort(pair, kind="stable")
    pair = pair[order]
    start = np.flatnonzero(np.append(True, pair[1:] != pair[:-1]))
    persons = np.maximum.reduceat(standing[known][order], start)
    counts = np.bincount(pair[start] & 0xFFFFFFFF, weights=persons, minlength=values.size)
    total = float(persons.sum())
    believed = _SHARE_STRENGTH * field.random[-1]
    rare = round((2.0 + believed) / (total + _SHARE_STRENGTH), 12)
    frequent = np.flatnonzero(counts >= _FREQUENT)
    shares = np.full(values.size, rare)
    shares[frequent] = np.round((counts[frequent] + believed) / (total + _SHARE_STRENGTH), 12)
    hashes = keyed(values.texts(frequent), salt) if salt is not None else []
    table = dict(zip(hashes, shares[frequent].tolist(), strict=False))
    same = float((counts * (counts - 1)).sum() / max(total * (total - 1), 1.0))
    return Counts(table, rare, same, stored.desk.put(shares))


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
