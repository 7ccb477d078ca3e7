"""Training: models beat their baselines where there is something to learn, and say why where they cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from onefold_storage.errors import BadContract
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers import boosting, models, training
from onefold_workers.evaluation import measure
from onefold_workers.model import NotTrainable
from onefold_workers.model_registry import ModelRegistry
from onefold_workers.plan import plan, spans
from onefold_workers.point_in_time import History
from onefold_workers.stages import training as stage
from onefold_workers.trained import Trained
from onefold_workers.training import fingerprint, merged, no_worse, predicted, train, training_frames

BUILT_IN = ("campaign_response", "churn", "customer_value", "next_best_offer")


def _everything(history: History, now: datetime, views, declared) -> tuple[dict[str, Trained], dict[str, str]]:
    """As the flows do it: what is trained, and why the rest is not."""
    trained: dict[str, Trained] = {}
    why: dict[str, str] = {}
    plans = {}
    for name, model in declared.items():
        try:
            plans[name] = plan(model, [spans(history, now)], now)
        except NotTrainable as reason:
            why[name] = str(reason)
    frames = training_frames(declared, views, history, plans)
    for name, when in plans.items():
        try:
            trained[name] = train(declared[name], views, frames[name], when)
        except NotTrainable as reason:
            why[name] = str(reason)
    return trained, why


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rounds of boosting, where what is asked is whether it works and not how well."""
    monkeypatch.setattr(boosting, "ROUNDS", 30)


def test_each_file_exports_exactly_one_model(workspace) -> None:
    files = [p.stem for p in Path(str(models.__file__)).parent.glob("*.py") if p.name != "__init__.py"]
    assert sorted(models.discover()) == sorted(files) == list(BUILT_IN)
    assert set(models.discover(workspace / "models")) == {*BUILT_IN, "big_basket"}


def test_models_beat_their_baselines(trained) -> None:
    assert set(trained) == {*BUILT_IN, "big_basket"}
    for name in ("churn", "customer_value", "next_best_offer"):
        figures = trained[name].figures
        assert figures.beats_baseline, figures
    for name, model in trained.items():
        status = model.status()
        assert status["name"] == name
        assert {"version", "metric", "value", "baseline", "interval", "beats_baseline"} <= set(status)
        assert status["interval"][0] <= status["value"] <= status["interval"][1]


def test_the_hold_out_was_never_learned_from(declared, views, frames, plans, trained) -> None:
    """Labels of the hold-out turned round change what is measured, and not what was learned before it."""
    held = pl.col("as_of") == plans["churn"].test
    turned = frames["churn"].with_columns(label=pl.when(held).then(1 - pl.col("label")).otherwise("label"))
    again = train(declared["churn"], views, turned, plans["churn"])
    assert again.tested.plain() == trained["churn"].tested.plain()
    assert again.additive.plain() != trained["churn"].additive.plain()
    assert again.figures.value == pytest.approx(1 - trained["churn"].figures.value)


def test_labels_by_hand(declared, frames, plans, shop) -> None:
    when, frame = plans["churn"], frames["churn"]
    rows = shop.interactions.filter(pl.col("kind") == "purchase")
    end = when.test + when.horizon
    bought = rows.filter((pl.col("effective_at") >= when.test) & (pl.col("effective_at") < end))
    stayed = set(bought["golden_id"])
    for row in frame.filter(pl.col("as_of") == when.test).iter_rows(named=True):
        assert row["label"] == (row["golden_id"] not in stayed)
    value, spent = frames["customer_value"], plans["customer_value"]
    inside = (pl.col("effective_at") >= spent.test) & (pl.col("effective_at") < spent.test + spent.horizon)
    total = float(rows.filter(inside)["amount"].sum())
    assert value.filter(pl.col("as_of") == spent.test)["label"].sum() == pytest.approx(total)


def test_partitions_and_their_order_change_nothing(declared, views, shop, frames, plans) -> None:
    low = pl.col("golden_id") < "g0080"
    parts = []
    for mine in (~low, low):
        rows = shop.interactions.filter(mine).sample(fraction=1.0, shuffle=True, seed=2)
        history = History.of(rows, shop.items, shop.customers.filter(mine), shop.cases.filter(mine))
        parts.append(training_frames(declared, views, history, plans))
    together = merged(parts)
    for name, frame in together.items():
        model = declared[name]
        digests = {fingerprint(model, views, f, plans[name]) for f in (frame, frames[name])}
        assert len(digests) == 1, name
    again = train(declared["churn"], views, together["churn"], plans["churn"])
    assert (
        again.additive.plain() == train(declared["churn"], views, frames["churn"], plans["churn"]).additive.plain()
    )


