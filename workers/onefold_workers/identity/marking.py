"""Marks: keyed hashes that stand for a record's keys and for all it says, so that a later run need not read it.

A mark is 64 bits of BLAKE2b under the installation's own key; 0 stands for none. One task a key or field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_workers.identity.blocking import Rule, key_form
from onefold_workers.identity.coding import StoredPeople
from onefold_workers.identity.desk import Handle
from onefold_workers.identity.fields import IDENTIFIER
from onefold_workers.identity.people import People, Rows, mixed
from onefold_workers.identity.tasks import RunTasks, run
from onefold_workers.identity.text import Codes, encode

Marks = npt.NDArray[np.uint64]
BOTH = "both_names"


@dataclass(frozen=True)
class Marked:
    """Marks of records: `keys` by name of the key, shape (records,) or (records, slots); `profile`: of all it says."""

    keys: dict[str, Marks]
    profile: Marks


def key_names(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """Every key that the rules make use of."""
    return tuple(sorted({k for r in rules for k in (*r.keys, *r.refine)}))


def mark(
    stored: StoredPeople, rules: tuple[Rule, ...], fields: Iterable[str], salt: str, run_tasks: RunTasks
) -> Marked:
    """Marks of all these records.

    `fields`: names of the fields that make a profile; those that no record has count as empty.
    """
    names = key_names(rules)
    plain = sorted(n for n in fields if n != "middle_name")  # which the names as a whole hold
    tasks = [("key", n) for n in names] + [("says", n) for n in plain] + [("says", "")]
    found = run(run_tasks, _mark, [(stored, kind, n, salt) for kind, n in tasks])
    get = stored.desk.get
    keys = {n: np.asarray(get(h)) for n, h in zip(names, found, strict=False)}
    profile = np.zeros(stored.size, dtype=np.uint64)
    for handle in found[len(names) :]:
        profile = mixed(profile, get(handle).view(np.int64))
    return Marked(keys, profile)


def set_apart(profile: Marks, rows: Rows, keys: pl.Series, salt: str) -> Marks:
    """The profiles, with those of these rows made their own: somebody decided about them."""
    out = profile.copy()
    if len(rows):
        out[rows] = mixed(out[rows], hashed(keys.gather(rows), salt).view(np.int64))
    return out


def hashed(texts: pl.Series, salt: str) -> Marks:
    """A mark for each text; 0 for none."""
    key = salt.encode()[:64]
    digests = [hashlib.blake2b(t.encode(), digest_size=8, key=key).digest() for t in texts.to_list()]
    return np.maximum(np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64), np.uint64(1))


def _mark(task: tuple[StoredPeople, str, str, str]) -> Handle:
    stored, kind, name, salt = task
    people = stored.open()
    made = _key(people, name, salt) if kind == "key" else _says(people, name, salt)
    return stored.desk.put(np.ascontiguousarray(made))


def _key(people: People, key: str, salt: str) -> Marks:
    none = np.zeros(people.size, dtype=np.uint64)
    if key == BOTH:
        if people.words is None:
            return none
        words = np.append(hashed(people.words, salt), np.uint64(0))
        a, b = words[people.given_token], words[people.family_token]
        both = mixed(mixed(none, np.minimum(a, b).view(np.int64)), np.maximum(a, b).view(np.int64))
        return np.where((a > 0) & (b > 0), both, np.uint64(0))
    field, form = key_form(key)
    values = people.columns.get(field)
    if values is None:
        return none[:, None] if field.startswith(IDENTIFIER) else none
    if field.startswith(IDENTIFIER):
        slots = people.slots.get(field, values.codes[:, None])
        return np.append(hashed(values.values, salt), np.uint64(0))[slots]
    return _by_value(values.values.alias("v").to_frame().select(v=form)["v"], salt)[values.codes]


def _says(people: People, name: str, salt: str) -> Marks:
    if not name:  # the names as a whole; in any order, for codes have none that lasts
        words = np.append(hashed(people.words, salt) if people.words is not None else [], 0).astype(np.uint64)
        total: Marks = words[people.tokens].sum(axis=1, dtype=np.uint64)
        return total
    values = people.columns.get(name)
    if values is None:
        return np.zeros(people.size, dtype=np.uint64)
    marks = np.append(hashed(values.values, salt), np.uint64(0))
    if name in people.slots:
        summed: Marks = marks[people.slots[name]].sum(axis=1, dtype=np.uint64)
        return summed
    return np.asarray(marks[values.codes])


def _by_value(texts: pl.Series, salt: str) -> npt.NDArray[Any]:
    coded = encode(texts)
    codes: Codes = coded.codes
    return np.append(np.append(hashed(coded.values, salt), np.uint64(0))[codes], np.uint64(0))
