"""What the records themselves tell about the parameters, without any labels.

u (agreement by chance) comes from random pairs and exact value counts, and stays fixed. m (agreement of true
pairs) comes from expectation-maximisation (Dempster, Laird and Rubin 1977; Winkler 1988) over counts of level
patterns, once per blocking rule, leaving out the fields which that rule presupposes, then averaged. Every
estimate starts from a prior, so that few records give modest answers instead of wild ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_workers.identity.blocking import Rule
from onefold_workers.identity.comparison import Levels, Packed, unpacked
from onefold_workers.identity.desk import Handle
from onefold_workers.identity.fields import Field, field_of
from onefold_workers.identity.frequencies import Counts, chance
from onefold_workers.identity.model import FieldParameters, IdentityModel, Priors
from onefold_workers.identity.people import Rows
from onefold_workers.identity.text import distinct
from onefold_workers.identity.weights import Bits, explanations, group_sums, log2, tables

RANDOM_PAIRS = 250_000
SEED = 20_260_101
_M_STRENGTH = 40.0
_MOST_SHARED = 5.0
_STEPS, _CLOSE = 60, 1e-4
_CROWD = 20
_STRONG_ODDS = 7.0
LIKELIEST = 0.02
"""The largest share of pairs that may be believed to be one person, however few the records."""
CLUSTER_SHARE = 0.5
"""How far m is taken from clusters instead of from single pairs."""
LABEL_STRENGTH = 100.0
"""So many labelled pairs weigh as much in m as all that was learned without labels."""


@dataclass(frozen=True)
class Sample:
    """Random pairs and the levels of their fields."""

    left: Rows
    right: Rows
    levels: Levels


@dataclass(frozen=True)
class Tally:
    """How many candidate pairs have each pattern: `counts`, shape (rules + 1, patterns); the last row is of all."""

    patterns: Packed
    counts: Bits

    def and_also(self, inside: pl.DataFrame) -> Tally:
        """With those pairs inside components that no rule brought (`shares.Insides`)."""
        further = inside.filter(~pl.col("ruled")).group_by("pattern").agg(pl.col("pairs").sum()).sort("pattern")
        rules = len(self.counts) - 1
        more = np.zeros((rules + 1, further.height), dtype=np.int64)
        more[-1] = further["pairs"].to_numpy()
        return tallied([(self.patterns, self.counts), (further["pattern"].to_numpy(), more)], rules)


def tallied(parts: list[tuple[Packed, npt.NDArray[Any]]], rules: int) -> Tally:
    """The tallies of all shares of the pairs as one."""
    if not parts:
        return Tally(np.zeros(0, dtype=np.uint64), np.zeros((rules + 1, 0)))
    patterns, places = np.unique(np.concatenate([p for p, _ in parts]), return_inverse=True)
    counts = np.zeros((rules + 1, len(patterns)))
    ends = np.cumsum([len(p) for p, _ in parts])
    for place, (_, tally) in zip(np.split(places, ends[:-1]), parts, strict=True):
        counts[:, place] += tally
    return Tally(patterns, counts)


def random_pairs(size: int) -> tuple[Rows, Rows]:
    """Random pairs of different records, the same ones for as many records."""
    rng = np.random.default_rng(SEED)
    if size * (size - 1) // 2 <= RANDOM_PAIRS:
        left, right = np.triu_indices(size, 1)
    else:
        left, right = rng.integers(0, size, RANDOM_PAIRS), rng.integers(0, size, RANDOM_PAIRS)
        left, right = left[left != right], right[left != right]
    return left.astype(np.int64), right.astype(np.int64)


@dataclass(frozen=True)
class Learned:
    """A model, and the number of true pairs it expects among those of each blocking rule.

    `shares`: handles of what `model.shares` says of the values at hand.
    """

    model: IdentityModel
    expected: dict[str, float]
    shares: dict[str, Handle]


def estimate(
    fields: tuple[Field, ...],
    persons: float,
    tally: Tally,
    rules: tuple[Rule, ...],
    sample: Sample,
    counts: dict[str, Counts],
    salt: str,
    owner: Rows,
    inside: pl.DataFrame | None = None,
    labelled: Labelled | None = None,
) -> Learned:
    """A model learned from compared pairs.

    `persons`: how many the records stand for. `owner`: the person each record is believed to belong to (itself,
    where nothing is known): a person's value counts once in u and in `counts`. `inside`: counts of the pairs inside
    components (`shares.Insides`): from those inside what is believed to be one person m is learned, too. `labelled`:
    pairs that people decided about.
    """
    apart = owner[sample.left] != owner[sample.right]
    u = [chance(f, sample.levels[apart, i], counts[f.name].same) for i, f in enumerate(fields)]
    shape = (any(f.group == "address" for f in fields), any(f.group == "family" for f in fields))
    levels = unpacked(tally.patterns, fields)
    m, fields, expected = _average_m(fields, levels, tally, rules, u, shape)
    if inside is not None:
        m = _within(fields, inside, m)
    if labelled is not None:
        m = labelled.taught(fields, m)
    parameters = tuple(
        FieldParameters(f.name, _plain(a), _plain(b), f.shared) for f, a, b in zip(fields, m, u, strict=True)
    )
    priors = _priors(fields, levels, tally.counts[-1], parameters, persons, shape)
    model = IdentityModel(
        parameters,
        priors,
        rules,
        {f: c.table for f, c in counts.items()},
        {f: c.rare for f, c in counts.items()},
        strong=_STRONG_ODDS - log2(priors.same + priors.moved),
        crowd=_CROWD / max(len(distinct(owner)), 1),
        salt=salt,
    )
    return Learned(model, expected, {f: c.shares for f, c in counts.items()})


@dataclass(frozen=True)
class Labelled:
    """Levels of pairs that people decided are one person, shape (pairs, fields)."""

    levels: Levels

    def taught(self, fields: tuple[Field, ...], m: list[Bits]) -> list[Bits]:
        """m held towards what the labelled pairs show: they count as so many true pairs beside the learned ones."""
        out = []
        for i, field in enumerate(fields):
            counts = np.bincount(self.levels[:, i], minlength=field.levels)[1 : field.levels].astype(np.float64)
            out.append((LABEL_STRENGTH * m[i] + counts) / (LABEL_STRENGTH + counts.sum()))
        return out


def _plain(shares: Bits) -> tuple[float, ...]:
    return tuple(np.round(shares, 12).tolist())


def _within(fields: tuple[Field, ...], inside: pl.DataFrame, m: list[Bits]) -> list[Bits]:
    """m from the pairs inside clusters (each record counts once, however large its cluster), mixed with `m`."""
    held = inside.filter(pl.col("size") > 0)
    levels = unpacked(held["pattern"].to_numpy(), fields)
    mass = held["pairs"].to_numpy() / np.maximum(held["size"].to_numpy() - 1, 1)
    out = []
    for i, field in enumerate(fields):
        counts = np.bincount(levels[:, i], weights=mass, minlength=field.levels)[1 : field.levels]
        if field.group == "address":
            out.append(m[i])
            continue
        share = CLUSTER_SHARE * counts.sum() / (counts.sum() + _M_STRENGTH)
        out.append((1 - share) * m[i] + share * counts / max(counts.sum(), 1e-9))
    return out


def _average_m(
    fields: tuple[Field, ...],
    levels: Levels,
    tally: Tally,
    rules: tuple[Rule, ...],
    u: list[Bits],
    shape: tuple[bool, bool],
) -> tuple[list[Bits], tuple[Field, ...], dict[str, float]]:
    """m by field, the fields with what households share of each, and the expected true pairs by rule."""
    sums = [np.zeros(f.levels - 1) for f in fields]
    total, common, homes = np.zeros(len(fields)), np.zeros(len(fields)), np.zeros(len(fields))
    expected: dict[str, float] = {}
    for number, rule in enumerate(rules):
        counts = tally.counts[number]
        open_ = [i for i, f in enumerate(fields) if f.name not in rule.fields]
        if counts.sum() < 20 or not open_:
            continue
        m, matches, shared, together = _maximise(fields, levels, counts, u, open_, shape)
        expected[rule.name] = round(matches, 1)
        common[open_] += together * shared
        homes[open_] += together
        if matches < 10:
            continue
        for i in open_:
            weight = np.sqrt(min(matches, 10_000.0))
            sums[i] += weight * m[i]
            total[i] += weight
    believed = np.array([f.shared for f in fields])
    common = np.where(homes > 1, common / np.maximum(homes, 1e-9), believed)
    told = tuple(replace(f, shared=round(float(c), 6)) for f, c in zip(fields, common, strict=True))
    return [s / t if t else np.array(f.match) for f, s, t in zip(fields, sums, total, strict=True)], told, expected


def _maximise(
    fields: tuple[Field, ...],
    levels: Levels,
    counts: Bits,
    u: list[Bits],
    open_: list[int],
    shape: tuple[bool, bool],
) -> tuple[list[Bits], float, Bits, float]:
    """EM on the pairs of one rule over its open fields, u fixed.

    m by field and the expected true pairs; what households share, by open field, and the expected pairs of those.
    """
    kept = np.flatnonzero(counts)
    levels, counts = levels[kept][:, open_], counts[kept]
    some = tuple(fields[i] for i in open_)
    m = [np.array(fields[i].match) for i in open_]
    on = (True, shape[0], all(shape), shape[0])
    priors = Priors(0.2, 0.05 * on[1], 0.05 * on[2], 0.02 * on[3])
    total = counts.sum()
    for _ in range(_STEPS):
        weight = tables(
            some,
            tuple(FieldParameters(f.name, tuple(a), tuple(u[i])) for f, a, i in zip(some, m, open_, strict=True)),
        )
        share = _shares(explanations(group_sums(some, levels, weight), priors)) * counts
        new = []
        for j, field in enumerate(some):
            mass = share[0] + share[1] if field.group != "address" else share[0]
            by_level = np.bincount(levels[:, j], weights=mass, minlength=field.levels)[1 : field.levels]
            found = (by_level + _M_STRENGTH * np.array(field.match)) / (by_level.sum() + _M_STRENGTH)
            new.append(_of_a_person(field, found))
        some = tuple(
            _in_household(f, levels[:, j], share[2] + share[3], new[j], u[open_[j]]) for j, f in enumerate(some)
        )
        moved = max(float(np.abs(a - b).max()) for a, b in zip(m, new, strict=True))
        m = new
        sizes = share.sum(axis=1)[:4] / total
        priors = Priors(*(min(max(float(s), 1e-9), 0.99) * o for s, o in zip(sizes, on, strict=True)))
        if moved < _CLOSE:
            break
    full = [np.array(f.match) for f in fields]
    for j, i in enumerate(open_):
        full[i] = m[j]
    shared = np.array([f.shared for f in some])
    return full, float(share[0].sum() + share[1].sum()), shared, float(share[2].sum() + share[3].sum())


def _of_a_person(field: Field, m: Bits) -> Bits:
    """m with no more at "different" than one person's pairs can have: else a family would pass for a person."""
    if m[0] <= field.differs:
        return m
    return np.append(field.differs, m[1:] * ((1 - field.differs) / max(float(m[1:].sum()), 1e-12)))


