"""From weighed pairs to clusters: connected components, then average linkage inside each component.

A chain of weak pairs must not glue two persons together, so two clusters join only where the *mean* weight
between all their records is above the threshold (average linkage, Sokal and Michener 1958). It is reducible
(Bruynooghe 1977): all pairs of clusters that are each other's best partner may join at once, so the work is
done for all components together in a few rounds over arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from onefold_workers.identity.people import Rows
from onefold_workers.identity.weights import Bits

UNSEEN = -8.0
"""Weight of a pair inside a component that was never compared: it met under no rule."""
LIMITS = (-8.0, 16.0)
"""Weights are held within these before they are averaged, so that no single pair decides alone."""
_STEP = 3.0
LEAST_VOICE = 0.02
LEAST_CONFLICT = 4
"""Pairs of different birth dates between two clusters that make a conflict: two records against two."""
APART = -1e7
"""Weight of a pair that a person decided is not one."""


def components(size: int, left: Rows, right: Rows) -> Rows:
    """The connected component of each of `size` nodes."""
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def bounded_components(size: int, left: Rows, right: Rows, weight: Bits, limit: int) -> Rows:
    """Components of at most `limit` nodes: a larger one loses its weakest links, more each round, until it is not.

    Each component is treated by its own links alone. Links of infinite weight stay, whatever the size.
    """
    step = _STEP
    component = components(size, left, right)
    large = np.bincount(component, minlength=1)[component[left]] > limit
    while large.any():
        own = component[left[large]]
        least = np.full(int(component.max()) + 1, np.inf)
        np.minimum.at(least, own, weight[large])
        weak = np.zeros(len(left), dtype=bool)
        weak[large] = np.isfinite(weight[large]) & (weight[large] < least[own] + step)
        if not weak.any():
            break
        left, right, weight = left[~weak], right[~weak], weight[~weak]
        component = components(size, left, right)
        large = np.bincount(component, minlength=1)[component[left]] > limit
        step *= 2
    return component


def affordable(component: Rows, limit: int, budget: float) -> int:
    """The largest size up to `limit` at which all pairs inside components up to it are no more than `budget`."""
    sizes = np.bincount(np.minimum(np.bincount(component), limit + 1), minlength=limit + 2).astype(np.float64)
    sizes[:3] = 0
    places = np.arange(len(sizes), dtype=np.float64)
    total = np.cumsum(sizes * places * (places - 1) / 2)[: limit + 1]
    return int(np.searchsorted(total, budget, side="right")) - 1


def inner_pairs(component: Rows, limit: int) -> tuple[Rows, Rows]:
    """All pairs inside components of 3 to `limit` nodes, sorted by left and right."""
    order = np.argsort(component, kind="stable").astype(np.int64)
    sizes = np.bincount(component)
    chosen = (sizes >= 3) & (sizes <= limit)
    inside = np.repeat(chosen, sizes)
    rows, own = order[inside], sizes[chosen]
    place = np.arange(len(rows)) - np.repeat(np.cumsum(own) - own, own)
    after = np.repeat(own, own) - place - 1
    first = np.repeat(np.arange(len(rows)), after)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    a, b = rows[first], rows[second]
    keys = np.sort(np.minimum(a, b) << 32 | np.maximum(a, b))
    return keys >> 32, keys & 0xFFFFFFFF


@dataclass(frozen=True)
class Links:
    """Weighed pairs of nodes, each once.

    `voice`: from 0 to 1, how much a pair has to say: nothing, where the two have no field in common.
    `agree`, `differ`: how many pairs of records behind it do so on the birth date (none, if unknown).
    """

    left: Rows
    right: Rows
    weight: Bits
    voice: Bits
    agree: Bits
    differ: Bits

    def at(self, kept: npt.NDArray[Any]) -> Links:
        """Some of them."""
        return Links(*(column[kept] for column in vars(self).values()))

    def and_also(self, other: Links) -> Links:
        """These and others."""
        mine, theirs = vars(self).values(), vars(other).values()
        return Links(*(np.concatenate(two) for two in zip(mine, theirs, strict=True)))


def average_linkage(start: Rows, links: Links, threshold: float, sure: Bits | None = None) -> Rows:
    """Cluster of each node, named by its first node.

    `start`: clusters to begin with (must-links joined), named by a node. Pairs without a link count as `UNSEEN`,
    those with little to say count less. `sure`: by node, pairs of records behind it that agree on a birth date.
    Two clusters stay apart, whatever their mean, where each has records that agree on a birth date and no date of
    one agrees with any of the other: a person has one.
    """
    label = start.copy()
    size = np.bincount(label, minlength=len(label)).astype(np.float64)
    certain = np.zeros(len(label))
    if sure is not None:
        np.add.at(certain, label, sure)
    bounded = np.where(links.weight <= APART / 2, links.weight, np.clip(links.weight, *LIMITS))
    told = links.voice * (bounded - UNSEEN)
    facts = np.stack([told, 1.0 - links.voice, links.agree, links.differ])
    low, high, facts = _summed(label[links.left], label[links.right], facts, certain)
    while len(low):
        voices = size[low] * size[high] - facts[1]
        mean = np.where(voices > LEAST_VOICE, UNSEEN + facts[0] / np.maximum(voices, LEAST_VOICE), -np.inf)
        conflict = (certain[low] > 0) & (certain[high] > 0) & (facts[2] == 0) & (facts[3] >= LEAST_CONFLICT)
        able = np.flatnonzero((mean > threshold) & ~conflict)
        if not len(able):
            break
        order = able[np.lexsort((high[able], low[able], -np.round(mean[able], 9)))]
        rank = np.arange(len(order))
        best = np.full(len(label), len(low), dtype=np.int64)
        np.minimum.at(best, low[order], rank)
        np.minimum.at(best, high[order], rank)
        joined = order[(best[low[order]] == rank) & (best[high[order]] == rank)]
        into = np.arange(len(label))
        into[high[joined]] = low[joined]
        size[low[joined]] += size[high[joined]]
        certain[low[joined]] += certain[high[joined]]
        label = into[label]
        low, high, facts = _summed(into[low], into[high], facts, certain)
    return label


def _summed(a: Rows, b: Rows, facts: Bits, certain: Bits) -> tuple[Rows, Rows, Bits]:
    """Pairs of clusters with the sums of what lies between them.

    Pairs inside a cluster drop out; how many of them agree is added to `certain`, in place.
    """
    low, high = np.minimum(a, b), np.maximum(a, b)
    inside = low == high
    np.add.at(certain, low[inside], facts[2, inside])
    low, high, facts = low[~inside], high[~inside], facts[:, ~inside]
    if not len(low):
        return low, high, facts
    key = low << 32 | high
    order = np.argsort(key, kind="stable")
    key = key[order]
    at = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return key[at] >> 32, key[at] & 0xFFFFFFFF, np.add.reduceat(facts[:, order], at, axis=1)


def numbered(label: npt.NDArray[np.integer]) -> Rows:
    """Labels (not negative) as 0, 1, … in the order of first appearance."""
    rows = np.arange(len(label))
    first = np.zeros(int(label.max(initial=-1)) + 1, dtype=np.int64)
    first[label[::-1]] = rows[::-1]  # of several rows with one label the last one written stays: the first
    own = first[label]
    return np.asarray((np.cumsum(own == rows) - 1)[own], dtype=np.int64)
