"""Plans: the hold-out lies after everything learned from, whatever span the data have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold_workers import models
from onefold_workers.coverage import covered
from onefold_workers.model import NotTrainable
from onefold_workers.plan import SHORTEST, plan, spans

NOW = datetime(2018, 1, 1, tzinfo=UTC)
MODELS = models.discover()
_TIME = pl.Datetime("us", "UTC")
SCHEMA = {"kind": pl.String, "day": pl.Date, "first": _TIME, "last": _TIME, "customers": pl.Int64, "base": pl.Int64}


def _span(
    days: float, before: float = 0, kinds: tuple[str, ...] = ("purchase",), customers: int = 100
) -> pl.DataFrame:
    """A week apart, 20 customers bought."""
    last = NOW - timedelta(days=before)
    moments = [last - timedelta(days=min(d, days)) for d in [*range(0, int(days) + 1, 7), days]]
    return pl.DataFrame(
        [
            {"kind": k, "day": m.date(), "first": m, "last": m, "customers": 20, "base": customers}
            for k in kinds
            for m in moments
        ],
        schema=SCHEMA,
    )


def _row(moment: datetime, customers: int = 1) -> pl.DataFrame:
    row = {
        "kind": "purchase",
        "day": moment.date(),
        "first": moment,
        "last": moment,
        "customers": customers,
        "base": 1,
    }
    return pl.DataFrame([row], schema=SCHEMA)


@given(days=st.floats(21, 3000), before=st.floats(0, 900), name=st.sampled_from(["churn", "customer_value"]))
def test_nothing_learned_from_lies_in_the_hold_out(days: float, before: float, name: str) -> None:
    model = MODELS[name]
    found = plan(model, [_span(days, before)], NOW)
    assert SHORTEST <= found.horizon <= model.horizon
    assert found.test + found.horizon == found.as_of <= NOW
    assert found.train
    assert all(c + found.horizon <= found.test for c in found.train)
    assert all(c + found.horizon <= found.as_of for c in found.final)
    assert max(found.final) == found.test
    first = NOW - timedelta(days=before + days + 1)
    assert min(found.train) >= first, "there is history before each cut-off"
    assert len(found.train) <= model.cutoffs


def test_the_retailers_year() -> None:
    found = plan(MODELS["customer_value"], [_span(364.5)], NOW)
    assert found.as_of == NOW
    assert found.test == datetime(2017, 10, 3, tzinfo=UTC)
    assert found.train[0] == datetime(2017, 7, 5, tzinfo=UTC)
    assert found.days == 90
    assert found.share == 1


def test_old_data_are_worked_on_as_they_were_then() -> None:
    """Though the clock has gone on for years."""
    found = plan(MODELS["churn"], [_span(400, before=3000)], NOW)
    assert timedelta(0) <= found.as_of - (NOW - timedelta(days=3000)) <= timedelta(days=1)


def test_a_quiet_weekend_is_no_end() -> None:
    assert plan(MODELS["churn"], [_span(400, before=2)], NOW).as_of == NOW


def test_partitions_are_taken_together() -> None:
    halves = [_span(40, before=100), _span(100, before=1)]
    found = plan(MODELS["churn"], halves, NOW)
    assert found.as_of == NOW
    assert found.horizon == timedelta(days=28)


def test_a_large_base_is_sampled() -> None:
    found = plan(MODELS["churn"], [_span(400, customers=50_000)] * 4, NOW)
    assert found.share == pytest.approx(MODELS["churn"].sample / 200_000)


def test_too_little_says_what_is_missing() -> None:
    with pytest.raises(NotTrainable, match="churn: needs at least 21 days of purchase, found 11"):
        plan(MODELS["churn"], [_span(10)], NOW)
    with pytest.raises(
        NotTrainable, match="campaign_response: needs interactions of kind campaign_sent, coupon_red"
    ):
        plan(MODELS["campaign_response"], [_span(400)], NOW)
    with pytest.raises(NotTrainable, match="found none"):
        plan(MODELS["churn"], [_span(400).clear()], NOW)


def test_a_short_span_shortens_the_horizon() -> None:
    assert plan(MODELS["customer_value"], [_span(89)], NOW).horizon == timedelta(days=30)
    assert plan(replace(MODELS["churn"], horizon=timedelta(days=300)), [_span(89)], NOW).days == 30


@pytest.mark.parametrize("customers", [1, 4, 5])
def test_a_few_stray_purchases_move_no_cut_off(customers: int) -> None:
    """Of a year that ended long ago: a till that ran ahead, and an order of 1900."""
    year = [_span(120, before=580), _span(364, before=580)]
    usual = plan(MODELS["churn"], year, NOW)
    strays = [_row(NOW - timedelta(days=40), customers), _row(datetime(1900, 1, 1, tzinfo=UTC), customers)]
    found = plan(MODELS["churn"], [*year, *strays], NOW)
    if customers < 5:
        assert replace(found, remark="") == usual
        said = (
            f"purchase on days apart from 2015-06-02 to 2016-05-31 ({2 * customers} by customer and day) is stray"
        )
        assert said in found.remark
    else:
        assert found.as_of > usual.as_of, "as many on a day as on others are the business going on"
    assert not usual.remark


def test_a_trickle_after_the_end_is_stray_and_a_season_is_not() -> None:
    year = _span(364, before=580)
    trickle = [_row(NOW - timedelta(days=d)) for d in (80, 60, 40, 20, 1)]
    assert plan(MODELS["churn"], [year, *trickle], NOW).as_of == plan(MODELS["churn"], [year], NOW).as_of
    season = [_row(NOW - timedelta(days=d), 20) for d in (80, 60, 40, 20, 1)]
    assert plan(MODELS["churn"], [year, *season], NOW).as_of == NOW


def test_where_little_is_known_all_counts() -> None:
    weeks = [_row(NOW - timedelta(days=d)) for d in (1, 50, 100, 101, 120, 200)]
    found = plan(MODELS["churn"], weeks, NOW)
    assert found.as_of == NOW
    assert not found.remark


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 500)), min_size=1, max_size=60))
def test_what_is_covered_holds_nearly_everything(rows: list[tuple[int, int]]) -> None:
    days = pl.concat(_row(NOW - timedelta(days=d), n) for d, n in rows)
    found = covered(days)
    inside = days.filter(pl.col("first").is_between(found.first, found.last))
    total = days["customers"].sum()
    assert total - inside["customers"].sum() == found.apart <= 0.01 * total


def test_spans_of_real_rows(history, now) -> None:
    found = spans(history, now)
    purchase = found.filter(pl.col("kind") == "purchase")
    rows = history.interactions.filter(pl.col("kind") == "purchase")
    assert purchase["first"].min() == rows["effective_at"].min()
    assert purchase["last"].max() == rows["effective_at"].max()
    assert purchase["base"].unique().to_list() == [rows["golden_id"].n_unique()]
    by_day = rows.group_by(pl.col("effective_at").dt.date().alias("day")).agg(pl.col("golden_id").n_unique())
    assert dict(purchase.select("day", "customers").iter_rows()) == dict(by_day.iter_rows())
