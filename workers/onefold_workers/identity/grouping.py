"""Weighed pairs into clusters, by tasks of which each sees the pairs of some components and no others.

`group` connects the likely pairs (`connecting.py`), cuts the components into shares of bounded work, lets each part of
the close pairs be put in the order of their components, and has each share completed and clustered (`shares.py`).
Whoever asks keeps a few numbers a profile, and no pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.clustering import affordable
from onefold_workers.identity.comparing import Weighing
from onefold_workers.identity.connecting import connected, portions
from onefold_workers.identity.desk import Desk, Handle
from onefold_workers.identity.fields import Field
from onefold_workers.identity.people import Rows
from onefold_workers.identity.shares import (
    Insides,
    Settled,
    Share,
    Standing,
    counted_together,
    parted,
    settled,
)
from onefold_workers.identity.tasks import RunTasks, run
from onefold_workers.identity.text import Codes
from onefold_workers.identity.weighed import Close, taken_up

INNER_PAIRS_PER_RECORD = 10
LARGEST_COMPONENT = 600
PAIRS_A_SHARE = 100_000
"""Pairs that a task is given or makes: those inside its components, the last of which may be larger."""
NONE = np.zeros((0, 2), dtype=np.int64)


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


@dataclass(frozen=True)
class Groups:
    """What became of the profiles, and of the pairs inside their components.

    `component`, `label`: of each profile; a cluster is named by its first one. `largest`: the most profiles between
    which all pairs were compared. `inside`: counts of pairs; `further`: handles of those that no rule brought and
    that are close.
    """

    component: Rows
    label: Rows
    largest: int
    inside: Insides
    further: list[Handle]


def group(
    ground: Ground, close: list[Close], weighing: Weighing, largest: int | None, run_tasks: RunTasks
) -> Groups:
    """Clusters of profiles from the close pairs: every further pair inside a component is weighed, too.

    `largest`: the most profiles between which all pairs are compared; a larger component is taken in parts that hang
    together best. None settles it.
    """
    desk = weighing.stored.desk
    decided = desk.put(np.ascontiguousarray(ground.must.T, dtype=np.int32))
    links = [(c.likely, c.above) for c in close]
    component = connected(ground.size, [*links, (decided, len(ground.must))], desk, run_tasks)
    limit = LARGEST_COMPONENT if largest is None else largest
    starts = _cut(component, limit)
    shares = _shared_out(ground, close, weighing, component, starts, run_tasks)
    if largest is None:
        part = _parted(component, starts, shares, limit, desk, run_tasks)
        limit = affordable(part, limit, INNER_PAIRS_PER_RECORD * ground.size + 1_000_000)
    done = run(run_tasks, _cluster_share, [(s, limit) for s in shares])
    label = np.arange(ground.size)
    for found in done:
        nodes, now = desk.get(found.label)
        label[nodes] = now
    return Groups(component, label, limit, counted_together([d.inside for d in done]), [d.further for d in done])


def _cut(component: Rows, limit: int) -> Rows:
    """The first component of each share: of those that are more than one profile, about `PAIRS_A_SHARE` pairs."""
    sizes = np.bincount(component)
    pairs = sizes * np.minimum(sizes - 1, limit) // 2
    share = (np.cumsum(pairs) - pairs) // PAIRS_A_SHARE
    return np.flatnonzero(np.diff(share, prepend=-1)) if pairs.any() else np.zeros(0, dtype=np.int64)


def _shared_out(
    ground: Ground, close: list[Close], weighing: Weighing, component: Rows, starts: Rows, run_tasks: RunTasks
) -> list[Share]:
    """The shares, each with the places of its pairs, which lie by component in several parts."""
    if not len(starts):
        return []
    desk = weighing.stored.desk
    laid = desk.put(component.astype(np.int32))
    parts = portions([(c.rows, c.count) for c in close if c.count], PAIRS_A_SHARE)
    sorted_parts = run(run_tasks, _by_component, [(desk, p, laid, starts) for p in parts])
    standing = Standing(ground.fields, desk.put(ground.holders), desk.put(ground.copies), desk.put(ground.born))
    ends = np.append(starts[1:], component.max() + 1)
    must, cannot = ground.must, ground.cannot
    cannot = cannot[component[cannot[:, 0]] == component[cannot[:, 1]]]  # others are kept apart by that already
    shares = []
    for n, (start, end) in enumerate(zip(starts, ends, strict=True)):
        slices = [(handle, int(at[n]), int(at[n + 1])) for handle, at in sorted_parts if at[n] < at[n + 1]]
        mine = [d[(component[d[:, 0]] >= start) & (component[d[:, 0]] < end)] for d in (must, cannot)]
        shares.append(Share(weighing, standing, slices, *mine))
    return shares


def _by_component(task: tuple[Desk, list[tuple[Handle, int]], Handle, Rows]) -> tuple[Handle, Rows]:
    """Pairs inside components in the order of these, and where those of each share begin."""
    desk, part, laid, starts = task
    rows = taken_up(desk, [(handle, 0, count) for handle, count in part])
    component = desk.get(laid)
    own = component[rows["left"]]
    inside = np.flatnonzero(own == component[rows["right"]])
    order = inside[np.argsort(own[inside], kind="stable")]
    at = np.append(np.searchsorted(own[order], starts), len(order))
    return desk.put(rows[order]), at


def _parted(
    component: Rows, starts: Rows, shares: list[Share], limit: int, desk: Desk, run_tasks: RunTasks
) -> Rows:
    """The components, where those of more than `limit` profiles have come apart."""
    large = np.flatnonzero(np.bincount(component, minlength=1) > limit)
    concerned = np.unique(np.searchsorted(starts, large, side="right") - 1)
    part = component
    for handle in (
        run(run_tasks, _part_share, [(shares[n], limit) for n in concerned.tolist()]) if len(large) else []
    ):
        nodes, own = desk.get(handle)
        part = part.copy()
        part[nodes] = int(part.max()) + 1 + own
    return part


def _part_share(task: tuple[Share, int]) -> Handle:
    return parted(*task)


def _cluster_share(task: tuple[Share, int]) -> Settled:
    return settled(*task)
