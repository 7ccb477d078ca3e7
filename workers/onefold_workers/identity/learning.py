"""A model out of the records: from single pairs first; then from the clusters that these make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl

from onefold_workers.identity.coding import StoredPeople
from onefold_workers.identity.comparing import Share, Weighing, weigh_shares
from onefold_workers.identity.comparison import Levels, compare_pairs, unpacked
from onefold_workers.identity.desk import Handle
from onefold_workers.identity.estimation import Labelled, Learned, Sample, Tally, estimate, random_pairs, tallied
from onefold_workers.identity.frequencies import count_values
from onefold_workers.identity.grouping import Ground, group
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.pairing import Candidates
from onefold_workers.identity.people import Rows
from onefold_workers.identity.tasks import RunTasks, run

_SHARES = 8


@dataclass(frozen=True)
class Knowledge:
    """A model; the true pairs it expects of each rule; and handles of the share of each value at hand, by field."""

    model: IdentityModel
    expected: dict[str, float]
    shares: dict[str, Handle]


def learn(
    stored: StoredPeople,
    ground: Ground,
    candidates: Candidates,
    shares: list[Share],
    salt: str,
    run_tasks: RunTasks,
) -> Knowledge:
    """Learn a model from the compared candidates: without labels, and with the decisions where there are any."""
    sample = _sampled(stored, run_tasks)
    get = stored.desk.get
    tally = tallied([(get(s.patterns), get(s.tally)) for s in shares], len(candidates.rules))
    persons = float(stored.open().persons.sum())
    labelled = _labelled(stored, ground)

    def estimated(owner: Rows, salt_now: str | None, seen: Tally, inside: pl.DataFrame | None = None) -> Learned:
        counts = count_values(stored, owner, salt_now, run_tasks)
        return estimate(
            ground.fields, persons, seen, candidates.rules, sample, counts, salt, owner, inside, labelled
        )

    alone = np.arange(stored.size, dtype=np.int64)
    if not candidates.pairs:
        learned = estimated(alone, salt, tally)
        return Knowledge(learned.model, learned.expected, learned.shares)
    first = estimated(alone, None, tally)
    weighing = Weighing(stored, replace(first.model, frequencies={}, rare={}), first.shares)
    close, _ = weigh_shares(weighing, shares, run_tasks)
    found = group(ground.undecided(), close, weighing, None, run_tasks)
    learned = estimated(found.label, salt, tally.and_also(found.inside.tally), found.inside.tally)
    return Knowledge(replace(learned.model, largest=found.largest), learned.expected, learned.shares)


def _sampled(stored: StoredPeople, run_tasks: RunTasks) -> Sample:
    left, right = random_pairs(stored.size)
    cuts = np.linspace(0, len(left), _SHARES + 1, dtype=np.int64)
    levels = run(run_tasks, _sample, [(stored, int(a), int(b)) for a, b in pairwise(cuts)])
    return Sample(left, right, np.concatenate(levels))


def _sample(task: tuple[StoredPeople, int, int]) -> Levels:
    stored, start, end = task
    left, right = random_pairs(stored.size)
    people = stored.open()
    return unpacked(compare_pairs(people, left[start:end], right[start:end]), people.fields)


def _labelled(stored: StoredPeople, ground: Ground) -> Labelled | None:
    if not len(ground.must):
        return None
    packed = compare_pairs(stored.open(), ground.must[:, 0], ground.must[:, 1])
    return Labelled(unpacked(packed, ground.fields))
