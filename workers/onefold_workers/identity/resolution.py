"""Who is who: records in, clusters out. The steps, top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_storage.errors import BadInput
from onefold_workers.identity.blocking import MAX_RULES, Rule, derive_rules
from onefold_workers.identity.clustering import (
    APART,
    Links,
    average_linkage,
    bounded_components,
    components,
    inner_pairs,
    numbered,
)
from onefold_workers.identity.compared import Compared, RunTasks, compared, counted
from onefold_workers.identity.comparison import compare_pairs, unpacked
from onefold_workers.identity.conflicts import of_profiles, rivals, sole_holders
from onefold_workers.identity.estimation import Learned, estimate, random_sample
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.pairing import candidate_pairs
from onefold_workers.identity.people import People, Rows, encode_people, profiles
from onefold_workers.identity.reporting import edges, figures
from onefold_workers.identity.weights import CERTAIN, Bits, Weigher, log2, tells_a_person

PAIRS_PER_RECORD = 3.0
INNER_PAIRS_PER_RECORD = 10
LARGEST_COMPONENT = 600
BIRTH = "birth_date"
FEW = 1_000
NONE = np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Resolution:
    """What `resolve` found.

    `clusters`: record_key, cluster (int64, numbered in the order of the keys). `edges`: as the table
    `identity/edges`, sorted by keys. `model`: what the pairs were weighed with. `report`: counts and
    distributions, without personal data.
    """

    clusters: pl.DataFrame
    edges: pl.DataFrame
    model: IdentityModel
    report: dict[str, Any]


def resolve(
    records: pl.DataFrame,
    *,
    model: IdentityModel | None = None,
    evidence: pl.DataFrame | None = None,
    run_tasks: RunTasks = map,
    threshold: float | None = None,
    salt: str = "onefold",
    many: Sequence[str] = (),
) -> Resolution:
    """Find which records belong to one person.

    Args:
        records: a row per record with `record_key` and any columns of silver's contact records (the latest
            versions), and `attribute:<name>` columns; what is absent or null neither helps nor harms.
        model: weigh with this model; without it one is learned from the records.
        evidence: rows of `identity/evidence`; the latest decision on a pair is obeyed.
        run_tasks: like `map`; chunks of work are handed to it, so that a cluster can share them.
        threshold: mean match weight in bits from which clusters are one, instead of the model's.
        salt: key of the hashes in a learned model.
        many: schemes of external IDs of which one person may have several keys in one source (`conflicts.py`).

    Raises:
        BadInput: `record_key` is missing or null somewhere.
    """
    _check(records)
    ordered = _ordered(records)
    keys = ordered["record_key"]
    everyone = encode_people(ordered)
    must, cannot = _decisions(keys, evidence)
    first, place = profiles(everyone, np.unique(np.concatenate([must.ravel(), cannot.ravel()])))
    people = everyone.take(first)
    copies = np.bincount(place, minlength=people.size)
    rich = tells_a_person(people, log2(1 / max(len(keys), FEW)) if model is None else log2(model.priors.same))
    holders = of_profiles(sole_holders(ordered, many), place, people.size)
    people = replace(people, counted=np.where(rich, 1.0, copies), holders=holders, copies=np.where(rich, copies, 1))
    rules = _rules(people, model)
    candidates, blocks = candidate_pairs(people, rules, _budget(people.size))
    pairs = compared(people, candidates, run_tasks)
    learned = _learn(people, pairs, rules, run_tasks, salt) if model is None else Learned(model, {})
    model = learned.model if threshold is None else learned.model.with_threshold(threshold)
    weigher = Weigher(people, model, learned.shares)
    must, cannot = place[must], place[cannot]
    pairs = _completed(people, pairs, weigher, must, run_tasks)
    weight = weigher.weigh(pairs)
    label = _clustered(people, pairs, weigher, weight, must, cannot)
    own = _copies(weigher, copies, rich)
    cluster = _spread(label, place, first, own, model.threshold)
    clusters = pl.DataFrame({"record_key": keys, "cluster": cluster})
    report = figures(keys, cluster, people, pairs, weight, blocks, learned.expected, model)
    return Resolution(clusters, edges(keys, first, place, pairs, weight, own, copies, model, rules), model, report)


def _rules(people: People, model: IdentityModel | None) -> tuple[Rule, ...]:
    """The model's rules; and, for fields that it does not know, those that would be derived for them."""
    if model is None:
        return derive_rules(people, PAIRS_PER_RECORD)
    new = {f.name for f in people.fields} - {f.name for f in model.fields}
    further = [r for r in derive_rules(people, PAIRS_PER_RECORD) if r.fields & new] if new else []
    return (*model.rules, *further)[:MAX_RULES]


