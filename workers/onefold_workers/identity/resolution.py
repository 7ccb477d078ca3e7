"""Who is who: records in, clusters out. The steps, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_storage.errors import BadInput
from onefold_workers.identity.blocking import Pairs, candidate_pairs, derive_rules
from onefold_workers.identity.clustering import APART, average_linkage, components, inner_pairs, numbered
from onefold_workers.identity.comparison import Packed, compare_pairs
from onefold_workers.identity.estimation import estimate, random_sample
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.people import People, Rows, encode_people, profiles
from onefold_workers.identity.weights import Bits, Weigher

RunTasks = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
PAIRS_PER_RECORD = 3.0
INNER_PAIRS_PER_RECORD = 10
LARGEST_COMPONENT = 600
GREY = -6.0
"""Pairs above this weight are kept as edges: the linked ones and the doubtful ones below the threshold."""
_CHUNK = 400_000


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
    rules = model.rules if model else derive_rules(people, PAIRS_PER_RECORD)
    pairs, blocks = candidate_pairs(people, rules, PAIRS_PER_RECORD)
    packed = _compared(people, pairs.left, pairs.right, run_tasks)
    patterns, at = np.unique(packed, return_inverse=True)
    expected: dict[str, float] = {}
    if model is None:
        model, expected = _learn(people, pairs, patterns, at, rules, salt)
    if threshold is not None:
        model = model.with_threshold(threshold)
    weigher = Weigher(people, model)
    weight = weigher.weigh(pairs.left, pairs.right, patterns, at)
    label = _clustered(people, weigher, pairs, weight, place[must], place[cannot], run_tasks)
    own = _copies(weigher, copies)
    cluster = _spread(label, place, first, own, model.threshold)
    clusters = pl.DataFrame({"record_key": keys, "cluster": cluster})
    edges = _edges(keys, first, place, pairs, weight, own, copies, model)
    report = _report(keys, cluster, people, pairs, weight, blocks, expected, model)
    return Resolution(clusters, edges, model, report)


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
    none = np.zeros((0, 2), dtype=np.int64)
    if evidence is None or not evidence.height:
        return none, none
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


def _chunks(people: People, left: Rows, right: Rows, alone: bool) -> Iterator[tuple[People, Rows, Rows]]:
    for start in range(0, len(left), _CHUNK):
        a, b = left[start : start + _CHUNK], right[start : start + _CHUNK]
        if alone:
            yield people, a, b
        else:
            rows, place = np.unique(np.concatenate([a, b]), return_inverse=True)
            yield people.take(rows), place[: len(a)], place[len(a) :]


def _compare_chunk(chunk: tuple[People, Rows, Rows]) -> Packed:
    return compare_pairs(*chunk)


def _compared(people: People, left: Rows, right: Rows, run_tasks: RunTasks) -> Packed:
    parts = list(run_tasks(_compare_chunk, _chunks(people, left, right, run_tasks is map)))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


def _learn(
    people: People, pairs: Pairs, patterns: Packed, at: npt.NDArray[np.integer], rules: Any, salt: str
) -> tuple[IdentityModel, dict[str, float]]:
    """Twice: the second time values and random pairs are counted by person, as the first clusters tell."""
    sample = random_sample(people)
    owner = np.arange(people.size, dtype=np.int64)
    learn = partial(estimate, people, pairs, patterns, at, rules, sample)
    model, expected = learn(owner=owner, salt=salt)
    if pairs.size:
        weight = Weigher(people, model).weigh(pairs.left, pairs.right, patterns, at)
        likely = weight > 0
        owner = average_linkage(owner, pairs.left[likely], pairs.right[likely], weight[likely], 0.0)
        model, expected = learn(owner=owner, salt=salt)
    return model, expected


def _clustered(
    people: People, weigher: Weigher, pairs: Pairs, weight: Bits, must: Rows, cannot: Rows, run_tasks: RunTasks
) -> Rows:
    """Clusters of profiles: components of likely pairs, every pair inside weighed, cut by average linkage."""
    threshold = weigher.model.threshold
    likely = weight > threshold
    start = components(people.size, must[:, 0], must[:, 1]) if len(must) else np.arange(people.size)
    start = _first_of(start)
    left, right, kept = pairs.left[likely], pairs.right[likely], weight[likely]
    together = components(people.size, np.concatenate([left, must[:, 0]]), np.concatenate([right, must[:, 1]]))
    a, b = inner_pairs(together, LARGEST_COMPONENT, INNER_PAIRS_PER_RECORD * people.size + 1_000_000)
    if len(a):
        patterns, at = np.unique(_compared(people, a, b, run_tasks), return_inverse=True)
        left, right = np.concatenate([a, left]), np.concatenate([b, right])
        kept = np.concatenate([weigher.weigh(a, b, patterns, at), kept])
    left, right = np.concatenate([cannot.min(axis=1), left]), np.concatenate([cannot.max(axis=1), right])
    kept = np.concatenate([np.full(len(cannot), APART), kept])
    _, once = np.unique(left << 32 | right, return_index=True)
    return average_linkage(start, left[once], right[once], kept[once], threshold)


def _first_of(label: Rows) -> Rows:
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)


def _copies(weigher: Weigher, copies: npt.NDArray[np.integer]) -> Bits:
    """For profiles that several records share: the weight of two such records; elsewhere not a number."""
    own = np.full(len(copies), np.nan)
    rows = np.flatnonzero(copies > 1)
    if rows.size:
        patterns, at = np.unique(compare_pairs(weigher.people, rows, rows), return_inverse=True)
        own[rows] = weigher.weigh(rows, rows, patterns, at)
    return own


def _spread(label: Rows, place: Rows, first: Rows, own: Bits, threshold: float) -> Rows:
    """Clusters of records: copies follow their profile where it says enough about a person, else stand alone."""
    cluster = label[place]
    alone = (own[place] <= threshold) & (first[place] != np.arange(len(place)))
    cluster[alone] = len(label) + np.flatnonzero(alone)
    return numbered(cluster)


def _edges(
    keys: pl.Series,
    first: Rows,
    place: Rows,
    pairs: Pairs,
    weight: Bits,
    own: Bits,
    copies: npt.NDArray[np.integer],
    model: IdentityModel,
) -> pl.DataFrame:
    kept = np.flatnonzero(weight > model.threshold + GREY)
    names = np.array([r.name for r in model.rules] or [""], dtype=object)
    lowest = pairs.rules[kept] & (~pairs.rules[kept] + np.uint64(1))
    rule = np.log2(lowest.astype(np.float64)).astype(np.int64)
    copied = np.flatnonzero((copies[place] > 1) & (first[place] != np.arange(len(place))))
    left = np.concatenate([first[pairs.left[kept]], first[place[copied]]])
    right = np.concatenate([first[pairs.right[kept]], copied])
    bits = np.concatenate([weight[kept], own[place[copied]]])
    return pl.DataFrame(
        {
            "left_key": keys.gather(left),
            "right_key": keys.gather(right),
            "match_weight": bits,
            "probability": 1.0 / (1.0 + np.exp2(-np.clip(bits, -60, 60))),
            "rule": pl.Series(
                np.concatenate([names[rule], np.full(len(copied), "identical", dtype=object)]).tolist(),
                dtype=pl.String,
            ),
            "model_version": pl.Series([model.version]).new_from_index(0, len(bits))
            if len(bits)
            else pl.Series([], dtype=pl.String),
        }
    ).sort("left_key", "right_key")


def _report(
    keys: pl.Series,
    cluster: Rows,
    people: People,
    pairs: Pairs,
    weight: Bits,
    blocks: dict[str, Any],
    expected: dict[str, float],
    model: IdentityModel,
) -> dict[str, Any]:
    sizes = np.bincount(np.bincount(cluster)) if len(cluster) else np.zeros(0, dtype=np.int64)
    edges = np.arange(-40, 45, 5)
    histogram = np.histogram(np.clip(weight, -40, 39.9), bins=edges)[0]
    return {
        "records": len(keys),
        "profiles": people.size,
        "clusters": int(cluster.max()) + 1 if len(cluster) else 0,
        "fields": [f.name for f in people.fields],
        "pairs": pairs.size,
        "pairs_by_rule": blocks,
        "expected_matches_by_rule": expected,
        "pairs_above_threshold": int((weight > model.threshold).sum()),
        "match_weights": {
            f"{lo}": int(c) for lo, c in zip(edges[:-1].tolist(), histogram.tolist(), strict=True) if c
        },
        "cluster_sizes": {int(s): int(c) for s, c in enumerate(sizes.tolist()) if c},
        "model_version": model.version,
    }
