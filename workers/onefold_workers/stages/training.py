"""Training on the lake: rows from every partition of customers, one Dask task a model, figures kept for all to see.

A model is trained again when its rows, its code, its views or its plan changed: the fingerprint that the registry
keeps with each version decides. What was learned goes to the registry; the figures of the champions go to the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from io import BytesIO
from typing import Any

import orjson
import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.schema import CUSTOMERS
from onefold_storage.settings import StorageSettings
from onefold_storage.status import MODELS, TRAINING
from onefold_workers import features, models
from onefold_workers.cluster import spread
from onefold_workers.feature_view import FeatureView
from onefold_workers.model import Model, NotTrainable
from onefold_workers.model_registry import ModelRegistry
from onefold_workers.money import Reckoning
from onefold_workers.plan import Plan, plan, spans
from onefold_workers.settings import WorkerSettings
from onefold_workers.stages.exchange import as_parquet
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.gathering import Gathered
from onefold_workers.stages.histories import HistoryOf, history_of
from onefold_workers.stages.reckoning import declared_money, money_of
from onefold_workers.training import fingerprint as rows_fingerprint
from onefold_workers.training import merged, no_worse, train, training_frames

AREA = "work/training"
"""Where training rows wait for their model: golden IDs and numbers, removed at the end; see `places.py`."""


@dataclass(frozen=True)
class TrainingReport:
    """Figures of every champion, which models are new, why others were left out, and remarks on the plans and on money."""

    figures: list[dict[str, Any]]
    trained: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Declared:
    """The models and views in force: built in, and of the workspace."""

    models: Mapping[str, Model]
    views: Mapping[str, FeatureView]

    @property
    def digests(self) -> dict[str, str]:
        """Digest by name, for fingerprints."""
        return {n: d.digest for kind in (self.models, self.views) for n, d in kind.items()}


def declared(installation: Installation) -> Declared:
    """Discover models and feature views."""
    folder = installation.workspace.folder
    return Declared(models.discover(folder / "models"), features.discover(folder / "features"))


def plans_for(
    installation: Installation, names: Sequence[HistoryOf], found: Mapping[str, Model]
) -> tuple[dict[str, Plan], list[str]]:
    """The plan of each model for the data as it is, and why others have none."""
    now = installation.clock.now()
    task = partial(_spans, now=now)
    seen = spread(task, names)
    plans: dict[str, Plan] = {}
    left_out: list[str] = []
    for name, model in found.items():
        try:
            plans[name] = plan(model, seen, now)
        except NotTrainable as why:
            left_out.append(str(why))
    return plans, left_out


def train_models(
    installation: Installation,
    gathered: Gathered,
    *,
    retrain: bool = False,
    on_done: Callable[[int, int], None] | None = None,
) -> TrainingReport:
    """Train what changed, register it, and write the champions' figures. Nothing changed today, nothing is read."""
    lake = installation.lake
    known = declared(installation)
    now = installation.clock.now()
    inputs = fingerprint(
        lake,
        [CUSTOMERS.name],
        gathered=gathered.version,
        code=known.digests,
        day=now.date(),
        money=declared_money(installation),
    )
    standing = orjson.loads(lake.objects.get(TRAINING) or b"{}")
    if not retrain and standing.get("inputs") == inputs:
        figures = orjson.loads(lake.objects.get(MODELS) or b"[]")
        return TrainingReport(figures, left_out=standing["left_out"], remarks=standing.get("remarks", []))
    money = money_of(installation, gathered)
    names = partitions_of(installation, gathered, money.reckoning)
    plans, left_out = plans_for(installation, names, known.models)
    lake.objects.delete_below(AREA)
    spread(partial(_rows, known=known, plans=plans), names)
    fit = partial(_fit, settings=installation.settings, known=known, retrain=retrain)
    done = spread(fit, [(n, plans[n]) for n in plans], on_done=on_done)
    lake.objects.delete_below(AREA)
    figures = [d.figures for d in done if d.figures is not None]
    left_out += [d.why for d in done if d.why]
    lake.objects.put(MODELS, orjson.dumps(figures, default=str))
    remarks = [*sorted({p.remark for p in plans.values() if p.remark}), *money.remarks]
    lake.objects.put(TRAINING, orjson.dumps({"inputs": inputs, "left_out": left_out, "remarks": remarks}))
    return TrainingReport(figures, [d.name for d in done if d.new], left_out, remarks)


@dataclass(frozen=True)
class _Fitted:
    name: str
    figures: dict[str, Any] | None
    new: bool = False
    why: str = ""


def _fit(job: tuple[str, Plan], *, settings: StorageSettings, known: Declared, retrain: bool) -> _Fitted:
    """Train and register one model, on a worker; a fingerprint that the champion has already is left as it is."""
    name, when = job
    objects = Installation(settings).lake.objects
    pieces = [pl.read_parquet(BytesIO(objects.get(key) or b"")) for key in objects.keys(f"{AREA}/{name}")]
    frame = merged([{name: piece} for piece in pieces])[name]
    model = known.models[name]
    registry = ModelRegistry(registry_url(settings))
    champion = registry.champion(name)
    digest = rows_fingerprint(model, known.views, frame, when)
    if champion and not retrain and registry.known(name, digest):
        return _Fitted(name, champion.status())
    try:
        learned = train(model, known.views, frame, when)
    except NotTrainable as why:
        if champion is None:
            return _Fitted(name, None, why=str(why))
        return _Fitted(name, champion.status(), why=f"{why}; version {champion.version} stands")
    better = champion is None or no_worse(model, learned, champion, frame, when)
    registered = registry.register(learned, champion=better)
    return _Fitted(name, (registered if better or champion is None else champion).status(), new=True)


def _spans(name: HistoryOf, now: datetime) -> pl.DataFrame:
    return spans(history_of(name), now)


def _rows(name: HistoryOf, known: Declared, plans: Mapping[str, Plan]) -> None:
    """Every model's rows of one partition, put where the task that trains the model finds them."""
    objects = Installation(name.settings).lake.objects
    frames = training_frames(known.models, known.views, history_of(name), plans)
    for model, frame in frames.items():
        objects.put(f"{AREA}/{model}/{name.partition}.parquet", as_parquet(frame))


def registry_url(settings: StorageSettings) -> str:
    """MLflow's store: the one that the settings name, else a database in home."""
    return WorkerSettings().mlflow_url or f"sqlite:///{settings.root / 'mlflow' / 'mlflow.db'}"


def partitions_of(installation: Installation, gathered: Gathered, reckoning: Reckoning) -> list[HistoryOf]:
    """Names of the histories of all partitions of customers."""
    version = installation.lake.version(CUSTOMERS.name)
    return [HistoryOf(installation.settings, gathered, version, p, reckoning) for p in range(gathered.partitions)]