def _budget(records: int) -> float:
    """Pairs that a rule may bring per record: fewer as records grow, for coincidences grow with their square."""
    return min(max(PAIRS_PER_RECORD * 200_000 / max(records, 1), 0.8), PAIRS_PER_RECORD)


def _check(records: pl.DataFrame) -> None:
    if "record_key" not in records.columns:
        raise BadInput(f"records: expected a column record_key, found {', '.join(records.columns) or 'no columns'}")
    if records["record_key"].null_count():
        raise BadInput(
            f"records: record_key is null in {records['record_key'].null_count()} rows; expected a key in each"
        )


def _ordered(records: pl.DataFrame) -> pl.DataFrame:
    """Records in the order of their keys; of several with one key the same one whatever their order."""
    if not records["record_key"].is_duplicated().any():
        return records.sort("record_key")
    content = records.select(pl.struct(pl.all()).hash(seed=1).alias("content"))["content"]
    ordered = records.with_columns(__content=content).sort("record_key", "__content").drop("__content")
    return ordered.unique("record_key", keep="first", maintain_order=True)


def _decisions(keys: pl.Series, evidence: pl.DataFrame | None) -> tuple[Rows, Rows]:
    """Pairs of rows that must and cannot be one, shape (n, 2); the latest decision on a pair counts."""
    if evidence is None or not evidence.height:
        return NONE, NONE
    row = pl.DataFrame({"key": keys}).with_row_index("row")
    pair = evidence.select(
        pl.min_horizontal("left_key", "right_key").alias("a"),
        pl.max_horizontal("left_key", "right_key").alias("b"),
        "verdict",
        *(["decided_at"] if "decided_at" in evidence.columns else []),
    )
    if "decided_at" in pair.columns:
        pair = pair.sort("decided_at", maintain_order=True)
    pair = pair.unique(["a", "b"], keep="last", maintain_order=True).filter(pl.col("a") != pl.col("b"))
    found = pair.join(row, left_on="a", right_on="key").join(row, left_on="b", right_on="key", suffix="_b")
    found = found.sort("row", "row_b")
    by = [
        found.filter(pl.col("verdict") == v).select("row", "row_b").to_numpy().astype(np.int64)
        for v in ("must_link", "cannot_link")
    ]
    return by[0], by[1]


def _learn(people: People, pairs: Compared, rules: tuple[Rule, ...], run_tasks: RunTasks, salt: str) -> Learned:
    """Twice: from single pairs first; then from the clusters that these make, with every pair inside them."""
    sample = random_sample(people)
    learned = estimate(people, pairs, rules, sample, salt)
    if not pairs.size:
        return learned
    weigher = Weigher(people, learned.model, learned.shares)
    pairs = _completed(people, pairs, weigher, NONE, run_tasks)
    owner = _clustered(people, pairs, weigher, weigher.weigh(pairs), NONE, NONE)
    return estimate(people, pairs, rules, sample, salt, owner)


