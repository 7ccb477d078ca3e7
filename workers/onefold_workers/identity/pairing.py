"""The one that runs blocking rules: records that share a key meet, each pair once, in bounded numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.blocking import KeyMaker, Rule
from onefold_workers.identity.people import People, Rows, mixed

Keys = npt.NDArray[np.uint64]


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


_RULE_BITS = 6
_ROW_BITS = 29


def candidate_pairs(
    people: People, rules: tuple[Rule, ...], budget: float
) -> tuple[Pairs, dict[str, dict[str, int]]]:
    """All pairs that the rules bring together, and by rule: pairs, refined and skipped blocks, pairs left out.

    `budget`: pairs a rule may bring, per record; it sets how large a block may be before it is refined.
    """
    keys = KeyMaker(people)
    found: list[Keys] = []
    report: dict[str, dict[str, int]] = {}
    for place, rule in enumerate(rules):
        rows, key = _rule_keys(people, keys, rule)
        pairs, facts = _pairs_of(rows, key, keys, rule, budget * people.size + 20_000)
        report[rule.name] = facts
        found.append(pairs | np.uint64(place))
    packed = np.sort(np.concatenate(found)) if found else np.zeros(0, dtype=np.uint64)
    pair = packed >> np.uint64(_RULE_BITS)
    start = np.flatnonzero(np.append(True, pair[1:] != pair[:-1])) if len(pair) else np.zeros(0, dtype=np.int64)
    bits = np.uint64(1) << (packed & np.uint64((1 << _RULE_BITS) - 1))
    masks = np.bitwise_or.reduceat(bits, start) if len(start) else bits
    pair = pair[start]
    left, right = pair >> np.uint64(_ROW_BITS), pair & np.uint64((1 << _ROW_BITS) - 1)
    return Pairs(left.astype(np.int64), right.astype(np.int64), masks), report


def _rule_keys(people: People, keys: KeyMaker, rule: Rule) -> tuple[Rows, Keys]:
    slots = people.slots.get(rule.keys[0]) if len(rule.keys) == 1 else None
    if slots is not None:
        rows, column = np.nonzero(slots >= 0)
        return rows.astype(np.int64), slots[rows, column].astype(np.uint64)
    codes = [keys.codes(k) for k in rule.keys]
    known = np.ones(people.size, dtype=bool)
    key = np.zeros(people.size, dtype=np.uint64)
    for code in codes:
        if code is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
        known &= code >= 0
        key = mixed(key, code)
    rows = np.flatnonzero(known)
    return rows, key[rows]


def _pairs_of(rows: Rows, key: Keys, keys: KeyMaker, rule: Rule, limit: float) -> tuple[Keys, dict[str, int]]:
    facts = {"pairs": 0, "refined_blocks": 0, "skipped_blocks": 0, "skipped_pairs": 0}
    refine = [r for r in rule.refine if keys.has(r)]
    rows, sizes = _blocks(rows, key)
    cap = _cap(sizes, limit)
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
        assert codes is not None
        known = codes[rows] >= 0
        rows, block = rows[known], block[known]
        rows, sizes = _blocks(rows, mixed(mixed(np.zeros(len(rows), dtype=np.uint64), block), codes[rows]))
    pairs = np.concatenate(found)
    facts["pairs"] = len(pairs)
    return pairs, facts


def _blocks(rows: Rows, key: Keys) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Rows ordered by block, blocks of one left out; and the blocks' sizes."""
    order = np.argsort(key, kind="stable")
    rows, key = rows[order], key[order]
    if not len(rows):
        return rows, np.zeros(0, dtype=np.int64)
    start = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    sizes = np.diff(np.append(start, len(rows)))
    kept = sizes > 1
    return rows[np.repeat(kept, sizes)], sizes[kept]


_SMALLEST_CAP, _LARGEST_CAP = 20, 400


def _cap(sizes: npt.NDArray[np.int64], limit: float) -> int:
    """The largest size at which all blocks up to it bring no more than `limit` pairs."""
    if not len(sizes):
        return _LARGEST_CAP
    ordered = np.sort(sizes)
    total = np.cumsum(ordered.astype(np.float64) * (ordered - 1) / 2)
    within = np.searchsorted(total, limit, side="right")
    cap = int(ordered[within - 1]) if within else 0
    if within < len(ordered) and within and ordered[within] == cap:
        cap -= 1
    return min(max(cap, _SMALLEST_CAP), _LARGEST_CAP)


def _within(rows: Rows, sizes: npt.NDArray[np.int64]) -> Keys:
    """All pairs inside each block, packed as left, right and room for a rule."""
    left_in_block = np.repeat(sizes, sizes) - _places(sizes) - 1
    first = np.repeat(np.arange(len(rows)), left_in_block)
    second = first + 1 + _places(left_in_block)
    a, b = rows[first].astype(np.uint64), rows[second].astype(np.uint64)
    low, high = np.minimum(a, b), np.maximum(a, b)
    packed = (low << np.uint64(_ROW_BITS + _RULE_BITS)) | (high << np.uint64(_RULE_BITS))
    return np.asarray(packed[low != high])


def _places(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0, 1, …, n-1 for each size n, one after the other."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - sizes, sizes)
