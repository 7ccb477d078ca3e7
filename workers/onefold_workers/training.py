"""Training: rows of each partition at the plan's cut-offs, then a model with its honest figures.

`training_frames` runs on each partition of customers; `train` on the rows of all of them. Both are pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl

from onefold_storage.errors import BadContract
from onefold_workers import boosting, evaluation, offering
from onefold_workers.additive import Additive, Floats
from onefold_workers.feature_view import GOLDEN_ID, FeatureView
from onefold_workers.features import DECIMALS, features_at, rounded, rows_at
from onefold_workers.goal import LABEL, SCALE, Goal, goal_of
from onefold_workers.model import FEWEST, FEWEST_APART, Model, NotTrainable
from onefold_workers.plan import Plan
from onefold_workers.point_in_time import History, sampled
from onefold_workers.trained import Trained, matrix

BASELINE = "baseline"
FEW_ROUNDS = 50
"""Rounds to boost where there is nothing to choose their number by."""


def views_of(model: Model, views: Mapping[str, FeatureView]) -> tuple[FeatureView, ...]:
    """The views a model learns from.

    Raises:
        BadContract: it names a view that is not there, or that is keyed by more than the golden ID.
    """
    missing = [v for v in model.views if v not in views or views[v].keys != (GOLDEN_ID,)]
    if missing:
        raise BadContract(
            f"model {model.name}: no feature view of customers {', '.join(missing)}; "
            f"there are {', '.join(sorted(views))}"
        )
    named = model.views or tuple(n for n, v in views.items() if v.keys == (GOLDEN_ID,))
    return tuple(views[n] for n in (offering.VIEWS if model.kind == "ranker" else named))


def training_frames(
    models: Mapping[str, Model],
    views: Mapping[str, FeatureView],
    history: History,
    plans: Mapping[str, Plan],
) -> dict[str, pl.DataFrame]:
    """Each planned model's rows of one partition, at all its cut-offs; features are computed once a cut-off.

    Columns: golden_id, as_of, (a ranker's: category,) the features, label, baseline and scale, all Float64.
    """
    chosen = {n: models[n] for n in plans}
    history = history.sampled(max((p.share for p in plans.values()), default=1.0))
    moments: dict[datetime, list[Model]] = {}
    for name, model in chosen.items():
        extra = (plans[name].as_of,) if model.kind == "ranker" else ()
        for cutoff in (*plans[name].labelled, *extra):
            moments.setdefault(cutoff, []).append(model)
    frames: dict[str, list[pl.DataFrame]] = {n: [] for n in chosen}
    for cutoff, wanted in sorted(moments.items()):
        plain = [v for m in wanted for v in views_of(m, views) if v.keys == (GOLDEN_ID,)]
        features = features_at({v.name: v for v in plain}.values(), history, cutoff)
        for model in wanted:
            frames[model.name].append(training_rows(model, views, history, cutoff, plans[model.name], features))
    return {n: pl.concat(f) for n, f in frames.items()}


def training_rows(
    model: Model,
    views: Mapping[str, FeatureView],
    history: History,
    cutoff: datetime,
    plan: Plan,
    features: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One model's rows of one partition at one cut-off; `features` may hold more than it needs."""
    plain = [v for v in views_of(model, views) if v.keys == (GOLDEN_ID,)]
    if features is None:
        features = features_at(plain, history, cutoff)
    names = [n for v in plain for n in v.names]
    days = plan.days
    people = features.filter(sampled(plan.share), model.eligible)
    future = history.between(cutoff, cutoff + plan.horizon)
    if model.kind == "ranker":
        affinity = next(v for v in views_of(model, views) if v.keys != (GOLDEN_ID,))
        return offering.rows(people, rows_at(affinity, history, cutoff), model.labels(future).collect())
    scale = pl.lit(1.0) if model.scale is None else model.scale(days)
    people = people.select(
        GOLDEN_ID,
        "as_of",
        *names,
        model.baseline(days).cast(pl.Float64).fill_null(0.0).fill_nan(0.0).alias(BASELINE),
        scale.cast(pl.Float64).alias(SCALE),
    )
    labels = model.labels(future).select(GOLDEN_ID, pl.col(LABEL).cast(pl.Float64)).collect()
    # Rounded as features are: sums taken in another order come out equal.
    return people.join(labels, on=GOLDEN_ID, how="left", maintain_order="left").with_columns(
        rounded(pl.col(LABEL).fill_null(model.otherwise)), rounded(pl.col(BASELINE)), rounded(pl.col(SCALE))
    )


def fingerprint(model: Model, views: Mapping[str, FeatureView], frame: pl.DataFrame, plan: Plan) -> str:
    """SHA-256 of everything that decides what training gives: code, learner, plan and rows."""
    used = [(v.name, v.version, v.digest) for v in views_of(model, views)]
    when = [plan.as_of, plan.horizon, plan.test, plan.train, plan.final, plan.share]
    facts = json.dumps([model.name, model.digest, used, boosting.VERSION, when], default=str)
    content = hashlib.sha256(facts.encode())
    ordered = _ordered(frame)
    for column in ordered.columns:
        values = ordered[column]
        if values.dtype == pl.Float64:
            content.update(values.fill_null(float("nan")).to_numpy().tobytes())
        else:
            text = values.cast(pl.String).fill_null("").to_frame("t").select(pl.col("t").str.join("\n")).item()
            content.update(str(text).encode())
    return content.hexdigest()


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    keys = [c for c in ("as_of", GOLDEN_ID, "category") if c in frame.columns]
    return frame.sort(keys)


def train(model: Model, views: Mapping[str, FeatureView], frame: pl.DataFrame, plan: Plan) -> Trained:
    """Learn, test on the hold-out, and fit again on everything. `frame`: the rows of all partitions.

    The result carries two fits: `tested` never saw the hold-out, `additive` is the one to use.

    Raises:
        NotTrainable: too few customers, or labels that are (almost) all the same.
    """
    frame = _ordered(frame)
    digest = fingerprint(model, views, frame, plan)
    if model.kind == "ranker":
        result = offering.train(model, frame, plan)
        return replace(result, fingerprint=digest)
    names = tuple(n for v in views_of(model, views) for n in v.names)
    held = frame.filter(pl.col("as_of") == plan.test)
    _check(model, held, "the hold-out")
    past = frame.filter(pl.col("as_of").is_in(plan.train))
    goal = goal_of(model, past)
    tested = _fitted(model, goal, names, past, plan.train)
    final = _fitted(model, goal, names, frame.filter(pl.col("as_of").is_in(plan.final)), plan.final)
    score = predicted(model, tested, held, goal.floor)
    rivals = {n: held.select(r(plan.days).fill_null(0.0)).to_series().to_numpy() for n, r in model.rivals.items()}
    scales = frame.filter(pl.col("as_of").is_in(plan.final))[SCALE]
    result = Trained(
        model=model.name,
        kind=model.kind,
        additive=final,
        tested=tested,
        figures=evaluation.figures(goal.metric, held[LABEL].to_numpy(), score, held[BASELINE].to_numpy(), rivals),
        as_of=plan.as_of,
        test=plan.test,
        horizon=plan.horizon,
        average=float(np.round(np.mean(scales.to_numpy()) + goal.floor, DECIMALS)),
        floor=goal.floor,
    )
    return replace(result, fingerprint=digest)


def no_worse(model: Model, trained: Trained, champion: Trained | None, frame: pl.DataFrame, plan: Plan) -> bool:
    """Whether `trained` does at least as well as the present champion on the same hold-out, `plan.test` of `frame`.

    The champion is tested as it is where its data ended before the hold-out, else by its own fit that did; one that
    answers another question (other horizon or metric, features that are gone) or learned from later data gives way.
    """
    metric = trained.figures.metric
    if champion is None or champion.horizon != plan.horizon or champion.figures.metric != metric:
        return True
    fit = champion.additive if champion.as_of <= plan.test else champion.tested
    held = _ordered(frame.filter(pl.col("as_of") == plan.test))
    known = set(offering.NAMES if model.kind == "ranker" else held.columns)
    if champion.test > plan.test or not known.issuperset(fit.names):
        return True
    if model.kind == "ranker":
        value = float(np.mean(offering.recalls(model, held, fit, plan.days)["score"]))
    else:
        score = predicted(model, fit, held, champion.floor)
        value = evaluation.measure(metric, held[LABEL].to_numpy(), score)(np.ones(len(score)))
    return evaluation.better(metric, trained.figures.value, value) >= 0


def predicted(model: Model, additive: Additive, rows: pl.DataFrame, floor: float = 0.0) -> Floats:
    """The scores of training rows; `floor`: of the goal that was learned for."""
    score = additive.predict(matrix(rows, additive.names))
    return np.maximum(score * (rows[SCALE].to_numpy() + floor), 0) if model.kind == "regressor" else score


def _fitted(
    model: Model, goal: Goal, names: tuple[str, ...], frame: pl.DataFrame, cutoffs: tuple[datetime, ...]
) -> Additive:
    """Fit on all of `frame`; how many rounds is decided on its latest cut-off (or a fifth of its customers)."""
    _check(model, frame, "training")
    late = pl.col("as_of") == max(cutoffs) if len(cutoffs) > 1 else pl.col(GOLDEN_ID).hash(seed=5) % 5 == 0
    early, check = (_learnable(goal, names, frame.filter(w)) for w in (~late, late))
    everything = _learnable(goal, names, frame)
    one_class = goal.loss == "log_loss" and len(np.unique(early.labels)) < 2
    rounds = FEW_ROUNDS if one_class else boosting.best_rounds(early, check, loss=goal.loss)
    return boosting.fit(names, everything, loss=goal.loss, rounds=rounds)


def _learnable(goal: Goal, names: tuple[str, ...], frame: pl.DataFrame) -> boosting.Rows:
    labels = frame[LABEL].to_numpy()
    if goal.loss == "log_loss":
        return boosting.Rows(matrix(frame, names), labels, np.ones(len(labels)))
    # |y - s f| = s |y/s - f|: learning y/s with weights s makes the same error smallest. For squares it evens out
    # how much customers of a large and of a small scale say.
    scale = frame[SCALE].to_numpy() + goal.floor
    return boosting.Rows(matrix(frame, names), labels / scale, scale)


def _check(model: Model, frame: pl.DataFrame, where: str) -> None:
    if frame.height < FEWEST:
        raise NotTrainable(f"{model.name}: needs at least {FEWEST} customers in {where}, found {frame.height}")
    label = pl.col(LABEL)
    kinds = {"with the label": label == 1, "without the label": label == 0}
    if model.kind == "regressor":
        common = float(np.min(frame[LABEL].mode().to_numpy()))
        kinds = {f"with a label other than {common:g}": label != common}
    for words, which in kinds.items():
        count = frame.filter(which)[GOLDEN_ID].n_unique()
        if count < FEWEST_APART:
            raise NotTrainable(
                f"{model.name}: needs at least {FEWEST_APART} customers {words} in {where}, found {count}"
            )


def merged(frames: Iterable[Mapping[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
    """The rows of all partitions by model, from each partition's `training_frames`."""
    together: dict[str, list[pl.DataFrame]] = {}
    for part in frames:
        for name, frame in part.items():
            together.setdefault(name, []).append(frame)
    return {n: _ordered(pl.concat(f)) for n, f in together.items()}