def _completed(people: People, pairs: Compared, weigher: Weigher, must: Rows, run_tasks: RunTasks) -> Compared:
    """The pairs, with every further pair inside the components that the likely ones make."""
    weight = weigher.weigh(pairs)
    likely = weight > weigher.model.threshold
    left, right = np.append(pairs.left[likely], must[:, 0]), np.append(pairs.right[likely], must[:, 1])
    weight = np.append(weight[likely], np.full(len(must), np.inf))
    component = bounded_components(people.size, left, right, weight, LARGEST_COMPONENT)
    inner = inner_pairs(component, LARGEST_COMPONENT, INNER_PAIRS_PER_RECORD * people.size + 1_000_000)
    return pairs.with_pairs(people, *inner, run_tasks)


def _clustered(people: People, pairs: Compared, weigher: Weigher, weight: Bits, must: Rows, cannot: Rows) -> Rows:
    """Clusters of profiles: what must be one first, then average linkage, with what cannot be one kept apart."""
    likely = weight > weigher.model.threshold
    left, right = np.append(pairs.left[likely], must[:, 0]), np.append(pairs.right[likely], must[:, 1])
    component = components(people.size, left, right)
    near = component[pairs.left] == component[pairs.right]
    voice = weigher.voices(pairs)
    agree, differ, sure = _birth_dates(people, pairs)
    links = Links(pairs.left, pairs.right, weight, voice, agree, differ).at(near)
    if len(cannot):
        none = np.zeros(len(cannot))
        low, high = cannot.min(axis=1), cannot.max(axis=1)
        decided = Links(low, high, np.full(len(cannot), APART), np.ones(len(cannot)), none, none)
        links = links.at(~np.isin(links.left << 32 | links.right, low << 32 | high)).and_also(decided)
    if people.holders is not None:
        apart = rivals(people.holders, links.left, links.right)
        links = replace(links, weight=np.where(apart, APART, links.weight), voice=np.where(apart, 1.0, links.voice))
    start = components(people.size, must[:, 0], must[:, 1]) if len(must) else np.arange(people.size)
    return average_linkage(_first_of(start), links, weigher.model.threshold, sure)


def _birth_dates(people: People, pairs: Compared) -> tuple[Bits, Bits, Bits]:
    """How many pairs of records, among those that each pair of profiles stands for, agree on the year of birth, and
    how many differ altogether; and how many agree within each profile."""
    names = [f.name for f in people.fields]
    if BIRTH not in names:
        none = np.zeros(pairs.size)
        return none, none, np.zeros(people.size)
    copies = np.ones(people.size) if people.copies is None else people.copies.astype(np.float64)
    level = unpacked(pairs.patterns, people.fields)[:, names.index(BIRTH)][pairs.place]
    behind = copies[pairs.left] * copies[pairs.right]
    inside = np.where(people.columns[BIRTH].known, copies * (copies - 1) / 2, 0.0)
    return np.where(level > 1, behind, 0.0), np.where(level == 1, behind, 0.0), inside


def _first_of(label: Rows) -> Rows:
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)


def _copies(weigher: Weigher, copies: npt.NDArray[np.integer], rich: npt.NDArray[np.bool_]) -> Bits:
    """For profiles that several records share: the weight of two such records; elsewhere not a number.

    A record that says enough to tell a person is one person however often it was copied.
    """
    own = np.full(len(copies), np.nan)
    rows = np.flatnonzero(copies > 1)
    if rows.size:
        own[rows] = weigher.weigh(counted(rows, rows, compare_pairs(weigher.people, rows, rows)))
        certain = weigher.model.threshold + CERTAIN
        own[rows] = np.where(rich[rows], np.maximum(own[rows], certain), own[rows])
    return own


def _spread(label: Rows, place: Rows, first: Rows, own: Bits, threshold: float) -> Rows:
    """Clusters of records: copies follow their profile where it says enough about a person, else stand alone."""
    cluster = label[place]
    alone = (own[place] <= threshold) & (first[place] != np.arange(len(place)))
    cluster[alone] = len(label) + np.flatnonzero(alone)
    return numbered(cluster)
