"""Pairs with their match weights: as columns, to compute with, and as rows, as they lie on a desk between tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.compared import Compared, counted, joined
from onefold_workers.identity.desk import Desk, Handle
from onefold_workers.identity.weights import Bits

PAIR = np.dtype(
    [("left", "<i4"), ("right", "<i4"), ("rules", "<u8"), ("pattern", "<u8"), ("weight", "<f8"), ("voice", "<f8")]
)
"""A weighed pair as it is laid down, 40 bytes: the columns of `Weighed`, with the pattern itself."""
PairRows = npt.NDArray[Any]
"""An array of dtype `PAIR`."""


@dataclass(frozen=True)
class Weighed:
    """Pairs with their match weights in bits, sorted by left and right record."""

    pairs: Compared
    weight: Bits
    voice: Bits

    def at(self, kept: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Weighed:
        """Some of them."""
        return Weighed(self.pairs.at(kept), self.weight[kept], self.voice[kept])

    def rows(self) -> PairRows:
        """The same as rows."""
        out = np.empty(self.pairs.size, dtype=PAIR)
        out["left"], out["right"], out["rules"] = self.pairs.left, self.pairs.right, self.pairs.rules
        out["pattern"] = self.pairs.patterns[self.pairs.place]
        out["weight"], out["voice"] = self.weight, self.voice
        return out

    @staticmethod
    def of(rows: PairRows) -> Weighed:
        """What `rows` made."""
        left, right = rows["left"].astype(np.int64), rows["right"].astype(np.int64)
        pairs = counted(left, right, rows["pattern"], rows["rules"].copy())
        return Weighed(pairs, rows["weight"].copy(), rows["voice"].copy())


def together(parts: list[Weighed]) -> Weighed:
    """Several as one, in their order."""
    none = np.zeros(0)
    return Weighed(
        joined([p.pairs for p in parts]),
        np.concatenate([none, *(p.weight for p in parts)]),
        np.concatenate([none, *(p.voice for p in parts)]),
    )


@dataclass(frozen=True)
class Close:
    """The close pairs that one task found, on a desk.

    `rows`: of dtype `PAIR`, `count` of them, sorted by left and right. `likely`: left and right of the `above` pairs
    whose weight is above the threshold, shape (2, above).
    """

    rows: Handle
    count: int
    likely: Handle
    above: int


def laid_down(desk: Desk, found: Weighed, threshold: float) -> Close:
    """Lay close pairs on a desk."""
    likely = found.weight > threshold
    ends = np.stack([found.pairs.left[likely], found.pairs.right[likely]]).astype(np.int32)
    return Close(desk.put(found.rows()), found.pairs.size, desk.put(ends), ends.shape[1])


def taken_up(desk: Desk, slices: Sequence[tuple[Handle, int, int]]) -> PairRows:
    """Rows from `start` to `end` of each of several handles, one after the other."""
    found = [np.asarray(desk.get(handle)[start:end]) for handle, start, end in slices]
    return np.concatenate([np.zeros(0, dtype=PAIR), *found])
