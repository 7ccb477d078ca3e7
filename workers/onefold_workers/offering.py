"""Next best offers: which categories a customer will take next, those they know and those they do not.

A ranker learns from pairs of customer and category: what the customer did with the category, how many others took
it lately, and how near it is to what the customer takes (cosine of categories over customers, as in item-based
collaborative filtering: Sarwar and others, 2001). Popularity and nearness of a cut-off come from the customers of
the training sample, at that cut-off, and are carried by the trained model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from onefold_workers import boosting, evaluation
from onefold_workers.additive import Additive, Floats
from onefold_workers.feature_view import GOLDEN_ID, Feature
from onefold_workers.model import FEWEST, FEWEST_APART, Model, NotTrainable
from onefold_workers.plan import Plan
from onefold_workers.trained import Trained

CATEGORY, LABEL = "category", "label"
VIEWS = ("purchases", "category_affinity")
"""The views that every ranker learns from."""
PEOPLE = ("purchases_28", "purchases_90", "purchases_365")
BOUGHT = ("bought_28", "bought_90", "bought_365", "bought_days", "bought_gap_days")
MOST = 300
FIRST = 10
ROUNDS = 150
PAIRS_LEARNED = 200_000
AT_ONCE = 2_000
"""Customers expanded to pairs at once: memory stays at AT_ONCE x MOST rows."""

_DUE = "last bought {bought_days:day} ago[ (usual gap: {bought_gap_days:day})]"
PAIRS = (
    Feature("bought_28", "purchases of it in 28 days", "bought it {bought_28:time} in 28 days", "habit"),
    Feature("bought_90", "purchases of it in 90 days", "bought it {bought_90:time} in 90 days", "habit"),
    Feature("bought_365", "purchases of it in 365 days", "bought it {bought_365:time} in a year", "habit"),
    Feature(
        "share_90",
        "share of purchases with it, 90 days",
        "in {share_90:%} of purchases of 90 days",
        "habit",
        "no purchase in 90 days",
    ),
    Feature(
        "share_365",
        "share of purchases with it, 365 days",
        "in {share_365:%} of purchases of a year",
        "habit",
        "no purchase in a year",
    ),
    Feature(
        "pace",
        "times it would be bought in 90 days at the year's share",
        "bought it {bought_365:time} in a year",
        "habit",
        "no purchase in a year",
    ),
    Feature("bought_days", "days since it was last bought", _DUE, "due", "never bought it before"),
    Feature("bought_gap_days", "mean days between purchases of it", _DUE, "due", "bought it once at most"),
    Feature("due", "days since it was last bought over the usual gap", _DUE, "due", "bought it once at most"),
    Feature(
        "popularity_28",
        "share of customers that took it in 28 days",
        "{popularity_28:%} of customers took it in 28 days",
        "popularity",
    ),
    Feature(
        "popularity_90",
        "share of customers that took it in 90 days",
        "{popularity_90:%} of customers took it in 90 days",
        "popularity",
    ),
    Feature(
        "nearness",
        "how often it goes with what the customer takes, 0 to 1",
        "goes with what they buy",
        "nearness",
    ),
    Feature(
        "lift",
        "nearness over the nearness of the average category",
        "goes with what they buy {lift} times as often as other categories",
        "nearness",
        "goes with nothing yet",
    ),
)
NAMES = tuple(f.name for f in PAIRS)


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of categories as of a cut-off: shares of customers, and nearness (categories x categories)."""

    categories: tuple[str, ...]
    popularity_28: Floats
    popularity_90: Floats
    near: Floats

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        arrays = {k: getattr(self, k).tolist() for k in ("popularity_28", "popularity_90", "near")}
        return {"categories": list(self.categories), **arrays}

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Context:
        """The context that `plain` wrote."""
        arrays = {k: np.asarray(plain[k], dtype=np.float64) for k in ("popularity_28", "popularity_90", "near")}
        return cls(tuple(plain["categories"]), **arrays)


def rows(people: pl.DataFrame, pairs: pl.DataFrame, labels: pl.DataFrame | None = None) -> pl.DataFrame:
    """What is known of each customer's categories: golden_id, as_of, category, `PEOPLE`, `BOUGHT`, label.

    `people`: golden_id, as_of and `PEOPLE`; `pairs`: the view `category_affinity`; `labels`: golden_id and category
    of what was taken in the horizon. A customer without any category has one row, with a null category.
    """
    frame = pairs.select(GOLDEN_ID, CATEGORY, *BOUGHT)
    if labels is None:
        frame = frame.with_columns(label=pl.lit(0.0))
    else:
        taken = labels.select(GOLDEN_ID, CATEGORY).unique().with_columns(label=pl.lit(1.0))
        frame = frame.join(taken, on=[GOLDEN_ID, CATEGORY], how="full", coalesce=True)
    zero = pl.col("bought_28", "bought_90", "bought_365", LABEL).fill_null(0.0)
    together = people.select(GOLDEN_ID, "as_of", *PEOPLE).join(frame, on=GOLDEN_ID, how="left")
    return together.with_columns(zero).sort(GOLDEN_ID, CATEGORY)