def test_a_sample_is_of_customers_and_nested(declared, views, history, plans, frames) -> None:
    shares = {"churn": 0.5, "customer_value": 0.2}
    fewer = {n: replace(plans[n], share=s) for n, s in shares.items()}
    found = training_frames(declared, views, history, fewer)
    some, few = (set(found[n]["golden_id"]) for n in shares)
    assert few < some
    assert 0.3 < len(some) / frames["churn"]["golden_id"].n_unique() < 0.7
    keys = ["golden_id", "as_of"]
    for name, frame in found.items():
        whole = frames[name].join(frame.select("golden_id").unique(), on="golden_id", how="semi")
        assert frame.sort(keys).equals(whole.sort(keys))


def test_a_fingerprint_changes_with_what_decides(declared, views, frames, plans) -> None:
    def of(model=declared["churn"], known=views, frame=frames["churn"], when=plans["churn"]) -> str:
        return fingerprint(model, known, frame, when)

    other_view = {**views, "recency": replace(views["recency"], version=2)}
    later = replace(plans["churn"], as_of=plans["churn"].as_of + timedelta(days=1))
    changed = frames["churn"].with_columns(recency_days=pl.col("recency_days") + (pl.int_range(pl.len()) == 5))
    others = [
        of(model=replace(declared["churn"], digest="edited")),
        of(known=other_view),
        of(frame=changed),
        of(when=later),
    ]
    assert len({of(), *others}) == 5
    assert of() == of()


def test_a_champion_stays_until_one_does_no_worse(declared, views, frames, plans, trained) -> None:
    model, frame, when, good = declared["churn"], frames["churn"], plans["churn"], trained["churn"]
    flat = replace(good.tested, effects=tuple(np.zeros_like(e) for e in good.tested.effects))
    figures = replace(good.figures, value=0.5)
    poor = replace(good, tested=flat, figures=figures)
    assert no_worse(model, good, None, frame, when)
    assert no_worse(model, good, good, frame, when)
    assert no_worse(model, good, poor, frame, when)
    assert not no_worse(model, poor, good, frame, when)
    assert no_worse(model, poor, replace(good, horizon=timedelta(days=5)), frame, when)
    ranker = trained["next_best_offer"]
    frame, when = frames["next_best_offer"], plans["next_best_offer"]
    assert no_worse(declared["next_best_offer"], ranker, ranker, frame, when)


def test_the_figures_are_of_the_fit_that_never_saw_the_hold_out(declared, frames, plans, trained) -> None:
    held = frames["customer_value"].filter(pl.col("as_of") == plans["customer_value"].test).sort("golden_id")
    score = predicted(declared["customer_value"], trained["customer_value"].tested, held)
    value = measure("mae", held["label"].to_numpy(), score)(np.ones(len(score)))
    assert value == pytest.approx(trained["customer_value"].figures.value)


@pytest.mark.parametrize(
    ("lacking", "trained_ones"),
    [
        ("campaigns", {"churn", "customer_value", "next_best_offer", "big_basket"}),
        ("items", {*BUILT_IN, "big_basket"}),
        ("item keys", {"campaign_response", "churn", "customer_value", "big_basket"}),
        ("all but purchases", {"churn", "customer_value", "big_basket"}),
        ("amounts", {"campaign_response", "churn", "next_best_offer"}),
    ],
)
def test_what_is_missing_leaves_the_rest(lacking, trained_ones, quick, shops, views, declared, now) -> None:
    shop = shops(customers=110, seed=8)
    rows = shop.interactions
    if lacking in ("campaigns", "all but purchases"):
        rows = rows.filter(pl.col("kind") == "purchase")
    if lacking == "item keys":
        rows = rows.with_columns(item_key=pl.lit(None, pl.String))
    if lacking == "amounts":
        rows = rows.with_columns(amount=pl.lit(None, pl.Decimal(18, 4)))
    if lacking == "all but purchases":
        rows = rows.select("golden_id", "kind", "effective_at", "amount")
    items = shop.items.clear() if lacking in ("items", "all but purchases") else shop.items
    history = History.of(rows, items, None if lacking == "all but purchases" else shop.customers)
    trained, why = _everything(history, now, views, declared)
    assert set(trained) == trained_ones, why
    assert all(reason.startswith(name) for name, reason in why.items())


@pytest.mark.parametrize(("customers", "days"), [(4, 365), (110, 80), (110, 15), (25, 120)])
def test_little_data_never_break_it(customers, days, quick, shops, views, declared, now) -> None:
    shop = shops(customers=customers, days=days, seed=5)
    trained, why = _everything(shop.history(), now, views, declared)
    assert {*trained, *why} == set(declared)
    if customers == 110 and days == 80:
        assert trained["churn"].horizon == timedelta(days=26)
    if customers == 4 or days == 15:
        assert not trained
        assert "needs at least" in why["churn"]