def _in_household(field: Field, levels: Levels, mass: Bits, m: Bits, u: Bits) -> Field:
    """The field with how often two others of one household have its value in common; `mass`: pairs taken for such."""
    believed = field_of(field.name).shared
    if not believed:
        return field
    counts = np.bincount(levels, weights=mass, minlength=field.levels)[1 : field.levels]
    seen = (float(counts[-1]) - float(counts.sum() * u[-1])) / max(float(m[-1] - u[-1]), 1e-3)
    share = (max(seen, 0.0) + _M_STRENGTH * believed) / (float(counts.sum()) + _M_STRENGTH)
    return replace(field, shared=min(max(share, believed / _MOST_SHARED), believed * _MOST_SHARED, 0.95))


def _shares(explained: Bits) -> Bits:
    top = explained.max(axis=0)
    likelihood = np.exp2(explained - top)
    return np.asarray(likelihood / likelihood.sum(axis=0))


def _priors(
    fields: tuple[Field, ...],
    levels: Levels,
    counts: Bits,
    parameters: tuple[FieldParameters, ...],
    records: float,
    shape: tuple[bool, bool],
) -> Priors:
    """Shares of the explanations among all pairs: EM over the candidates; pairs that never met are strangers."""
    total = max(records * (records - 1) / 2, 1.0)
    sums = group_sums(fields, levels, tables(fields, parameters))
    start = min(LIKELIEST, 0.5 * records / total)
    least = min(LIKELIEST, 0.02 * records / total)
    on = (True, shape[0], all(shape), shape[0])
    priors = Priors(start, 0.1 * start * on[1], 0.1 * start * on[2], 0.1 * start * on[3])
    for _ in range(_STEPS):
        if not len(levels):
            break
        share = (_shares(explanations(sums, priors)) * counts).sum(axis=1) / total
        new = [max(float(s), least * (1.0 if i == 0 else 0.2)) * on[i] for i, s in enumerate(share[:4])]
        size = sum(new)
        priors, old = Priors(*(x / size * min(size, LIKELIEST) for x in new)), priors
        if abs(priors.same - old.same) + abs(priors.household - old.household) < _CLOSE * old.same:
            break
    return priors
