"""The tasks over pairs: compare a share of the candidates, count their patterns, weigh them, keep what is close.

Each share is a range of left records, so that a pair which several rules brought is compared once. What is
compared stays on the desk with whoever works, and so do the pairs whose weight comes near the threshold; to the one
who asked go handles and counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.coding import StoredPeople
from onefold_workers.identity.compared import Compared, counted
from onefold_workers.identity.comparison import compare_pairs
from onefold_workers.identity.desk import Desk, Handle
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.pairing import ROW_BITS, RULE_BITS, Candidates, unpack
from onefold_workers.identity.people import Rows
from onefold_workers.identity.tasks import RunTasks, run
from onefold_workers.identity.weighed import Close, Weighed, laid_down, together
from onefold_workers.identity.weights import Weigher

CHUNK = 300_000
CLOSE = -6.0
"""Pairs above the threshold plus this weight go on, and are kept as edges: the linked and the doubtful ones."""
STEPS = np.arange(-40, 45, 5)


@dataclass(frozen=True)
class Share:
    """One share of the compared pairs, on a desk; `tally` counts its patterns, by rule and, last, in all (int32)."""

    left: Handle
    right: Handle
    rules: Handle
    place: Handle
    patterns: Handle
    tally: Handle

    def open(self, desk: Desk) -> Compared:
        """The pairs."""
        get = desk.get
        return Compared(get(self.left), get(self.right), get(self.rules), get(self.patterns), get(self.place))


@dataclass(frozen=True)
class Weighing:
    """What a task needs to weigh pairs: the people, the model without its tables, shares of values by field."""

    stored: StoredPeople
    model: IdentityModel
    shares: dict[str, Handle]

    def open(self) -> Weigher:
        """The weigher; kept at hand in this process until another is opened."""
        return _weigher(_Known(self))


class _Known:
    def __init__(self, weighing: Weighing) -> None:
        self.weighing = weighing
        self.key = (weighing.stored.name, weighing.model)

    def __hash__(self) -> int:
        return hash(self.key[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.key == self.key


@lru_cache(maxsize=2)
def _weigher(known: _Known) -> Weigher:
    w = known.weighing
    return Weigher(w.stored.open(), w.model, {n: w.stored.desk.get(h) for n, h in w.shares.items()})


def compare_candidates(
    stored: StoredPeople, candidates: Candidates, run_tasks: RunTasks, weighing: Weighing | None = None
) -> tuple[list[Share], list[Close], npt.NDArray[np.int64]]:
    """Compare the candidates, share by share.

    Without a model the compared pairs stay on the desk as shares; with one they are weighed at once, and the close
    ones stay there, with a histogram (`STEPS`) of all.
    """
    count = max(1, -(-candidates.pairs // CHUNK))
    # Pairs lie denser where the left record comes early: equal areas under a falling line.
    bounds = stored.size * (1 - np.sqrt(1 - np.arange(count + 1) / count))
    edges = np.append(bounds[:-1].astype(np.int64), stored.size)
    chunks = [(stored, candidates.handles, len(candidates.rules), a, b) for a, b in pairwise(edges)]
    if weighing is None:
        return run(run_tasks, _compare_share, chunks), [], np.zeros(len(STEPS) - 1, dtype=np.int64)
    done = run(run_tasks, _weigh_candidates, [(weighing, *c[1:]) for c in chunks])
    return [], [d[0] for d in done], sum((d[1] for d in done), np.zeros(len(STEPS) - 1, dtype=np.int64))


def weigh_shares(
    weighing: Weighing, shares: list[Share], run_tasks: RunTasks
) -> tuple[list[Close], npt.NDArray[np.int64]]:
    """The close ones of compared pairs with their weights, and a histogram of all weights."""
    done = run(run_tasks, _weigh_share, [(weighing, s) for s in shares])
    return [d[0] for d in done], sum((d[1] for d in done), np.zeros(len(STEPS) - 1, dtype=np.int64))


def weigh_pairs(weighing: Weighing, left: Rows, right: Rows, run_tasks: RunTasks) -> Weighed:
    """Compare and weigh given pairs (sorted), which no rule brought."""
    desk = weighing.stored.desk
    a, b = desk.put(left.astype(np.int32)), desk.put(right.astype(np.int32))
    spans = [(weighing, a, b, s, min(s + CHUNK, len(left))) for s in range(0, len(left), CHUNK)]
    return together(run(run_tasks, _weigh_span, spans))


def weigh_here(weighing: Weighing, left: Rows, right: Rows) -> Weighed:
    """The same in this process, which is at a task of its own."""
    spans = [slice(s, s + CHUNK) for s in range(0, len(left), CHUNK)]
    return together([_weighed(weighing, left[s], right[s]) for s in spans])


Chunk = tuple[StoredPeople, tuple[Handle, ...], int, int, int]


def _compared(task: Chunk) -> Compared:
    stored, handles, _, low, high = task
    bounds = np.array([low, high], dtype=np.uint64) << np.uint64(ROW_BITS + RULE_BITS)
    found = []
    for handle in handles:
        packed = stored.desk.get(handle)
        start, end = np.searchsorted(packed, bounds)
        found.append(np.asarray(packed[start:end]))
    left, right, rules = unpack(np.concatenate(found) if found else np.zeros(0, dtype=np.uint64))
    return counted(left, right, compare_pairs(stored.open(), left, right), rules)


def _compare_share(task: Chunk) -> Share:
    pairs, put = _compared(task), task[0].desk.put
    tally = np.zeros((task[2] + 1, len(pairs.patterns)), dtype=np.int32)
    for number in range(task[2]):
        mine = (pairs.rules >> np.uint64(number)) & np.uint64(1) == 1
        tally[number] = np.bincount(pairs.place[mine], minlength=len(pairs.patterns))
    tally[-1] = np.bincount(pairs.place, minlength=len(pairs.patterns))
    left, right = put(pairs.left.astype(np.int32)), put(pairs.right.astype(np.int32))
    place = put(pairs.place.astype(np.int32))
    return Share(left, right, put(pairs.rules), place, put(pairs.patterns), put(tally))


def _weigh_candidates(
    task: tuple[Weighing, tuple[Handle, ...], int, int, int],
) -> tuple[Close, npt.NDArray[np.int64]]:
    return _close(task[0], _compared((task[0].stored, *task[1:])))


def _weigh_share(task: tuple[Weighing, Share]) -> tuple[Close, npt.NDArray[np.int64]]:
    weighing, share = task
    return _close(weighing, share.open(weighing.stored.desk))


def _weigh_span(task: tuple[Weighing, Handle, Handle, int, int]) -> Weighed:
    weighing, a, b, start, end = task
    get = weighing.stored.desk.get
    return _weighed(weighing, get(a)[start:end].astype(np.int64), get(b)[start:end].astype(np.int64))


def _weighed(weighing: Weighing, left: Rows, right: Rows) -> Weighed:
    pairs = counted(left, right, compare_pairs(weighing.stored.open(), left, right))
    weigher = weighing.open()
    return Weighed(pairs, weigher.weigh(pairs), weigher.voices(pairs))


def _close(weighing: Weighing, pairs: Compared) -> tuple[Close, npt.NDArray[np.int64]]:
    weigher = weighing.open()
    weight = weigher.weigh(pairs)
    histogram = np.histogram(np.clip(weight, STEPS[0], STEPS[-1] - 0.1), bins=STEPS)[0]
    kept = np.flatnonzero(weight > weighing.model.threshold + CLOSE)
    mine = pairs.at(kept)
    near = counted(
        mine.left.astype(np.int64), mine.right.astype(np.int64), pairs.patterns[mine.place], np.asarray(mine.rules)
    )
    found = Weighed(near, weight[kept], weigher.voices(near))
    return laid_down(weighing.stored.desk, found, weighing.model.threshold), histogram
