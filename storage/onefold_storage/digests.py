"""Digests of a source's rows as they stand, 25 bytes a row, so that a source of many millions fits in memory.

A key is known by 128 bits and what its row says by 64, of hashes that are keyed anew each time: that two keys of twenty
million are taken for one happens once in 10^24 times, that a change is not seen once in 10^19 changed rows. They lie on
shelves by their first bits, so that no more than a shelf is ever copied; on a shelf in sorted runs, each at least twice
as large as the next, so that what is added is merged a few times only.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Numbers = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
SHELVES = 32
_SHIFT = np.uint64(64 - 5)


@dataclass(frozen=True)
class Digested:
    """By row: the two halves of the key's digest, and the row's."""

    high: Numbers
    low: Numbers
    row: Numbers

    def __getitem__(self, at: Any) -> Digested:
        """Some of them: a mask, or positions."""
        return Digested(self.high[at], self.low[at], self.row[at])


@dataclass(frozen=True)
class Digesting:
    """How rows are digested: by the columns of the key, and by all columns. Rows have the same types each time."""

    keys: Sequence[str]
    columns: Sequence[str]
    seeds: tuple[int, int, int] = field(
        default_factory=lambda: (secrets.randbits(63), secrets.randbits(63), secrets.randbits(63)), repr=False
    )

    def of(self, rows: pl.DataFrame) -> Digested:
        """The digests of rows."""
        high, low, row = self.seeds
        key, said = pl.struct(self.keys), pl.struct(self.columns)
        made = rows.select(a=key.hash(seed=high), b=key.hash(seed=low), c=said.hash(seed=row))
        return Digested(*(column.to_numpy() for column in made))


def shelved(high: Numbers) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Shelf and positions of the digests that belong there, ascending by `high`."""
    order = np.argsort(high)  # ascending, a search goes on where the one before it ended
    edges = np.searchsorted(high[order], np.arange(1, SHELVES, dtype=np.uint64) << _SHIFT)
    for shelf, at in enumerate(np.split(order, edges)):
        if at.size:
            yield shelf, at


class Digests:
    """What stands for each key, and whether the key has been seen."""

    def __init__(self) -> None:
        self._shelves: list[list[_Run]] = [[] for _ in range(SHELVES)]

    def know(self, shelf: int, rows: Digested) -> None:
        """Fill an empty shelf with rows, ascending by `high`, of distinct keys that are not seen yet."""
        self._shelves[shelf] = [_Run(rows, np.zeros(rows.high.size, np.bool_))]

    def look(self, rows: Digested) -> tuple[Flags, Numbers, Flags]:
        """By row: whether its key is there, the digest that stands for it (0 where it is not), and whether it was seen."""
        there, seen = np.zeros(rows.high.size, np.bool_), np.zeros(rows.high.size, np.bool_)
        standing = np.zeros(rows.high.size, np.uint64)
        for shelf, these in shelved(rows.high):
            for run in self._shelves[shelf]:
                which, place = run.find(rows[these])
                at = these[which]
                there[at], standing[at], seen[at] = True, run.rows.row[place], run.seen[place]
        return there, standing, seen

    def put(self, rows: Digested) -> None:
        """Rows of distinct keys stand from now on, and are seen."""
        for shelf, these in shelved(rows.high):
            wanted, runs = rows[these], self._shelves[shelf]
            new = np.ones(these.size, np.bool_)
            for run in runs:
                which, place = run.find(wanted)
                run.rows.row[place], run.seen[place], new[which] = wanted.row[which], True, False
            if new.any():
                runs.append(_Run(wanted[new], np.ones(np.count_nonzero(new), np.bool_)))
            while len(runs) > 1 and runs[-2].seen.size < 2 * runs[-1].seen.size:
                last = runs.pop()
                runs.append(runs.pop().merged(last))

    def unseen(self) -> int:
        """Keys that have not been seen."""
        return sum(int(np.count_nonzero(~run.seen)) for runs in self._shelves for run in runs)


@dataclass
class _Run:
    """Rows in the order of `high`."""

    rows: Digested
    seen: Flags

    def find(self, wanted: Digested) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Positions among the wanted, which ascend, of those that are here; and where they are."""
        order, high = np.arange(wanted.high.size), wanted.high
        place = np.searchsorted(self.rows.high, high)
        at: list[npt.NDArray[np.int64]] = []
        found: list[npt.NDArray[np.int64]] = []
        while order.size:  # keys whose first halves are equal stand beside each other: once in a blue moon
            same = place < self.seen.size
            same[same] = self.rows.high[place[same]] == high[same]
            order, high, place = order[same], high[same], place[same]
            hit = self.rows.low[place] == wanted.low[order]
            at.append(order[hit])
            found.append(place[hit])
            order, high, place = order[~hit], high[~hit], place[~hit] + 1
        return np.concatenate([*at, _NONE]), np.concatenate([*found, _NONE])

    def merged(self, other: _Run) -> _Run:
        """Both in one; neither is used again."""
        order = np.argsort(np.concatenate([self.rows.high, other.rows.high]), kind="stable")
        mine, theirs = self.rows, other.rows
        pairs = ((mine.high, theirs.high), (mine.low, theirs.low), (mine.row, theirs.row))
        columns = [np.concatenate(pair)[order] for pair in pairs]
        return _Run(Digested(*columns), np.concatenate([self.seen, other.seen])[order])


_NONE = np.zeros(0, np.int64)
