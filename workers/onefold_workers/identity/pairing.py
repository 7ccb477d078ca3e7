"""The one that runs blocking rules: records that share a key meet, each pair once, in bounded numbers.

A task runs one rule over one share of its blocks: it reads that rule's keys, and sees no record's values. Where a
block holds more records than the rule's cap, its records part by the next refining key; so each record ends in one
block of a rule, or in none, and two records meet where they end in the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.blocking import KeyMaker, Rule
from onefold_workers.identity.coding import StoredPeople, in_memory
from onefold_workers.identity.desk import Handle
from onefold_workers.identity.people import People, Rows, mixed
from onefold_workers.identity.tasks import RunTasks, run

Keys = npt.NDArray[np.uint64]
Sizes = npt.NDArray[np.int64]
Facts = dict[str, int]
RULE_BITS, ROW_BITS = 6, 29
_SHARE = 2_500_000
_SMALLEST_CAP, _LARGEST_CAP = 20, 400


@dataclass(frozen=True)
class Candidates:
    """Pairs that the rules bring, on a desk: per share of a rule a sorted array of left, right and rule, packed."""

    handles: tuple[Handle, ...]
    pairs: int
    rules: tuple[Rule, ...]
    report: dict[str, Facts]


def find_candidates(
    stored: StoredPeople, rules: tuple[Rule, ...], budget: float, run_tasks: RunTasks
) -> Candidates:
    """All pairs that the rules bring together, and by rule: pairs, refined and skipped blocks, pairs left out.

    `budget`: pairs a rule may bring, per record; it settles the cap of rules that have none yet.
    """
    shares = max(1, -(-stored.size // _SHARE))
    limit = budget * stored.size + 20_000
    parts = [(n, s) for n in range(len(rules)) for s in range(shares)]
    blocked: list[tuple[Handle, Handle] | None] = [None] * len(parts)
    if shares > 1 and any(not r.cap for r in rules):
        found = run(run_tasks, _block, [(stored, rules[n], s, shares) for n, s in parts])
        counts = [sum(f for (_, f), (m, _) in zip(found, parts, strict=True) if m == n) for n in range(len(rules))]
        rules = tuple(r if r.cap else replace(r, cap=_cap(c, limit)) for r, c in zip(rules, counts, strict=True))
        blocked = [b for b, _ in found]
    tasks = [(stored, rules[n], n, s, shares, b, limit) for (n, s), b in zip(parts, blocked, strict=True)]
    done = run(run_tasks, _run_rule, tasks)
    report: dict[str, Facts] = {}
    caps: dict[int, int] = {}
    for (n, _), (_, facts, cap) in zip(parts, done, strict=True):
        so_far = report.setdefault(rules[n].name, dict.fromkeys(facts, 0))
        report[rules[n].name] = {k: so_far[k] + v for k, v in facts.items()}
        caps[n] = cap
    settled = tuple(replace(r, cap=caps[n]) for n, r in enumerate(rules))
    return Candidates(tuple(d[0] for d in done), sum(f["pairs"] for f in report.values()), settled, report)


@dataclass(frozen=True)
class Pairs:
    """Candidate pairs, each once: `left < right`; `rules` has a bit for every rule that brought the pair."""

    left: Rows
    right: Rows
    rules: npt.NDArray[np.uint64]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.left)


def candidate_pairs(people: People, rules: tuple[Rule, ...], budget: float) -> tuple[Pairs, dict[str, Facts]]:
    """The same for people of this process, as one."""
    found = find_candidates(in_memory(people), rules, budget, map)
    packed = np.concatenate([np.zeros(0, dtype=np.uint64), *found.handles])
    return Pairs(*unpack(packed)), found.report


def unpack(packed: Keys) -> tuple[Rows, Rows, npt.NDArray[np.uint64]]:
    """Packed pairs of any order, each once: left, right, and a bit for each rule that brought it."""
    packed = np.sort(packed)
    pair = packed >> np.uint64(RULE_BITS)
    start = np.flatnonzero(np.append(True, pair[1:] != pair[:-1])) if len(pair) else np.zeros(0, dtype=np.int64)
    bits = np.uint64(1) << (packed & np.uint64((1 << RULE_BITS) - 1))
    masks = np.bitwise_or.reduceat(bits, start) if len(start) else bits
    pair = pair[start]
    left, right = pair >> np.uint64(ROW_BITS), pair & np.uint64((1 << ROW_BITS) - 1)
    return left.astype(np.int64), right.astype(np.int64), masks


def rule_keys(people: People, keys: KeyMaker, rule: Rule) -> tuple[Rows, Keys]:
    """Rows that have all of a rule's keys, and the keys as one; a row with several identifiers comes several times."""
    slots = people.slots.get(rule.keys[0]) if len(rule.keys) == 1 else None
    if slots is not None:
        rows, column = np.nonzero(slots >= 0)
        return rows.astype(np.int64), mixed(np.zeros(len(rows), dtype=np.uint64), slots[rows, column])
    known = np.ones(people.size, dtype=bool)
    key = np.zeros(people.size, dtype=np.uint64)
    for code in (keys.codes(k) for k in rule.keys):
        if code is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
        known &= code >= 0
        key = mixed(key, code)
    rows = np.flatnonzero(known)
    return rows, key[rows]


