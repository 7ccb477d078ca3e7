"""Money of several currencies: sums are in one, what is left out is told, and all partitions agree."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from onefold_storage.installation import Installation
from onefold_storage.schema import CUSTOMERS, INTERACTIONS, LINKS
from onefold_storage.settings import StorageSettings
from onefold_storage.status import TRAINING
from onefold_workers import features, models
from onefold_workers.cluster import cluster
from onefold_workers.features import features_at
from onefold_workers.money import Reckoning
from onefold_workers.point_in_time import History
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.histories import history_of
from onefold_workers.stages.reckoning import money_of
from onefold_workers.stages.training import partitions_of, train_models

made = runpy.run_path(str(Path(__file__).with_name("decided_lake.py")))
NOW: datetime = made["NOW"]
EUR = Reckoning("EUR")


def history(*rows: tuple[float | None, str | None], reckoning: Reckoning = EUR) -> History:
    """One customer's purchases of (amount, currency), a day apart, the last one yesterday."""
    frame = pl.DataFrame(
        [
            {
                "golden_id": "g",
                "record_key": f"r:{n}",
                "kind": "purchase",
                "effective_at": NOW - timedelta(days=len(rows) - n),
                "amount": amount,
                "currency": currency,
                "item_key": "i:1",
                "deleted": False,
            }
            for n, (amount, currency) in enumerate(rows)
        ],
        schema_overrides={"amount": pl.Float64, "currency": pl.String, "effective_at": pl.Datetime("us", "UTC")},
    )
    return History.of(frame, reckoning=reckoning)


def known(past: History) -> dict[str, Any]:
    views = features.discover()
    row = features_at([views[n] for n in ("baskets", "purchases", "recency")], past, NOW).to_dicts()
    assert len(row) == 1
    return row[0]


def test_euros_and_yen_are_not_added_up_and_a_purchase_is_one_all_the_same() -> None:
    found = known(history((10.0, "EUR"), (5000.0, "JPY"), (20.0, "EUR")))
    assert (found["spend_365"], found["basket_mean"], found["basket_largest"]) == (30.0, 15.0, 20.0)
    assert found["purchases_365"] == 3 and found["recency_days"] == 1.0
    future = history((10.0, "EUR"), (5000.0, "JPY")).between(NOW - timedelta(days=30), NOW)
    labels = models.discover()["customer_value"].labels(future).collect()
    assert labels["label"].to_list() == [10.0]


def test_a_row_without_a_currency_is_in_the_one_of_reckoning() -> None:
    assert known(history((10.0, None), (5.0, "EUR")))["spend_365"] == 15.0
    plain = known(history((10.0, None), (5.0, None), (None, None), reckoning=Reckoning()))
    assert known(history((10.0, None), (5.0, None), (None, None))) == plain


def test_a_return_in_another_currency_is_no_purchase() -> None:
    past = history((10.0, "EUR"), (-500.0, "JPY"))
    found = known(past)
    assert found["purchases_365"] == 1 and found["returns_share"] == 0.5 and found["spend_365"] == 10.0
    assert past.before(NOW).lines.collect().height == 1


def test_a_declared_rate_converts() -> None:
    rates = Reckoning("EUR", (("JPY", 0.006), ("USD", 0.5)))
    found = known(history((10.0, "EUR"), (5000.0, "JPY"), (4.0, "USD"), (7.0, "CHF"), reckoning=rates))
    assert found["spend_365"] == pytest.approx(42.0)
    assert rates.left_out({"EUR": 1, "JPY": 2, "CHF": 3}) == {"CHF": 3}


def test_what_a_view_may_read_is_in_the_one_currency() -> None:
    tables = history((10.0, "EUR"), (5000.0, "JPY")).before(NOW)
    assert tables.interactions.collect().sort("effective_at")["amount"].to_list() == [10.0, None]
    for frame in (tables.interactions, tables.lines, tables.baskets, tables.cases):
        assert not [c for c in frame.collect_schema().names() if c.startswith("_")]


