"""Connected components of pairs that lie in many parts, none of which any task need see besides its own.

Each task reduces its links to stars: each node that they join points to the lowest one it is joined to. Whoever asks
keeps one number a node, the lowest that it is known to be joined to, lets the stars of all tasks lower it, and
follows the numbers down to their ends. Stars that are still torn then are links of the next round, between ends
alone. Each round joins every end to a lower neighbour where it has one, so that rounds are few: two or three as a
rule, about the logarithm of the nodes at worst (Liu and Tarjan 2019); links of one task are done in one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.clustering import components
from onefold_workers.identity.desk import Desk, Handle
from onefold_workers.identity.people import Rows
from onefold_workers.identity.tasks import RunTasks, run

LINKS_A_TASK = 200_000
Bundle = tuple[Handle, int]
"""Handle of an array of shape (2, n) that holds the left and right node of each link; and n."""
Nodes = npt.NDArray[np.int32]
T = TypeVar("T")


def connected(size: int, links: Sequence[Bundle], desk: Desk, run_tasks: RunTasks) -> Rows:
    """The component of each of `size` nodes, numbered in the order of their first nodes."""
    lowest: Nodes = np.arange(size, dtype=np.int32)
    while links := [part for part in links if part[1]]:
        laid = desk.put(lowest)
        tasks = [(desk, [h for h, _ in some], laid) for some in portions(links, LINKS_A_TASK)]
        stars = run(run_tasks, _stars, tasks)
        lowest = lowest.copy()
        for handle, _ in stars:
            node, low = desk.get(handle)
            np.minimum.at(lowest, node, low)
        lowest = _followed(lowest)
        links = [star for star in stars if _torn(lowest, desk.get(star[0]))]
    return np.asarray((np.cumsum(lowest == np.arange(size)) - 1)[lowest], dtype=np.int64)


def portions(parts: Sequence[tuple[T, int]], most: int) -> Iterator[list[tuple[T, int]]]:
    """Neighbouring parts (a thing and its size) as portions of at most `most`, or of one part that is larger."""
    some: list[tuple[T, int]] = []
    for part in parts:
        if some and sum(size for _, size in some) + part[1] > most:
            yield some
            some = []
        some.append(part)
    if some:
        yield some


def _followed(lowest: Nodes) -> Nodes:
    while not np.array_equal(further := lowest[lowest], lowest):
        lowest = further
    return lowest


def _torn(lowest: Nodes, star: Nodes) -> bool:
    return bool((lowest[star[0]] != lowest[star[1]]).any())


def _stars(task: tuple[Desk, list[Handle], Handle]) -> Bundle:
    """Each end that these links join to a lower one, and the lowest that they join it to."""
    desk, handles, laid = task
    links = np.concatenate([desk.get(h) for h in handles], axis=1)
    ends = desk.get(laid)[links]
    ends = ends[:, ends[0] != ends[1]]
    nodes, place = np.unique(ends, return_inverse=True)
    left, right = place.reshape(ends.shape)
    component = components(len(nodes), left, right)
    _, first = np.unique(component, return_index=True)
    low = nodes[first][component]
    moved = low != nodes
    return desk.put(np.stack([nodes[moved], low[moved]]).astype(np.int32)), int(moved.sum())
