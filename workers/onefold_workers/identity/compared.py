"""Pairs with the levels of their fields, held as patterns: a few thousand patterns stand for millions of pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.comparison import Packed, compare_pairs
from onefold_workers.identity.pairing import Pairs
from onefold_workers.identity.people import People, Rows
from onefold_workers.identity.text import distinct

RunTasks = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
_CHUNK = 400_000


@dataclass(frozen=True)
class Compared:
    """Pairs `left[i] < right[i]`, candidates in the order of both; `patterns[place[i]]` has the levels of pair i.

    `rules`: a bit for each blocking rule that brought the pair; none for pairs compared because they lie inside
    one component.
    """

    left: Rows
    right: Rows
    rules: npt.NDArray[np.uint64]
    patterns: Packed
    place: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        """How many pairs there are."""
        return len(self.left)

    def with_pairs(self, people: People, left: Rows, right: Rows, run_tasks: RunTasks) -> Compared:
        """These candidate pairs, and behind them further ones; those that are new are compared, under no rule."""
        known = self.left << 32 | self.right
        keys = distinct(left << 32 | right)
        at = np.minimum(np.searchsorted(known, keys), max(len(known) - 1, 0))
        new = keys[known[at] != keys] if len(known) else keys
        if not len(new):
            return self
        a, b = new >> 32, new & 0xFFFFFFFF
        more = counted(a, b, _in_chunks(people, a, b, run_tasks))
        patterns, places = np.unique(np.concatenate([self.patterns, more.patterns]), return_inverse=True)
        here, there = places[: len(self.patterns)], places[len(self.patterns) :]
        return Compared(
            np.concatenate([self.left, a]),
            np.concatenate([self.right, b]),
            np.concatenate([self.rules, more.rules]),
            patterns,
            np.concatenate([here[self.place], there[more.place]]),
        )


def compared(people: People, pairs: Pairs, run_tasks: RunTasks) -> Compared:
    """Candidate pairs compared, chunk by chunk; chunks are self-contained unless `run_tasks` is plain `map`."""
    return counted(pairs.left, pairs.right, _in_chunks(people, pairs.left, pairs.right, run_tasks), pairs.rules)


def counted(left: Rows, right: Rows, packed: Packed, rules: npt.NDArray[np.uint64] | None = None) -> Compared:
    """Pairs and their packed levels with each distinct pattern held once."""
    patterns, place = np.unique(packed, return_inverse=True)
    return Compared(left, right, np.zeros(len(left), dtype=np.uint64) if rules is None else rules, patterns, place)


def _in_chunks(people: People, left: Rows, right: Rows, run_tasks: RunTasks) -> Packed:
    parts = list(run_tasks(_compare_chunk, _chunks(people, left, right, run_tasks is map)))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


def _chunks(people: People, left: Rows, right: Rows, here: bool) -> Iterator[tuple[People, Rows, Rows]]:
    for start in range(0, len(left), _CHUNK):
        a, b = left[start : start + _CHUNK], right[start : start + _CHUNK]
        if here:
            yield people, a, b
        else:
            rows, place = np.unique(np.concatenate([a, b]), return_inverse=True)
            yield people.take(rows), place[: len(a)], place[len(a) :]


def _compare_chunk(chunk: tuple[People, Rows, Rows]) -> Packed:
    return compare_pairs(*chunk)
