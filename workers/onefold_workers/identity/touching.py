"""Which records meet new ones: blocks as marks tell them, before and after records came and went.

A record ends in one block of each rule, its leaf: the first of its blocks, each finer than the last, that is not too
large. Two records meet where they end in the same. So what new records change is told by the leaves of the blocks
that they came into or left, and no other block is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onefold_workers.identity.blocking import Rule
from onefold_workers.identity.marking import Marks
from onefold_workers.identity.people import Rows, mixed

Flags = npt.NDArray[np.bool_]
_BITS = 22


@dataclass(frozen=True)
class Blocks:
    """Records in the blocks of rules: `marks` as `Kept` has them; `before`, `after`: which records take part."""

    marks: dict[str, Marks]
    before: Flags
    after: Flags

    def changed(self, rules: tuple[Rule, ...], fresh: Rows) -> Rows:
        """The fresh records, and those whose leaf changed because fresh ones came or went."""
        found = [fresh[self.after[fresh]]]
        for rule in rules:
            rows, keys = self._members(rule, fresh)
            both = self.before[rows] & self.after[rows]
            was = self._leaves(rule, rows, keys, self.before)
            now = self._leaves(rule, rows, keys, self.after)
            found.append(rows[both & (was != now)])
        return np.unique(np.concatenate(found))

    def pairs(self, rules: tuple[Rule, ...], dirty: Rows) -> tuple[Rows, Rows, Rows]:
        """Pairs of a dirty record with any other, each once, with the number of the first rule that brings it."""
        mark = np.zeros(len(self.after), dtype=bool)
        mark[dirty] = True
        keys, numbers = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for number, rule in enumerate(rules):
            rows, own = self._members(rule, dirty)
            leaf = self._leaves(rule, rows, own, self.after)
            a, b = _with_others(rows[leaf > 0], leaf[leaf > 0], mark)
            keys.append(np.minimum(a, b) << 32 | np.maximum(a, b))
            numbers.append(np.full(len(a), number, dtype=np.int64))
        found, first = np.unique(np.concatenate(keys), return_index=True)  # the first is that of the lowest rule
        return found >> 32, found & 0xFFFFFFFF, np.concatenate(numbers)[first]

    def _members(self, rule: Rule, wanted: Rows) -> tuple[Rows, Marks]:
        """Records of the blocks that any of the wanted is in, and their blocks; one with several keys several times."""
        whole = self._keys(rule)
        width = len(whole) // max(len(self.after), 1)
        mine = whole.reshape(-1, width)[wanted].ravel() if width else whole
        asked = np.unique(mine[mine > 0])
        at = np.flatnonzero(is_among(whole, asked))
        rows = at // width if width > 1 else at
        live = self.before[rows] | self.after[rows]
        return rows[live], whole[at[live]]

    def _keys(self, rule: Rule) -> Marks:
        """The block of each record by the rule's keys alone; 0 where it lacks one."""
        marks = [self.marks[k] for k in rule.keys]
        if marks[0].ndim == 2:
            return marks[0].ravel()
        key = np.zeros(len(self.after), dtype=np.uint64)
        known = np.ones(len(self.after), dtype=bool)
        for mark in marks:
            key = mixed(key, mark.view(np.int64)) if len(marks) > 1 else mark
            known &= mark > 0
        return np.where(known, np.maximum(key, np.uint64(1)), np.uint64(0))

    def _leaves(self, rule: Rule, rows: Rows, keys: Marks, part: Flags) -> Marks:
        """The leaf of each of `rows` among those of them that take part; 0 for none."""
        leaf = np.zeros(len(rows), dtype=np.uint64)
        open_, block = np.flatnonzero(part[rows]), keys[part[rows]]
        for level in range(len(rule.refine) + 1):
            _, place, sizes = np.unique(block, return_inverse=True, return_counts=True)
            small = sizes[place] <= rule.cap
            leaf[open_[small]] = np.maximum(block[small], np.uint64(1))
            open_, block = open_[~small], block[~small]
            if level == len(rule.refine) or not len(open_):
                break
            finer = self.marks[rule.refine[level]][rows[open_]]
            open_, block = open_[finer > 0], mixed(block[finer > 0], finer[finer > 0].view(np.int64))
        return leaf


def is_among(values: npt.NDArray[np.uint64], wanted: npt.NDArray[np.uint64]) -> Flags:
    """Whether each value is one of the wanted (sorted); a table of bits tells most of those that are not."""
    bits = np.zeros(1 << _BITS, dtype=bool)
    shift = np.uint64(64 - _BITS)
    bits[wanted >> shift] = True
    maybe = np.flatnonzero(bits[values >> shift])
    out = np.zeros(len(values), dtype=bool)
    if len(wanted) and len(maybe):
        some = values[maybe]
        at = np.minimum(np.searchsorted(wanted, some), len(wanted) - 1)
        out[maybe] = wanted[at] == some
    return out


def _with_others(rows: Rows, leaf: Marks, dirty: Flags) -> tuple[Rows, Rows]:
    """Pairs (dirty record, other record) of one leaf."""
    order = np.argsort(leaf, kind="stable")
    rows, leaf = rows[order], leaf[order]
    start = np.flatnonzero(np.append(True, leaf[1:] != leaf[:-1])) if len(leaf) else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.append(start, len(rows)))
    first, size = np.repeat(start, sizes), np.repeat(sizes, sizes)
    who = np.flatnonzero(dirty[rows])
    many = size[who]
    ends = np.cumsum(many)
    other = np.repeat(first[who] - (ends - many), many) + np.arange(int(ends[-1]) if len(ends) else 0)
    a, b = rows[np.repeat(who, many)], rows[other]
    return a[a != b], b[a != b]
