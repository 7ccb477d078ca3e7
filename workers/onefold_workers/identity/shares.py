"""What a task does with whole components: every pair inside them is weighed, and they are cut by average linkage."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from onefold_workers.identity.clustering import (
    APART,
    Links,
    average_linkage,
    bounded_components,
    components,
    inner_pairs,
)
from onefold_workers.identity.comparing import CLOSE, Weighing, weigh_here
from onefold_workers.identity.comparison import unpacked
from onefold_workers.identity.conflicts import rivals
from onefold_workers.identity.desk import Handle
from onefold_workers.identity.fields import Field
from onefold_workers.identity.people import Rows
from onefold_workers.identity.weighed import PairRows, Weighed, taken_up, together
from onefold_workers.identity.weights import Bits

BIRTH = "birth_date"
_COUNTS = {"pattern": pl.UInt64, "size": pl.Int64, "ruled": pl.Boolean, "pairs": pl.Int64}


@dataclass(frozen=True)
class Standing:
    """`grouping.Ground` on a desk: handles of arrays over all profiles, of which a task reads its own."""

    fields: tuple[Field, ...]
    holders: Handle
    copies: Handle
    born: Handle


@dataclass(frozen=True)
class Share:
    """Some components: where their close pairs lie, and what people decided about their profiles (shape (n, 2))."""

    weighing: Weighing
    standing: Standing
    slices: list[tuple[Handle, int, int]]
    must: Rows
    cannot: Rows


@dataclass(frozen=True)
class Insides:
    """Counts of the pairs inside components.

    `close`: those that rules brought. `further`: those compared besides; `above`: how many of these are above the
    threshold. `tally`: pattern, size (profiles of the cluster that holds the pair; 0, where none does), ruled
    (whether a rule brought the pair), pairs.
    """

    close: int
    further: int
    above: int
    tally: pl.DataFrame


@dataclass(frozen=True)
class Settled:
    """What a share came to: `label`, handle of profiles and their clusters' first ones, shape (2, n).

    `further`: handle of the close ones of the pairs that no rule brought, of dtype `PAIR`.
    """

    label: Handle
    further: Handle
    inside: Insides


class _Opened:
    """A share's pairs, with its profiles by number: `left`, `right` and `must` are places among `nodes`."""

    def __init__(self, share: Share) -> None:
        self.rows: PairRows = taken_up(share.weighing.stored.desk, share.slices)
        ends = [self.rows["left"], self.rows["right"], share.must.ravel(), share.cannot.ravel()]
        self.nodes: Rows = np.unique(np.concatenate(ends).astype(np.int64))
        self.must, self.threshold = self.places(share.must), share.weighing.model.threshold

    def places(self, profiles: Rows) -> Rows:
        """Where profiles are among `nodes`."""
        return np.searchsorted(self.nodes, profiles)

    def parts(self, limit: int) -> Rows:
        """Components of at most `limit` profiles."""
        likely = self.rows[self.rows["weight"] > self.threshold]
        left = np.append(self.places(likely["left"]), self.must[:, 0])
        right = np.append(self.places(likely["right"]), self.must[:, 1])
        weight = np.append(likely["weight"], np.full(len(self.must), np.inf))
        return bounded_components(len(self.nodes), left, right, weight, limit)


def parted(share: Share, limit: int) -> Handle:
    """Profiles and the numbers of their parts of at most `limit` profiles, shape (2, n)."""
    opened = _Opened(share)
    return share.weighing.stored.desk.put(np.stack([opened.nodes, opened.parts(limit)]).astype(np.int32))


def settled(share: Share, limit: int) -> Settled:
    """Weigh what lies inside the share's components, and cut them: what must be one first, then average linkage."""
    desk, opened = share.weighing.stored.desk, _Opened(share)
    a, b = inner_pairs(opened.parts(limit), limit)
    keys = a << 32 | b
    known = np.sort(opened.places(opened.rows["left"]) << 32 | opened.places(opened.rows["right"]))
    if len(known):
        new = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] != keys
        a, b = a[new], b[new]
    further = weigh_here(share.weighing, opened.nodes[a], opened.nodes[b])
    near = together([Weighed.of(opened.rows), further])
    label = _clusters(share, opened, near)
    above = int((further.weight > opened.threshold).sum())
    inside = Insides(len(opened.rows), further.pairs.size, above, _tally(near, opened, label))
    kept = further.at(further.weight > opened.threshold + CLOSE)
    laid = desk.put(np.stack([opened.nodes, opened.nodes[label]]).astype(np.int32))
    return Settled(laid, desk.put(kept.rows()), inside)


def _clusters(share: Share, opened: _Opened, near: Weighed) -> Rows:
    get = share.weighing.stored.desk.get
    copies = get(share.standing.copies)[opened.nodes].astype(np.float64)
    left, right = opened.places(near.pairs.left), opened.places(near.pairs.right)
    agree, differ = _birth_dates(share.standing.fields, near, copies[left] * copies[right])
    links = Links(left, right, near.weight, near.voice, agree, differ)
    cannot = np.sort(opened.places(share.cannot), axis=1)
    if len(cannot):
        none = np.zeros(len(cannot))
        decided = Links(cannot[:, 0], cannot[:, 1], np.full(len(none), APART), np.ones(len(none)), none, none)
        links = links.at(~np.isin(links.left << 32 | links.right, cannot[:, 0] << 32 | cannot[:, 1]))
        links = links.and_also(decided)
    apart = rivals(get(share.standing.holders)[opened.nodes], links.left, links.right)
    links = replace(links, weight=np.where(apart, APART, links.weight), voice=np.where(apart, 1.0, links.voice))
    start = _first_of(components(len(opened.nodes), opened.must[:, 0], opened.must[:, 1]))
    born = get(share.standing.born)[opened.nodes]
    sure = np.where(born, copies * (copies - 1) / 2, 0.0)
    return average_linkage(start, links, opened.threshold, sure)


def _birth_dates(fields: tuple[Field, ...], near: Weighed, behind: Bits) -> tuple[Bits, Bits]:
    """How many of the pairs of records `behind` each pair of profiles agree on the year of birth, and how many
    differ altogether."""
    names = [f.name for f in fields]
    if BIRTH not in names:
        return np.zeros(len(behind)), np.zeros(len(behind))
    level = unpacked(near.pairs.patterns, fields)[:, names.index(BIRTH)][near.pairs.place]
    return np.where(level > 1, behind, 0.0), np.where(level == 1, behind, 0.0)


def _first_of(label: Rows) -> Rows:
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)


def _tally(near: Weighed, opened: _Opened, label: Rows) -> pl.DataFrame:
    own, other = label[opened.places(near.pairs.left)], label[opened.places(near.pairs.right)]
    size = np.where(own == other, np.bincount(label, minlength=len(label))[own], 0)
    pattern = near.pairs.patterns[near.pairs.place]
    pairs = pl.DataFrame({"pattern": pattern, "size": size, "ruled": near.pairs.rules > 0})
    return pairs.group_by("pattern", "size", "ruled").agg(pairs=pl.len().cast(pl.Int64))


def counted_together(parts: list[Insides]) -> Insides:
    """The counts of all shares, whose order is of no account."""
    tally = pl.concat([pl.DataFrame(schema=_COUNTS), *(p.tally for p in parts)])
    tally = tally.group_by("pattern", "size", "ruled").agg(pl.col("pairs").sum()).sort("pattern", "size", "ruled")
    close, further, above = (sum(getattr(p, name) for p in parts) for name in ("close", "further", "above"))
    return Insides(close, further, above, tally)
