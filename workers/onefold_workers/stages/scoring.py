"""Scoring on the lake: one task a partition of customers scores all models; traits, segments and offers beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from io import BytesIO

import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.parts import Part
from onefold_storage.schema import CUSTOMERS, OFFERS, SCORES, SEGMENTS, TRAITS, Table
from onefold_storage.settings import StorageSettings
from onefold_workers import scoring, segments
from onefold_workers.cluster import spread
from onefold_workers.feature_view import GOLDEN_ID
from onefold_workers.features import features_at, rows_at
from onefold_workers.model_registry import ModelRegistry
from onefold_workers.plan import Plan
from onefold_workers.stages.exchange import as_parquet, put_pieces, read_pieces
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.gathering import Gathered, partition_of
from onefold_workers.stages.histories import HistoryOf, history_of
from onefold_workers.stages.reckoning import declared_money, money_of
from onefold_workers.stages.training import Declared, declared, partitions_of, plans_for, registry_url
from onefold_workers.trained import Trained
from onefold_workers.traits import traits

AREA = "work/scores"
"""Where scores wait for their rank; golden IDs only, removed at the end, registered in `places.py`."""
TABLES = (SCORES, OFFERS, TRAITS, SEGMENTS)


@dataclass(frozen=True)
class Scored:
    """Rows by table, and whether anything was computed."""

    rows: dict[str, int]
    changed: bool


def score_customers(installation: Installation, gathered: Gathered, run_id: str) -> Scored:
    """Score everyone with the champions; nothing is done where customers, models, code and day are the same."""
    lake, now = installation.lake, installation.clock.now()
    known = declared(installation)
    champions = champions_of(installation, known)
    facts = {n: (t.version, t.fingerprint) for n, t in champions.items()}
    inputs = fingerprint(
        lake,
        [CUSTOMERS.name],
        gathered=gathered.version,
        champions=facts,
        code=known.digests,
        day=now.date(),
        money=declared_money(installation),
    )
    if all(lake.inputs(t.name) == inputs for t in TABLES):
        return Scored({t.name: lake.rows(t.name) for t in TABLES}, changed=False)
    names = partitions_of(installation, gathered, money_of(installation, gathered).reckoning)
    plans, _ = plans_for(installation, names, {n: known.models[n] for n in champions})
    task = partial(_score, inputs=inputs, known=known, champions=champions, plans=plans, run_id=run_id, now=now)
    done = spread(task, names)
    ranks = scoring.ranked(pl.concat([d.points for d in done])).select(GOLDEN_ID, "model", "rank")
    put_pieces(lake.objects, _ranks(inputs), "client", ranks, partition_of(pl.col(GOLDEN_ID), gathered.partitions))
    rank = partial(_rank, installation.settings, inputs)
    parts = {t.name: [p for d in done for p in d.parts[t.name]] for t in (OFFERS, TRAITS)}
    parts[SCORES.name] = [p for written in spread(rank, [n.partition for n in names]) for p in written]
    members = segments.members(pl.concat([d.facts for d in done]))
    parts[SEGMENTS.name] = lake.parts(SEGMENTS.name, lake.frame_to_arrow(SEGMENTS.name, members))
    for table in reversed(TABLES):
        with lake.lock(table.name):
            lake.commit(table.name, parts[table.name], replace=True, inputs=inputs)
    lake.objects.delete_below(AREA)
    return Scored({n: sum(p.rows for p in listed) for n, listed in parts.items()}, changed=True)


def champions_of(installation: Installation, known: Declared) -> dict[str, Trained]:
    """The champion of every declared model that has one."""
    registry = ModelRegistry(registry_url(installation.settings))
    found = {name: registry.champion(name) for name in known.models}
    return {name: trained for name, trained in found.items() if trained is not None}


@dataclass(frozen=True)
class _Done:
    """What one partition came to: parts by table, and what ranks and segments are made of."""

    parts: dict[str, list[Part]]
    points: pl.DataFrame
    facts: pl.DataFrame


def _score(
    name: HistoryOf,
    inputs: str,
    known: Declared,
    champions: Mapping[str, Trained],
    plans: Mapping[str, Plan],
    run_id: str,
    now: datetime,
) -> _Done:
    """Every table's rows of one partition, on a worker; scores wait beside the lake for their rank."""
    lake = Installation(name.settings).lake
    history = history_of(name)
    views = [v for v in known.views.values() if v.keys == (GOLDEN_ID,)]
    people = {t: features_at(views, history, t) for t in {now, *(p.as_of for p in plans.values())}}
    scores, offers = [_empty(SCORES)], [_empty(OFFERS)]
    for model_name, trained in champions.items():
        if model_name not in plans:
            continue
        model, as_of = known.models[model_name], plans[model_name].as_of
        if model.kind == "ranker":
            pairs = rows_at(known.views["category_affinity"], history, as_of)
            offers.append(scoring.offers(trained, people[as_of], pairs, model, run_id))
        else:
            scores.append(scoring.score(trained, model, known.views, people[as_of], run_id))
    points = pl.concat(scores)
    lake.objects.put(_place(inputs, name.partition), as_parquet(points))
    frames = {OFFERS.name: pl.concat(offers), TRAITS.name: traits(people[now], history, now)}
    parts = {n: lake.parts(n, lake.frame_to_arrow(n, frame)) for n, frame in frames.items()}
    return _Done(parts, points.select(GOLDEN_ID, "model", "score"), segments.facts(people[now]))


def _rank(settings: StorageSettings, inputs: str, partition: int) -> list[Part]:
    """One partition's scores with their rank among all customers, on a worker."""
    lake = Installation(settings).lake
    scores = pl.read_parquet(BytesIO(lake.objects.get(_place(inputs, partition)) or b""))
    ranks = read_pieces(lake.objects, _ranks(inputs), partition)
    if ranks is None:  # nobody of this partition has a score
        return lake.parts(SCORES.name, lake.frame_to_arrow(SCORES.name, scores))
    whole = scores.drop("rank").join(ranks, on=[GOLDEN_ID, "model"], how="left").select(SCORES.arrow.names)
    return lake.parts(SCORES.name, lake.frame_to_arrow(SCORES.name, whole))


def _ranks(inputs: str) -> str:
    return f"{AREA}/{inputs}/ranks"


def _place(inputs: str, partition: int) -> str:
    return f"{AREA}/{inputs}/{partition}.parquet"


def _empty(table: Table) -> pl.DataFrame:
    return pl.DataFrame(schema=pl.Schema(table.arrow))