def test_one_class_says_so(quick, shops, views, declared, now) -> None:
    shop = shops(customers=60, seed=6)
    weekly = [
        {"golden_id": f"g{c}", "kind": "purchase", "effective_at": now - timedelta(days=7.0 * w + 1), "amount": 5.0}
        for c in range(60)
        for w in range(50)
    ]
    history = History.of(
        pl.DataFrame(weekly).with_columns(pl.col("effective_at").dt.cast_time_unit("us")), shop.items
    )
    _, why = _everything(history, now, views, declared)
    assert why["churn"] == "churn: needs at least 5 customers with the label in the hold-out, found 0"
    reason = "customer_value: needs at least 5 customers with a label other than 65 in the hold-out, found 0"
    assert why["customer_value"] == reason


def _strayed(shop, strays: int, when: datetime) -> History:
    """As the shop's history, and as many of its customers buy once more at `when`."""
    rows = shop.interactions
    some = rows.filter(pl.col("kind") == "purchase").unique("golden_id", maintain_order=True).head(strays)
    some = some.with_columns(effective_at=pl.lit(when).cast(rows.schema["effective_at"]))
    return shop.history(interactions=pl.concat([rows, some]))


def test_stray_purchases_leave_scores_as_they_were(quick, shops, views, declared, now) -> None:
    """All purchases ended long ago; a few came in since."""
    shop, later = shops(customers=60, seed=6), now + timedelta(days=460)
    usual, _ = _everything(shop.history(), later, views, declared)
    found, _ = _everything(_strayed(shop, 4, later - timedelta(days=1)), later, views, declared)
    assert {"churn", "customer_value", "next_best_offer"} <= set(usual) == set(found)
    for name in usual:
        assert found[name].to_json() == usual[name].to_json()


def test_a_few_purchases_since_train_nothing(quick, shops, views, declared, now) -> None:
    """Enough on one day to be the business going on, and too few to learn from."""
    later = now + timedelta(days=460)
    history = _strayed(shops(customers=60, seed=6), 5, later - timedelta(days=1))
    trained, why = _everything(history, later, views, declared)
    assert not set(trained) & {"churn", "customer_value", "next_best_offer"}
    few = "customer_value: needs at least 5 customers with a label other than 0 in training, found 0"
    assert why["customer_value"] == few
    assert why["churn"] == "churn: needs at least 5 customers without the label in training, found 0"


def test_in_training_customers_are_counted_and_not_their_rows(declared, views, frames, plans) -> None:
    frame, when = frames["customer_value"], plans["customer_value"]
    few = frame["golden_id"].unique().sort().head(4)
    spared = pl.col("golden_id").is_in(few.implode()) | (pl.col("as_of") == when.test)
    flat = frame.with_columns(label=pl.when(spared).then(pl.col("label") + 1).otherwise(0.0))
    with pytest.raises(NotTrainable, match=r"5 customers with a label other than 0 in training, found 4"):
        train(declared["customer_value"], views, flat, when)


def test_offers_need_a_few_who_took_something(declared, views, frames, plans) -> None:
    frame, when = frames["next_best_offer"], plans["next_best_offer"]
    took = frame.filter(pl.col("as_of").is_in(when.train), pl.col("label") > 0)["golden_id"].unique().sort()
    spared = pl.col("golden_id").is_in(took.head(4).implode()) | (pl.col("as_of") == when.test)
    flat = frame.with_columns(label=pl.when(spared).then("label").otherwise(0.0))
    with pytest.raises(NotTrainable, match=r"at least 5 customers who took something in training, found 4"):
        train(declared["next_best_offer"], views, flat, when)


def test_a_champion_stays_where_its_labels_became_all_the_same(
    tmp_path, declared, views, frames, plans, trained
) -> None:
    name = "customer_value"
    settings = StorageSettings(home=tmp_path)
    registry = ModelRegistry(stage.registry_url(settings))
    registry.register(trained[name], champion=True)
    held = pl.col("as_of") == plans[name].test
    sink = BytesIO()
    frames[name].with_columns(label=pl.when(held).then(0.0).otherwise("label")).write_parquet(sink)
    Installation(settings).lake.objects.put(f"{stage.AREA}/{name}/0.parquet", sink.getvalue())
    known = stage.Declared(declared, views)
    fitted = stage._fit((name, plans[name]), settings=settings, known=known, retrain=False)
    assert not fitted.new
    assert fitted.why.endswith("with a label other than 0 in the hold-out, found 0; version 1 stands")
    assert fitted.figures == registry.champion(name).status()
    assert fitted.figures["version"] == "1"


def test_a_model_that_names_no_view_says_so(declared, views) -> None:
    with pytest.raises(BadContract, match=r"model churn: no feature view of customers gone; there are baskets"):
        training.views_of(replace(declared["churn"], views=("gone",)), views)


def test_views_of_the_workspace_are_learned_from(trained) -> None:
    assert "morning_share" in trained["churn"].additive.names
    assert "morning_share" not in trained["big_basket"].additive.names