def _blocks_of(people: People, keys: KeyMaker, rule: Rule, share: int, shares: int) -> tuple[Rows, Sizes]:
    rows, key = rule_keys(people, keys, rule)
    if shares > 1:
        mine = (key >> np.uint64(40)) % np.uint64(shares) == np.uint64(share)
        rows, key = rows[mine], key[mine]
    return blocks(rows, key)


def _block(task: tuple[StoredPeople, Rule, int, int]) -> tuple[tuple[Handle, Handle], Sizes]:
    """The blocks of a share, laid down, and how many there are of each size."""
    stored, rule, share, shares = task
    people, put = stored.open(), stored.desk.put
    rows, sizes = _blocks_of(people, KeyMaker(people), rule, share, shares)
    return (put(rows.astype(np.int32)), put(sizes.astype(np.int32))), _histogram(sizes)


def _run_rule(
    task: tuple[StoredPeople, Rule, int, int, int, tuple[Handle, Handle] | None, float],
) -> tuple[Handle, Facts, int]:
    stored, rule, number, share, shares, blocked, limit = task
    people = stored.open()
    keys = KeyMaker(people)
    if blocked is None:
        rows, sizes = _blocks_of(people, keys, rule, share, shares)
    else:
        rows, sizes = (np.asarray(stored.desk.get(h), dtype=np.int64) for h in blocked)
    pairs, facts, cap = _pairs_of(rows, sizes, keys, rule, limit)
    pairs |= np.uint64(number)
    pairs.sort()
    return stored.desk.put(pairs), facts, cap


def _pairs_of(rows: Rows, sizes: Sizes, keys: KeyMaker, rule: Rule, limit: float) -> tuple[Keys, Facts, int]:
    facts = {"pairs": 0, "refined_blocks": 0, "skipped_blocks": 0, "skipped_pairs": 0}
    refine = list(rule.refine)
    cap = rule.cap or _cap(_histogram(sizes), limit)
    found = []
    while True:
        large = sizes > cap
        inside = np.repeat(large, sizes)
        found.append(_within(rows[~inside], sizes[~large]))
        if not large.any():
            break
        if not refine:
            big = sizes[large].astype(np.float64)
            facts["skipped_blocks"] = int(large.sum())
            facts["skipped_pairs"] = int((big * (big - 1) / 2).sum())
            break
        facts["refined_blocks"] += int(large.sum())
        block = np.repeat(np.arange(large.sum()), sizes[large])
        rows = rows[inside]
        codes = keys.codes(refine.pop(0))
        known = np.zeros(len(rows), dtype=bool) if codes is None else codes[rows] >= 0
        rows, block = rows[known], block[known]
        finer = np.zeros(len(rows), dtype=np.int64) if codes is None else codes[rows]
        rows, sizes = blocks(rows, mixed(mixed(np.zeros(len(rows), dtype=np.uint64), block), finer))
    pairs = np.concatenate(found)
    facts["pairs"] = len(pairs)
    return pairs, facts, cap


def blocks(rows: Rows, key: Keys) -> tuple[Rows, Sizes]:
    """Rows ordered by block, blocks of one left out; and the blocks' sizes."""
    order = np.argsort(key, kind="stable")
    rows, key = rows[order], key[order]
    if not len(rows):
        return rows, np.zeros(0, dtype=np.int64)
    start = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    sizes = np.diff(np.append(start, len(rows)))
    kept = sizes > 1
    return rows[np.repeat(kept, sizes)], sizes[kept]


def _histogram(sizes: Sizes) -> Sizes:
    """How many blocks there are of each size; all above the largest cap together."""
    return np.bincount(np.minimum(sizes, _LARGEST_CAP + 1), minlength=_LARGEST_CAP + 2)


def _cap(counts: npt.NDArray[Any], limit: float) -> int:
    """The largest size at which all blocks up to it bring no more than `limit` pairs."""
    sizes = np.arange(len(counts), dtype=np.float64)
    total = np.cumsum(counts * sizes * (sizes - 1) / 2)[: _LARGEST_CAP + 1]
    fit = np.flatnonzero((counts[: _LARGEST_CAP + 1] > 0) & (total <= limit))
    return max(int(fit[-1]) if fit.size else 0, _SMALLEST_CAP)


def _within(rows: Rows, sizes: Sizes) -> Keys:
    """All pairs inside each block, packed as left, right and room for a rule."""
    left_in_block = np.repeat(sizes, sizes) - _places(sizes) - 1
    first = np.repeat(np.arange(len(rows)), left_in_block)
    second = first + 1 + _places(left_in_block)
    a, b = rows[first].astype(np.uint64), rows[second].astype(np.uint64)
    low, high = np.minimum(a, b), np.maximum(a, b)
    packed = (low << np.uint64(ROW_BITS + RULE_BITS)) | (high << np.uint64(RULE_BITS))
    return np.asarray(packed[low != high])


def _places(sizes: Sizes) -> Sizes:
    """0, 1, …, n-1 for each size n, one after the other."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - sizes, sizes)