def test_the_most_rows_decide_and_what_is_declared_decides_more() -> None:
    assert Reckoning.of(None, {}, {"USD": 3, "EUR": 3, "JPY": 1}).currency == "EUR"
    assert Reckoning.of("JPY", {}, {"USD": 3}).currency == "JPY"
    assert Reckoning.of(None, {}, {}).currency is None


@pytest.fixture(scope="module")
def _workers() -> Iterator[None]:
    with cluster():
        yield


@pytest.fixture
def shop(tmp_path: Path) -> Installation:
    """Twelve customers; the first has paid in yen ten times, the others in euros, each once."""
    home = Installation(StorageSettings(home=tmp_path, now=NOW))
    home.settings.workspace_folder.mkdir(parents=True)
    _declare(home, "")
    people = pl.DataFrame({"golden_id": [f"g{n}" for n in range(12)]})
    made["add"](
        home,
        CUSTOMERS,
        made["shaped"](CUSTOMERS, people.with_columns(first_seen=pl.lit(NOW), last_seen=pl.lit(NOW), records=1)),
    )
    links = people.with_columns(record_key="crm:" + pl.col("golden_id"), valid_from=pl.lit(NOW))
    made["add"](home, LINKS, made["shaped"](LINKS, links))
    keys = ["crm:g0"] * 10 + [f"crm:g{n}" for n in range(1, 12)]
    bought = pl.DataFrame({"contact_key": keys}).with_columns(
        source=pl.lit("till"),
        record_key="till:" + pl.int_range(pl.len()).cast(pl.String),
        kind=pl.lit("purchase"),
        effective_at=pl.lit(datetime(2017, 12, 1, tzinfo=UTC)),
        amount=pl.lit(5),
        currency=pl.when(pl.col("contact_key") == "crm:g0").then(pl.lit("JPY")).otherwise(pl.lit("EUR")),
    )
    made["add"](home, INTERACTIONS, made["shaped"](INTERACTIONS, bought))
    return home


def _declare(home: Installation, more: str) -> None:
    (home.settings.workspace_folder / "onefold.yaml").write_text("name: test\n" + more)


@pytest.mark.needs_dask
@pytest.mark.usefixtures("_workers")
@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_all_partitions_agree_also_the_one_with_yen_alone(shop: Installation, partitions: int) -> None:
    gathered = gather(shop, at_least=partitions)
    money = money_of(shop, gathered)
    assert (money.reckoning.currency, money.found) == ("EUR", {"EUR": 11, "JPY": 10})
    assert money_of(shop, gathered) == money
    purchases = features.discover()["purchases"]
    names = partitions_of(shop, gathered, money.reckoning)
    assert len(names) == partitions
    spent = pl.concat(features_at([purchases], history_of(n), NOW) for n in names).sort("golden_id")
    assert dict(spent.select("golden_id", "spend_365").iter_rows()) == {"g0": 0.0} | {
        f"g{n}": 5.0 for n in range(1, 12)
    }


@pytest.mark.needs_dask
@pytest.mark.usefixtures("_workers")
def test_training_remarks_on_what_counts_for_no_sum(shop: Installation) -> None:
    gathered = gather(shop)
    report = train_models(shop, gathered)
    told = "money is reckoned in EUR: of interactions with an amount, 10 in JPY count for no sum; `exchange_rates`"
    assert [r[: len(told)] for r in report.remarks] == [told]
    assert train_models(shop, gathered).remarks == report.remarks
    assert orjson.loads(shop.lake.objects.get(TRAINING) or b"")["remarks"] == report.remarks
    _declare(shop, "currency: JPY\n")
    other = Installation(shop.settings)
    assert "11 in EUR count for no sum" in train_models(other, gathered).remarks[0]
    _declare(shop, "currency: EUR\nexchange_rates: {JPY: 0.006}\n")
    other = Installation(shop.settings)
    assert money_of(other, gathered).reckoning == Reckoning("EUR", (("JPY", 0.006),))
    assert train_models(other, gathered).remarks == []
