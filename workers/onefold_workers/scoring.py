"""Scores with their reasons, per partition of customers, as of a moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import polars as pl

from onefold_storage import schema
from onefold_storage.errors import Conflict
from onefold_workers import offering
from onefold_workers.additive import Floats
from onefold_workers.explanation import reasons
from onefold_workers.feature_view import GOLDEN_ID, FeatureView
from onefold_workers.model import Model
from onefold_workers.offering import PAIRS, Context
from onefold_workers.trained import Trained, matrix
from onefold_workers.training import views_of


def score(
    trained: Trained, model: Model, views: Mapping[str, FeatureView], features: pl.DataFrame, run_id: str = ""
) -> pl.DataFrame:
    """Scores in the shape of `schema.SCORES`, `rank` still null (`ranked` fills it): one row per eligible customer.

    `features`: `features_at` of the model's views; `as_of` is taken from it. A classifier's score is a probability
    and its effects are log-odds, a regressor's score and effects are money (never below 0).

    Raises:
        Conflict: a feature that the model was trained on is gone.
    """
    gone = [n for n in trained.additive.names if n not in features.columns]
    if gone:
        raise Conflict(
            f"model {trained.model} version {trained.version} reads {', '.join(gone)}, which no feature view gives now; "
            "put the view back, or train the model again"
        )
    people = features.filter(model.eligible)
    points, contributions, _ = explained(trained, model, people)
    described = {f.name: f for v in views_of(model, views) for f in v.features}
    told = reasons([described[n] for n in trained.additive.names], people, contributions)
    frame = people.select(GOLDEN_ID, "as_of").with_columns(score=points, reasons=told)
    return _shaped(frame, schema.SCORES, trained, run_id)


def explained(trained: Trained, model: Model, people: pl.DataFrame) -> tuple[Floats, Floats, float]:
    """Scores, what each feature adds to each (rows, features), and what the average customer gets.

    That average and a row's contributions add up to the score: to its log-odds for a classifier, and for a
    regressor to the score itself where it is not cut off at 0.
    """
    additive = trained.additive
    values = matrix(people, additive.names)
    contributions = additive.contributions(values)
    if model.kind == "classifier":
        return additive.predict(values), contributions, additive.base
    scale = np.ones(people.height)
    if model.scale is not None:
        days = trained.horizon / timedelta(days=1)
        scale = people.select(model.scale(days).cast(pl.Float64)).to_series().to_numpy() + trained.floor
        contributions *= scale[:, None]
        contributions[:, additive.names.index(model.scaled_by)] += additive.base * (scale - trained.average)
    points = np.maximum(additive.raw(values) * scale, 0)
    return points, contributions, additive.base * trained.average


def offers(
    trained: Trained, people: pl.DataFrame, pairs: pl.DataFrame, model: Model, run_id: str = ""
) -> pl.DataFrame:
    """Each eligible customer's first offers in the shape of `schema.OFFERS`.

    `people`: `features_at` of `offering.VIEWS` keyed by golden ID; `pairs`: `rows_at` of the one keyed by category.
    """
    people = people.filter(model.eligible)
    known = Context.read(trained.context)
    frame = offering.rows(people, pairs)
    found = [_first(trained, known, ids, part) for ids, part in offering.expanded(frame, known)]
    if not found:
        return _shaped(pl.DataFrame(schema={GOLDEN_ID: pl.String}), schema.OFFERS, trained, run_id)
    together = pl.concat(found).join(people.select(GOLDEN_ID, "as_of"), on=GOLDEN_ID, maintain_order="left")
    return _shaped(together, schema.OFFERS, trained, run_id)


def _first(trained: Trained, known: Context, ids: pl.Series, pairs: dict[str, np.ndarray]) -> pl.DataFrame:
    shape = pairs[offering.LABEL].shape
    points = trained.additive.predict(offering.stacked(pairs)).reshape(shape)
    first = np.argsort(-points, axis=1, kind="stable")[:, : offering.FIRST]
    values = pl.DataFrame({n: np.take_along_axis(pairs[n], first, axis=1).ravel() for n in offering.NAMES})
    contributions = trained.additive.contributions(matrix(values, offering.NAMES))
    told = reasons(PAIRS, values, contributions, in_favour=True)
    count = first.shape[1]
    return pl.DataFrame(
        {
            GOLDEN_ID: ids.gather(np.repeat(np.arange(len(ids)), count)),
            "rank": np.tile(np.arange(1, count + 1), len(ids)),
            "offer": np.asarray(known.categories, dtype=object)[first.ravel()],
            "score": np.take_along_axis(points, first, axis=1).ravel(),
            "reasons": told,
        },
        schema_overrides={"offer": pl.String},
    )


def ranked(scores: pl.DataFrame) -> pl.DataFrame:
    """`rank` per model over all customers: 1 is the highest score; ties go by golden ID."""
    keys = [pl.col("score") * -1, pl.col(GOLDEN_ID)]
    order = pl.struct(keys[0].alias("a"), keys[1].alias("b")).rank("ordinal").over("model")
    return scores.with_columns(rank=order.cast(pl.Int64))


def _shaped(frame: pl.DataFrame, table: schema.Table, trained: Trained, run_id: str) -> pl.DataFrame:
    facts = {"model": trained.model, "model_version": trained.version, "run_id": run_id or None}
    frame = frame.with_columns(pl.lit(v, pl.String).alias(k) for k, v in facts.items())
    target = pl.Schema(table.arrow)
    return frame.select(
        (pl.col(c) if c in frame.columns else pl.lit(None)).cast(t).alias(c) for c, t in target.items()
    )
