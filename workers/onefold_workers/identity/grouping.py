"""Weighed pairs into clusters: what lies inside a component is completed, then cut by average linkage.

The components are shared out among tasks; each gets the links of its own, and no record's values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.clustering import (
    APART,
    Links,
    affordable,
    average_linkage,
    bounded_components,
    components,
    inner_pairs,
)
from onefold_workers.identity.comparing import Weighed, Weighing, together, weigh_pairs
from onefold_workers.identity.comparison import unpacked
from onefold_workers.identity.conflicts import rivals
from onefold_workers.identity.desk import Desk, Handle
from onefold_workers.identity.fields import Field
from onefold_workers.identity.people import Rows
from onefold_workers.identity.tasks import RunTasks, run
from onefold_workers.identity.text import Codes
from onefold_workers.identity.weights import Bits

INNER_PAIRS_PER_RECORD = 10
LARGEST_COMPONENT = 600
BIRTH = "birth_date"
NONE = np.zeros((0, 2), dtype=np.int64)
_SHARES = 8


@dataclass(frozen=True)
class Ground:
    """What is known of profiles besides their pairs, as arrays over them.

    `must`, `cannot`: decided pairs, shape (n, 2). `holders`: see `conflicts.py`. `copies`: records that each tells
    of. `born`: whether it has a birth date.
    """

    fields: tuple[Field, ...]
    must: Rows
    cannot: Rows
    holders: Codes
    copies: npt.NDArray[np.integer]
    born: npt.NDArray[np.bool_]

    @property
    def size(self) -> int:
        """How many profiles there are."""
        return len(self.copies)

    def undecided(self) -> Ground:
        """The same before anybody decided anything."""
        return replace(self, must=NONE, cannot=NONE)


def completed(
    ground: Ground, close: Weighed, weighing: Weighing, largest: int | None, run_tasks: RunTasks
) -> tuple[Weighed, Rows, int]:
    """The close pairs inside components, with every further pair there; the components; and `largest`.

    `largest`: the most profiles between which all pairs are compared; a larger component is taken in parts that hang
    together best. None settles it.
    """
    likely = close.weight > weighing.model.threshold
    left = np.append(close.pairs.left[likely], ground.must[:, 0])
    right = np.append(close.pairs.right[likely], ground.must[:, 1])
    weight = np.append(close.weight[likely], np.full(len(ground.must), np.inf))
    limit = LARGEST_COMPONENT if largest is None else largest
    part = bounded_components(ground.size, left, right, weight, limit)
    if largest is None:
        limit = affordable(part, limit, INNER_PAIRS_PER_RECORD * ground.size + 1_000_000)
        if limit < LARGEST_COMPONENT:
            part = bounded_components(ground.size, left, right, weight, limit)
    component = components(ground.size, left, right)
    near = close.at(component[close.pairs.left] == component[close.pairs.right])
    a, b = inner_pairs(part, limit)
    known = np.sort(near.pairs.keys)
    keys = a << 32 | b
    if len(known):
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        a, b = a[known[at] != keys], b[known[at] != keys]
    if not len(a):
        return near, component, limit
    return together([near, weigh_pairs(weighing, a, b, run_tasks)]), component, limit


def clustered(
    ground: Ground, near: Weighed, component: Rows, threshold: float, desk: Desk, run_tasks: RunTasks
) -> Rows:
    """Clusters of profiles: what must be one first, then average linkage, with what cannot be one kept apart."""
    agree, differ, sure = _birth_dates(ground, near)
    links = Links(near.pairs.left, near.pairs.right, near.weight, near.voice, agree, differ)
    if len(ground.cannot):
        none = np.zeros(len(ground.cannot))
        low, high = ground.cannot.min(axis=1), ground.cannot.max(axis=1)
        decided = Links(low, high, np.full(len(none), APART), np.ones(len(none)), none, none)
        links = links.at(~np.isin(links.left << 32 | links.right, low << 32 | high)).and_also(decided)
    apart = rivals(ground.holders, links.left, links.right)
    links = replace(links, weight=np.where(apart, APART, links.weight), voice=np.where(apart, 1.0, links.voice))
    label = np.arange(ground.size)
    # A decision may reach from one component into another: what decisions touch is clustered at once, here.
    touched = np.zeros(int(component.max(initial=-1)) + 1, dtype=bool)
    touched[component[np.concatenate([ground.must, ground.cannot]).ravel()]] = True
    mine = touched[component[links.left]]
    if touched.any():
        start = _first_of(components(ground.size, ground.must[:, 0], ground.must[:, 1]))
        label = np.where(touched[component], average_linkage(start, links.at(mine), threshold, sure), label)
    return _shared_out(label, links.at(~mine), component, threshold, sure, desk, run_tasks)


def _shared_out(
    label: Rows, links: Links, component: Rows, threshold: float, sure: Bits, desk: Desk, run_tasks: RunTasks
) -> Rows:
    if not len(links.left):
        return label
    own = component[links.left]
    order = np.argsort(own, kind="stable")
    own = own[order]
    starts = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
    wanted = np.linspace(0, len(own), _SHARES + 1)[1:-1]
    cuts = np.unique(starts[np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)])
    bounds = np.unique(np.concatenate([[0], cuts, [len(own)]]))
    laid = [desk.put(np.ascontiguousarray(c[order])) for c in vars(links).values()]
    confident = desk.put(sure)
    tasks = [(desk, laid, confident, int(a), int(b), threshold) for a, b in pairwise(bounds)]
    for nodes, found in run(run_tasks, _cluster_share, tasks):
        label[nodes] = found
    return label


def _cluster_share(task: tuple[Desk, list[Handle], Handle, int, int, float]) -> tuple[Rows, Rows]:
    desk, laid, confident, start, end, threshold = task
    links = Links(*(np.array(desk.get(h)[start:end]) for h in laid))
    nodes = np.unique(np.concatenate([links.left, links.right]))
    here = replace(links, left=np.searchsorted(nodes, links.left), right=np.searchsorted(nodes, links.right))
    label = average_linkage(np.arange(len(nodes)), here, threshold, np.asarray(desk.get(confident)[nodes]))
    return nodes, nodes[label]


def _birth_dates(ground: Ground, near: Weighed) -> tuple[Bits, Bits, Bits]:
    """How many pairs of records, among those that each pair of profiles stands for, agree on the year of birth, and
    how many differ altogether; and how many agree within each profile."""
    names = [f.name for f in ground.fields]
    if BIRTH not in names:
        none = np.zeros(near.pairs.size)
        return none, none, np.zeros(ground.size)
    copies = ground.copies.astype(np.float64)
    level = unpacked(near.pairs.patterns, ground.fields)[:, names.index(BIRTH)][near.pairs.place]
    behind = copies[near.pairs.left] * copies[near.pairs.right]
    inside = np.where(ground.born, copies * (copies - 1) / 2, 0.0)
    return np.where(level > 1, behind, 0.0), np.where(level == 1, behind, 0.0), inside


def _first_of(label: Rows) -> Rows:
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)
