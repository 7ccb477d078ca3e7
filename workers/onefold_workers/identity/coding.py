"""Coding the records' columns, one task a group of columns, and the coded people as later tasks find them.

A task that codes sees its own columns and nothing else of a record. Tasks that pair and compare read from the
coded columns the rows that they need.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from onefold_workers.identity.blocking import prepare_keys
from onefold_workers.identity.comparison import prepare
from onefold_workers.identity.desk import Desk, Handle, InMemory
from onefold_workers.identity.fields import derive
from onefold_workers.identity.people import NAMES, Coded, People, Rows, assembled, code_group, groups
from onefold_workers.identity.tasks import RunTasks, run
from onefold_workers.identity.text import Codes, Values

_NAMES_COST = 4.0
"""A byte of a name takes so many times as long as one of another column: it is parted into tokens."""


@dataclass(frozen=True)
class StoredValues:
    """A coded column on a desk."""

    codes: Handle
    values: Handle
    parts: dict[str, Handle]


@dataclass(frozen=True)
class StoredPeople:
    """Coded people on a desk; small, so that it travels with every task. `name` tells it from all others."""

    desk: Desk
    size: int
    columns: dict[str, StoredValues]
    slots: dict[str, Handle]
    names: tuple[Handle, Handle, Handle] | None
    counted: Handle | None = None
    words: Handle | None = None
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def open(self) -> People:
        """The people; kept at hand in this process until other ones are opened."""
        return _opened(_ByName(self))


@dataclass(frozen=True, eq=False)
class _ByName:
    stored: StoredPeople

    def __hash__(self) -> int:
        return hash(self.stored.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByName) and other.stored.name == self.stored.name


@lru_cache(maxsize=2)
def _opened(key: _ByName) -> People:
    stored, get = key.stored, key.stored.desk.get
    columns = {
        n: Values(get(v.codes), get(v.values), {p: get(h) for p, h in v.parts.items()})
        for n, v in stored.columns.items()
    }
    slots = {n: get(h) for n, h in stored.slots.items()}
    names = tuple(get(h) for h in stored.names) if stored.names else None
    words = get(stored.words) if stored.words is not None else None
    people = assembled(stored.size, [Coded(columns, slots, names, words)])
    return people if stored.counted is None else replace(people, counted=get(stored.counted))


def forget() -> None:
    """Let go of people that were opened in this process."""
    _opened.cache_clear()


def code_people(
    records: pl.DataFrame, fields: frozenset[str] | None, desk: Desk, run_tasks: RunTasks
) -> StoredPeople:
    """Code the records' columns, each group in a task of its own.

    `fields`: names of the only fields to code; None codes all that hold anything.
    """
    tasks = []
    for group, columns in sorted(groups(records).items(), key=lambda g: _cost(records, *g), reverse=True):
        tasks.append((desk, group, [(c, _laid(desk, records[c])) for c in columns], fields))
    parts = run(run_tasks, _code, tasks)
    coded: dict[str, StoredValues] = {n: v for p in parts for n, v in p[0].items()}
    kept = {f.name for f in derive(coded)} if fields is None else fields
    coded = {n: v for n, v in sorted(coded.items()) if n in kept}
    slots = {n: s for p in parts for n, s in sorted(p[1].items()) if n in kept}
    names = next((p[2] for p in parts if p[2] is not None), None)
    words = next((p[3] for p in parts if p[3] is not None), None)
    return StoredPeople(desk, records.height, coded, slots, names, words=words)


def _cost(records: pl.DataFrame, group: str, columns: list[str]) -> float:
    """What takes long begins, so that nobody waits for it at the end: names, then what holds most text."""
    size = sum(records[c].estimated_size() for c in columns)
    return size * _NAMES_COST if group == NAMES else size


def _laid(desk: Desk, column: pl.Series) -> Handle:
    return desk.put(column.alias("v"))


Part = tuple[dict[str, StoredValues], dict[str, Handle], tuple[Handle, Handle, Handle] | None, Handle | None]


def _code(task: tuple[Desk, str, list[tuple[str, Handle]], frozenset[str] | None]) -> Part:
    desk, group, columns, fields = task
    coded = code_group(group, pl.DataFrame([desk.get(h).alias(c) for c, h in columns]), fields)
    for one in derive(coded.columns):
        prepare(coded.columns[one.name], one)
    for name, values in coded.columns.items():
        prepare_keys(name, values)
    return (
        {n: _store(desk, v) for n, v in coded.columns.items()},
        {n: desk.put(s) for n, s in coded.slots.items()},
        None if coded.names is None else tuple(desk.put(c) for c in coded.names),
        None if coded.words is None else desk.put(coded.words),
    )


def _store(desk: Desk, values: Values) -> StoredValues:
    parts = {n: desk.put(p) for n, p in values.parts.items()}
    return StoredValues(desk.put(values.codes), desk.put(values.values), parts)


def keep_rows(stored: StoredPeople, rows: Rows, counted: Any, run_tasks: RunTasks) -> StoredPeople:
    """These rows alone, with what each stands for; the values stay."""
    desk = stored.desk
    if len(rows) == stored.size:
        return replace(stored, counted=desk.put(counted), name=uuid.uuid4().hex)
    place = desk.put(rows)
    named = [*stored.columns]
    arrays = [stored.columns[n].codes for n in named] + [*stored.slots.values()] + [*(stored.names or ())]
    done = run(run_tasks, _pick, [(desk, a, place) for a in arrays])
    columns = {n: replace(stored.columns[n], codes=h) for n, h in zip(named, done, strict=False)}
    slots = dict(zip(stored.slots, done[len(named) :], strict=False))
    names = tuple(done[len(named) + len(slots) :]) if stored.names else None
    return StoredPeople(desk, len(rows), columns, slots, names, desk.put(counted), stored.words)


def _pick(task: tuple[Desk, Handle, Handle]) -> Handle:
    desk, array, rows = task
    found: Codes = desk.get(array)
    return desk.put(np.ascontiguousarray(found[desk.get(rows)]))


def in_memory(people: People) -> StoredPeople:
    """People of this process, as tasks of this process take them."""
    columns = {n: StoredValues(v.codes, v.values, v.parts) for n, v in people.columns.items()}
    names = (people.tokens, people.given_token, people.family_token)
    return StoredPeople(InMemory(), people.size, columns, people.slots, names, people.counted, people.words)
