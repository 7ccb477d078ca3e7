"""Who is who: records in, clusters out. The steps, top to bottom."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_storage.errors import BadInput
from onefold_workers.identity.blocking import MAX_RULES, Rule, derive_rules
from onefold_workers.identity.clustering import numbered
from onefold_workers.identity.coding import StoredPeople, code_people, forget, keep_rows
from onefold_workers.identity.comparing import Weighing, compare_candidates, weigh_pairs, weigh_shares
from onefold_workers.identity.conflicts import of_profiles, own_keys, sole_holders
from onefold_workers.identity.desk import Desk, InFolder, InMemory
from onefold_workers.identity.frequencies import known_shares
from onefold_workers.identity.grouping import NONE, Ground, group
from onefold_workers.identity.keeping import Kept
from onefold_workers.identity.learning import Knowledge, learn
from onefold_workers.identity.marking import mark, set_apart
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.pairing import find_candidates
from onefold_workers.identity.people import People, Rows, profiles
from onefold_workers.identity.reporting import edges, figures
from onefold_workers.identity.shares import BIRTH
from onefold_workers.identity.tasks import RunTasks
from onefold_workers.identity.text import Codes
from onefold_workers.identity.weights import CERTAIN, Bits, has_own_value, log2, tells_a_person

PAIRS_PER_RECORD = 3.0
FEW = 1_000
FEW_COPIES = 20
"""Copies of a record with an email or identifier up to which they are taken for one person before learning."""
_LOOKED_AT = ("record_key", "external_ids")
"""Columns that are looked at once all are coded."""


@dataclass(frozen=True)
class Resolution:
    """What `resolve` found.

    `clusters`: record_key, cluster (int64, numbered in the order of the keys). `edges`: as the table
    `identity/edges`, sorted by keys. `model`: what the pairs were weighed with. `report`: counts and
    distributions, without personal data. `kept`: what a later run needs to add records to this one, if asked for.
    """

    clusters: pl.DataFrame
    edges: pl.DataFrame
    model: IdentityModel
    report: dict[str, Any]
    kept: Kept | None = None


def resolve(
    records: pl.DataFrame,
    *,
    model: IdentityModel | None = None,
    evidence: pl.DataFrame | None = None,
    run_tasks: RunTasks = map,
    scratch: Path | None = None,
    rules: tuple[Rule, ...] | None = None,
    threshold: float | None = None,
    salt: str = "onefold",
    many: Sequence[str] = (),
    keep: bool = False,
) -> Resolution:
    """Find which records belong to one person.

    Args:
        records: a row per record with `record_key` and any columns of silver's contact records (the latest
            versions), and `attribute:<name>` columns; what is absent or null neither helps nor harms.
        model: weigh with this model; without it one is learned from the records.
        evidence: rows of `identity/evidence`; the latest decision on a pair is obeyed.
        run_tasks: like `map`; chunks of work are handed to it, so that a cluster can share them.
        scratch: folder that everybody who runs tasks can read and write; what passes between tasks is laid down in
            a folder of its own there, which is gone at the end. Needed where tasks run in other processes.
        rules: blocking rules instead of those that are derived; a model brings its own.
        threshold: mean match weight in bits from which clusters are one, instead of the model's.
        salt: key of the hashes in a learned model.
        many: schemes of external IDs of which one person may have several keys in one source (`conflicts.py`).
        keep: say what `resolve_more` needs, too.

    Raises:
        BadInput: `record_key` is missing or null somewhere.
    """
    _check(records)
    records = _ordered(records)
    with _desk(scratch) as desk:
        everyone = code_people(records, None, desk, run_tasks)
        records = records.select(c for c in _LOOKED_AT if c in records.columns)  # the others lie coded on the desk
        return _resolve(records, everyone, model, evidence, run_tasks, rules, threshold, salt, many, keep)


@contextmanager
def _desk(scratch: Path | None) -> Iterator[Desk]:
    try:
        if scratch is None:
            yield InMemory()
            return
        folder = tempfile.mkdtemp(prefix="identity-", dir=scratch)
        try:
            yield InFolder(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        forget()


def _resolve(
    records: pl.DataFrame,
    everyone: StoredPeople,
    model: IdentityModel | None,
    evidence: pl.DataFrame | None,
    run_tasks: RunTasks,
    rules: tuple[Rule, ...] | None,
    threshold: float | None,
    salt: str,
    many: Sequence[str],
    keep: bool,
) -> Resolution:
    keys, desk = records["record_key"], everyone.desk
    must, cannot = decided_rows(keys, evidence)
    decided = np.unique(np.concatenate([must.ravel(), cannot.ravel()]))
    first, place = profiles(everyone.open(), decided)
    copies = np.bincount(place, minlength=len(first))
    rich = _rich(everyone.open(), len(keys), model)[first]
    if model is None:
        rich |= (copies <= FEW_COPIES) & has_own_value(everyone.open())[first]
    stored = keep_rows(everyone, first, np.where(rich, 1.0, copies), run_tasks)
    forget()
    holders = of_profiles(sole_holders(records, many), place, stored.size)
    ground = _ground(stored.open(), place[must], place[cannot], holders, np.where(rich, copies, 1))
    chosen = _rules(stored.open(), model) if rules is None or model is not None else rules
    forget()
    candidates = find_candidates(stored, chosen, _budget(stored.size), run_tasks)
    if model is None:
        shares, _, _ = compare_candidates(stored, candidates, run_tasks)
        knowledge = learn(stored, ground, candidates, shares, salt, run_tasks)
        model = _with_threshold(knowledge.model, threshold)
        weighing = _weighing_of(stored, model, knowledge)
        close, histogram = weigh_shares(weighing, shares, run_tasks)
    else:
        model = _with_threshold(model, threshold)
        knowledge = Knowledge(model, {}, known_shares(stored, model, np.flatnonzero(copies > 1), run_tasks))
        weighing = _weighing_of(stored, model, knowledge)
        _, close, histogram = compare_candidates(stored, candidates, run_tasks, weighing)
    # From here on all follows from the model and the records, so that another run under the model agrees.
    rich = _rich(everyone.open(), len(keys), model)[first]
    forget()
    ground = replace(ground, copies=np.where(rich, copies, 1))
    found = group(ground, close, weighing, model.largest, run_tasks)
    own = copies_weight(weighing, copies, rich, run_tasks)
    cluster = spread_over(found.label, place, first, own, model.threshold)
    likely = sum(c.above for c in close) + found.inside.above
    report = figures(
        cluster, stored, candidates, found.inside.further, histogram, likely, knowledge.expected, model
    )
    pairs = (desk.get(handle) for handle in [*(c.rows for c in close), *found.further])
    table = edges(keys, first, place, pairs, own, copies, model, candidates.rules)
    kept = None
    if keep and candidates.rules == model.rules:
        marked = mark(everyone, model.rules, everyone.columns, model.salt, run_tasks)
        profile = set_apart(marked.profile, decided, keys, model.salt)
        lead = first[place] == np.arange(len(keys))
        own_schemes = own_keys(records, many)
        fields = tuple(everyone.columns)
        kept = Kept(keys, found.component[place], cluster, lead, profile, marked.keys, fields, own_schemes)
    return Resolution(pl.DataFrame({"record_key": keys, "cluster": cluster}), table, model, report, kept)


def _ground(people: People, must: Rows, cannot: Rows, holders: Codes, copies: Rows) -> Ground:
    born = people.columns[BIRTH].known if BIRTH in people.columns else np.zeros(people.size, dtype=bool)
    return Ground(people.fields, must, cannot, holders, copies, born)


def _rich(people: People, records: int, model: IdentityModel | None) -> npt.NDArray[np.bool_]:
    """Whether each record says enough to tell a person: copies of it are one."""
    return tells_a_person(people, log2(1 / max(records, FEW)) if model is None else log2(model.priors.same))


def _weighing_of(stored: StoredPeople, model: IdentityModel, knowledge: Knowledge) -> Weighing:
    return Weighing(stored, replace(model, frequencies={}, rare={}), knowledge.shares)


def _with_threshold(model: IdentityModel, threshold: float | None) -> IdentityModel:
    return model if threshold is None else model.with_threshold(threshold)


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
    ordered = records if records["record_key"].is_sorted() else records.sort("record_key")
    keys = ordered["record_key"]
    if not (keys.slice(1) == keys.head(len(keys) - 1)).any():
        return ordered
    content = records.select(pl.struct(pl.all()).hash(seed=1).alias("content"))["content"]
    ordered = records.with_columns(__content=content).sort("record_key", "__content").drop("__content")
    return ordered.unique("record_key", keep="first", maintain_order=True)


def decided_rows(keys: pl.Series, evidence: pl.DataFrame | None) -> tuple[Rows, Rows]:
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


def copies_weight(weighing: Weighing, copies: Rows, rich: npt.NDArray[np.bool_], run_tasks: RunTasks) -> Bits:
    """For profiles that several records share: the weight of two such records; elsewhere not a number.

    A record that says enough to tell a person is one person however often it was copied.
    """
    own = np.full(len(copies), np.nan)
    rows = np.flatnonzero(copies > 1)
    if rows.size:
        own[rows] = weigh_pairs(weighing, rows, rows, run_tasks).weight
        certain = weighing.model.threshold + CERTAIN
        own[rows] = np.where(rich[rows], np.maximum(own[rows], certain), own[rows])
    return own


def spread_over(label: Rows, place: Rows, first: Rows, own: Bits, threshold: float) -> Rows:
    """Clusters of records: copies follow their profile where it says enough about a person, else stand alone."""
    cluster = label[place]
    alone = (own[place] <= threshold) & (first[place] != np.arange(len(place)))
    cluster[alone] = len(label) + np.flatnonzero(alone)
    return numbered(cluster)
