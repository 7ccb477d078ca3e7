"""Plans: the hold-out lies after everything learned from, whatever span the data have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold_workers import models
from onefold_workers.model import NotTrainable
from onefold_workers.plan import SHORTEST, plan, spans

NOW = datetime(2018, 1, 1, tzinfo=UTC)
MODELS = models.discover()


def _span(
    days: float, before: float = 0, kinds: tuple[str, ...] = ("purchase",), customers: int = 100
) -> pl.DataFrame:
    last = NOW - timedelta(days=before)
    rows = [(k, last - timedelta(days=days), last, 10, customers) for k in kinds]
    time = pl.Datetime("us", "UTC")
    schema = {"kind": pl.String, "first": time, "last": time, "rows": pl.Int64, "customers": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


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


def test_spans_of_real_rows(history, now) -> None:
    found = spans(history, now)
    purchase = found.filter(pl.col("kind") == "purchase").row(0, named=True)
    rows = history.interactions.filter(pl.col("kind") == "purchase")
    assert purchase["rows"] == rows.height
    assert purchase["last"] == rows["effective_at"].max()
    assert purchase["customers"] == rows["golden_id"].n_unique()
