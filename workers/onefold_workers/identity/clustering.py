"""From weighed pairs to clusters: connected components, then average linkage inside each component.

A chain of weak pairs must not glue two persons together, so two clusters join only where the *mean* weight
between all their records is above the threshold (average linkage, Sokal and Michener 1958). It is reducible
(Bruynooghe 1977): all pairs of clusters that are each other's best partner may join at once, so the work is
done for all components together in a few rounds over arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from onefold_workers.identity.people import Rows
from onefold_workers.identity.weights import Bits

UNSEEN = -10.0
"""Weight of a pair inside a component that was never compared: it met under no rule."""
LIMITS = (-12.0, 24.0)
"""Weights are held within these before they are averaged, so that no single pair decides alone."""
APART = -1e7
"""Weight of a pair that a person decided is not one."""
SILENT = np.nan
"""Weight of a pair with no field in common (a card number here, an email there): it counts neither way."""


def components(size: int, left: Rows, right: Rows) -> Rows:
    """The connected component of each of `size` nodes."""
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def inner_pairs(component: Rows, limit: int, budget: int) -> tuple[Rows, Rows]:
    """All pairs inside components of 3 to `limit` nodes, small components first, at most about `budget`."""
    order = np.argsort(component, kind="stable").astype(np.int64)
    sizes = np.bincount(component)
    chosen = (sizes >= 3) & (sizes <= limit)
    cost = np.where(chosen, sizes * (sizes - 1) // 2, 0)
    by_size = np.argsort(sizes, kind="stable")
    fits = np.zeros(len(sizes), dtype=bool)
    fits[by_size] = np.cumsum(cost[by_size]) <= budget
    chosen &= fits
    inside = np.repeat(chosen, sizes)
    rows, own = order[inside], sizes[chosen]
    place = np.arange(len(rows)) - np.repeat(np.cumsum(own) - own, own)
    after = np.repeat(own, own) - place - 1
    first = np.repeat(np.arange(len(rows)), after)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    a, b = rows[first], rows[second]
    return np.minimum(a, b), np.maximum(a, b)


def average_linkage(
    start: Rows, left: Rows, right: Rows, weight: Bits, threshold: float, sizes: Bits | None = None
) -> Rows:
    """Cluster of each node, numbered by its first node.

    `start`: clusters to begin with (must-links joined), as a node number each; `left`, `right`, `weight`: pairs
    of nodes, each once; pairs not given count as `UNSEEN`, those given as `SILENT` not at all.
    """
    label = start.copy()
    size = (
        np.bincount(label, weights=sizes, minlength=len(label))
        if sizes is not None
        else np.bincount(label, minlength=len(label)).astype(np.float64)
    )
    bounded = np.where(weight <= APART / 2, weight, np.clip(weight, *LIMITS))
    silent = np.isnan(weight)
    told = np.where(silent, 0.0, bounded - UNSEEN)
    low, high, total, mute = _summed(label[left], label[right], told, silent.astype(np.float64))
    while len(low):
        area = size[low] * size[high] - mute
        mean = np.where(area > 0, UNSEEN + total / np.maximum(area, 1.0), -np.inf)
        able = np.flatnonzero(mean > threshold)
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
        label = into[label]
        low, high, total, mute = _summed(into[low], into[high], total, mute)
    return label


def _summed(a: Rows, b: Rows, total: Bits, mute: Bits) -> tuple[Rows, Rows, Bits, Bits]:
    """Pairs of clusters with the sums of what lies between them; pairs inside a cluster drop out."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    kept = low != high
    low, high, total, mute = low[kept], high[kept], total[kept], mute[kept]
    if not len(low):
        return low, high, total, mute
    key = low << 32 | high
    order = np.argsort(key, kind="stable")
    key = key[order]
    at = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return key[at] >> 32, key[at] & 0xFFFFFFFF, np.add.reduceat(total[order], at), np.add.reduceat(mute[order], at)


def numbered(label: npt.NDArray[np.integer]) -> Rows:
    """Labels as 0, 1, … in the order of first appearance."""
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[place]
