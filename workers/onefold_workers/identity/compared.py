"""Pairs with the levels of their fields, held as patterns: a few thousand patterns stand for millions of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.comparison import Packed
from onefold_workers.identity.people import Rows


@dataclass(frozen=True)
class Compared:
    """Pairs `left[i] < right[i]`; `patterns[place[i]]` has the levels of pair i.

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

    @property
    def keys(self) -> Rows:
        """Each pair as one number."""
        return self.left.astype(np.int64) << 32 | self.right

    def at(self, kept: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Compared:
        """Some of them."""
        return Compared(self.left[kept], self.right[kept], self.rules[kept], self.patterns, self.place[kept])


def counted(left: Rows, right: Rows, packed: Packed, rules: npt.NDArray[np.uint64] | None = None) -> Compared:
    """Pairs and their packed levels with each distinct pattern held once."""
    patterns, place = np.unique(packed, return_inverse=True)
    return Compared(left, right, np.zeros(len(left), dtype=np.uint64) if rules is None else rules, patterns, place)


def joined(parts: list[Compared]) -> Compared:
    """All pairs of several, in their order, with one set of patterns."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return counted(none, none, np.zeros(0, dtype=np.uint64))
    patterns, places = np.unique(np.concatenate([p.patterns for p in parts]), return_inverse=True)
    ends = np.cumsum([len(p.patterns) for p in parts])
    mine = np.split(places, ends[:-1])
    return Compared(
        np.concatenate([p.left for p in parts]),
        np.concatenate([p.right for p in parts]),
        np.concatenate([p.rules for p in parts]),
        patterns,
        np.concatenate([m[p.place] for m, p in zip(mine, parts, strict=True)]),
    )