def context(frame: pl.DataFrame) -> Context:
    """What `rows` of one cut-off say of categories: the `MOST` most taken ones."""
    known = frame.filter(pl.col(CATEGORY).is_not_null() & (pl.col("bought_days").is_not_null()))
    took = [(pl.col(f"bought_{d}") > 0).sum().alias(f"p{d}") for d in (28, 90, 365)]
    counts = known.group_by(CATEGORY).agg(took).sort("p90", "p365", CATEGORY, descending=[True, True, False])
    counts = counts.head(MOST)
    active = frame.filter(pl.col("purchases_90") > 0)[GOLDEN_ID].n_unique() or 1
    categories = tuple(counts[CATEGORY])
    ids = frame[GOLDEN_ID].unique().sort()
    taste = np.log1p(_dense(known, ids, categories, "bought_365", 0.0))
    unit = taste / np.maximum(np.linalg.norm(taste, axis=0), 1e-12)
    near = np.round(unit.T @ unit, 6)
    np.fill_diagonal(near, 0.0)
    share_28, share_90 = ((counts[c].to_numpy() / active).astype(np.float64) for c in ("p28", "p90"))
    return Context(categories, share_28, share_90, near)


def _dense(frame: pl.DataFrame, ids: pl.Series, categories: tuple[str, ...], column: str, fill: float) -> Floats:
    """(customers, categories) of one column; pairs without a row get `fill`."""
    out = np.full((len(ids), len(categories)), fill)
    place = pl.DataFrame({CATEGORY: categories}, schema={CATEGORY: pl.String}).with_row_index("c")
    person = ids.to_frame(GOLDEN_ID).with_row_index("r")
    found = frame.select(GOLDEN_ID, CATEGORY, column).join(place, on=CATEGORY).join(person, on=GOLDEN_ID)
    out[found["r"].to_numpy(), found["c"].to_numpy()] = found[column].fill_null(float("nan")).to_numpy()
    return out


def expanded(frame: pl.DataFrame, known: Context) -> Iterator[tuple[pl.Series, dict[str, Floats]]]:
    """Every customer of `rows` with every category: golden IDs and (customers, categories) of `PAIRS` and label."""
    starts = frame[GOLDEN_ID].unique().sort()
    for at in range(0, len(starts), AT_ONCE):
        ids = starts.slice(at, AT_ONCE)
        part = frame.join(ids.to_frame(GOLDEN_ID), on=GOLDEN_ID, how="semi")
        yield ids, _pairs(part, ids, known)


def _pairs(frame: pl.DataFrame, ids: pl.Series, known: Context) -> dict[str, Floats]:
    people = ids.to_frame(GOLDEN_ID).join(
        frame.unique(GOLDEN_ID).select(GOLDEN_ID, *PEOPLE), on=GOLDEN_ID, how="left", maintain_order="left"
    )
    out = {c: _dense(frame, ids, known.categories, c, 0.0) for c in (*BOUGHT[:3], LABEL)}
    out |= {c: _dense(frame, ids, known.categories, c, np.nan) for c in BOUGHT[3:]}
    n90, n365 = (people[c].fill_null(0.0).to_numpy()[:, None] for c in PEOPLE[1:])
    taste = np.log1p(out["bought_365"])
    shape = taste.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        out["share_90"] = np.where(n90 > 0, out["bought_90"] / n90, np.nan)
        out["share_365"] = np.where(n365 > 0, out["bought_365"] / n365, np.nan)
        nearness = taste @ known.near / taste.sum(axis=1, keepdims=True)
        out["nearness"] = np.where(np.isfinite(nearness), nearness, np.nan)
        average = known.near.mean(axis=0) if len(known.near) else known.near.sum(axis=0)
        out["lift"] = np.where(average > 0, out["nearness"] / average, np.nan)
    out["pace"] = out["share_365"] * n90
    out["due"] = out["bought_days"] / (out["bought_gap_days"] + 1)
    out["popularity_28"] = np.broadcast_to(known.popularity_28, shape)
    out["popularity_90"] = np.broadcast_to(known.popularity_90, shape)
    return out


def stacked(pairs: dict[str, Floats]) -> Floats:
    """(customers x categories, features in the order of `NAMES`)."""
    return np.column_stack([pairs[n].ravel() for n in NAMES])


def train(model: Model, frame: pl.DataFrame, plan: Plan) -> Trained:
    """Learn from the latest training cut-off, test, and fit again on the latest whose horizon has passed.

    Raises:
        NotTrainable: too few categories, customers, or customers who took anything.
    """
    tested = _fitted(model, frame, plan.train)
    recalls = _recalls(model, frame.filter(pl.col("as_of") == plan.test), tested, plan.days)
    final = _fitted(model, frame, plan.final)
    now = frame.filter(pl.col("as_of") == plan.as_of)
    ones = np.ones(len(recalls["score"]))
    return Trained(
        model=model.name,
        kind=model.kind,
        additive=final,
        tested=tested,
        figures=evaluation.figures(
            "recall@10", ones, recalls["score"], recalls["baseline"], {n: recalls[n] for n in model.rivals}
        ),
        as_of=plan.as_of,
        test=plan.test,
        horizon=plan.horizon,
        context=context(now if now.height else frame).plain(),
    )


def _fitted(model: Model, frame: pl.DataFrame, cutoffs: tuple[datetime, ...]) -> Additive:
    values, labels = [], []
    takers: set[str] = set()
    for cutoff in cutoffs:
        rows_then = frame.filter(pl.col("as_of") == cutoff)
        known = context(rows_then)
        _check(model, rows_then, known)
        for ids, pairs in expanded(rows_then, known):
            values.append(stacked(pairs))
            labels.append(pairs[LABEL].ravel())
            takers.update(ids.filter(pairs[LABEL].sum(axis=1) > 0))
    if len(takers) < FEWEST_APART:
        raise NotTrainable(
            f"{model.name}: needs at least {FEWEST_APART} customers who took something in training, "
            f"found {len(takers)}"
        )
    x, y = np.concatenate(values), np.concatenate(labels)
    if len(y) > PAIRS_LEARNED:
        some = np.sort(np.random.default_rng(evaluation.SEED).choice(len(y), PAIRS_LEARNED, replace=False))
        x, y = x[some], y[some]
    if len(np.unique(y)) < 2:
        raise NotTrainable(f"{model.name}: nobody took any category in the horizon")
    learned = boosting.Rows(x, y, np.ones(len(y)))
    return boosting.fit(NAMES, learned, loss="log_loss", rounds=ROUNDS)


def _check(model: Model, frame: pl.DataFrame, known: Context) -> None:
    customers = frame[GOLDEN_ID].n_unique()
    if customers < FEWEST:
        raise NotTrainable(f"{model.name}: needs at least {FEWEST} customers, found {customers}")
    if len(known.categories) < FIRST + 2:
        raise NotTrainable(
            f"{model.name}: needs items of at least {FIRST + 2} categories, found {len(known.categories)}"
        )


def recalls(model: Model, frame: pl.DataFrame, learned: Additive, days: float) -> dict[str, Floats]:
    """Recall among the first ten of the model, its baseline and its rivals, of each customer who took anything.

    hits / min(10, categories taken); categories that nobody in the sample took before count as missed.
    """
    known = context(frame)
    taken = frame.group_by(GOLDEN_ID).agg(taken=pl.col(LABEL).sum())
    rules = {"baseline": model.baseline(days), **{n: r(days) for n, r in model.rivals.items()}}
    out: dict[str, list[Floats]] = {"score": [], **{n: [] for n in rules}}
    for ids, pairs in expanded(frame, known):
        total = ids.to_frame(GOLDEN_ID).join(taken, on=GOLDEN_ID, maintain_order="left")["taken"].to_numpy()
        shape = pairs[LABEL].shape
        table = pl.DataFrame({n: pairs[n].ravel() for n in NAMES})
        scores = {n: table.select(rule.fill_nan(0.0)).to_series().to_numpy() for n, rule in rules.items()}
        scores["score"] = learned.raw(stacked(pairs))
        for name, score in scores.items():
            first = np.argsort(-score.reshape(shape), axis=1, kind="stable")[:, :FIRST]
            hits = np.take_along_axis(pairs[LABEL], first, axis=1).sum(axis=1)
            out[name].append((hits / np.minimum(FIRST, np.maximum(total, 1)))[total > 0])
    return {n: np.concatenate(r) for n, r in out.items()}


def _recalls(model: Model, frame: pl.DataFrame, learned: Additive, days: float) -> dict[str, Floats]:
    found = recalls(model, frame, learned, days)
    if len(found["score"]) < FEWEST:
        raise NotTrainable(
            f"{model.name}: needs at least {FEWEST} customers who took something in the hold-out, "
            f"found {len(found['score'])}"
        )
    return found
