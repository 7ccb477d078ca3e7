"""No feature can see past its cut-off, whatever happens after it; labels see the horizon alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from onefold_workers.feature_view import FeatureView
from onefold_workers.features import features_at, rounded, rows_at
from onefold_workers.point_in_time import History

CUTOFF = datetime(2023, 9, 1, 6, tzinfo=UTC)
WITH_CATEGORY = "category_affinity"


def _computed(views: dict[str, FeatureView], history: History, cutoff: datetime) -> list[pl.DataFrame]:
    """What every view says: those keyed by customer together, the others each by itself."""
    plain = [v for v in views.values() if v.keys == ("golden_id",)]
    others = [v for v in views.values() if v not in plain]
    return [features_at(plain, history, cutoff), *(rows_at(v, history, cutoff) for v in others)]


@st.composite
def _future(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows that take effect at or after the cut-off; some are new versions, or the end, of what is there."""
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        old = draw(st.booleans())
        kinds = ("purchase", "campaign_sent", "coupon_redeemed", "page_view")
        rows.append(
            {
                "golden_id": f"g{draw(st.integers(0, 60)):04}",
                "record_key": f"pos:{draw(st.integers(0, 400))}" if old else f"new:{len(rows)}",
                "effective_at": CUTOFF + timedelta(seconds=draw(st.integers(0, 40_000_000))),
                "deleted": old and draw(st.booleans()),
                "kind": draw(st.sampled_from(kinds)),
                "channel": draw(st.sampled_from(["web", "store", None])),
                "item_key": f"items:{draw(st.integers(0, 40))}",
                "quantity": draw(st.sampled_from([None, 1.0, 3.0])),
                "amount": draw(st.sampled_from([None, "12.50", "-3.00", "99999.99"])),
                "related_key": f"b{draw(st.integers(0, 60))}-{draw(st.integers(0, 5))}",
            }
        )
    return rows


@settings(max_examples=20)
@given(rows=_future())
def test_what_happens_after_the_cutoff_changes_no_feature(rows: list[dict[str, Any]], shop, known, views) -> None:
    later = pl.DataFrame(
        rows, schema_overrides={"quantity": pl.Float64, "amount": pl.String}, infer_schema_length=None
    )
    later = later.with_columns(
        pl.col("amount").cast(pl.Decimal(18, 4)),
        pl.col("effective_at").cast(shop.interactions.schema["effective_at"]),
        pl.lit(None, pl.String).alias("source"),
        pl.lit(None, pl.String).alias("package_id"),
        pl.lit(None, pl.Int64).alias("row_id"),
    )
    people = pl.DataFrame({"golden_id": ["g9999"], "first_seen": [CUTOFF]}).cast(
        {"first_seen": pl.Datetime("us", "UTC")}
    )
    case = later.select("golden_id", "effective_at", "deleted", record_key=pl.lit("t:1"), state=pl.lit("won"))
    renamed = shop.items.with_columns(
        effective_at=pl.lit(CUTOFF).cast(pl.Datetime("us", "UTC")), category=pl.lit("x")
    )
    items = pl.concat([shop.items.with_columns(pl.col("effective_at") - timedelta(days=300)), renamed])
    after = shop.history(
        interactions=pl.concat([shop.interactions, later.select(shop.interactions.columns)]),
        customers=pl.concat([shop.customers.select("golden_id", "first_seen"), people]),
        cases=pl.concat([shop.cases, case], how="diagonal"),
        items=items,
    )
    for then, now in zip(known, _computed(views, after, CUTOFF), strict=True):
        assert_frame_equal(now, then)


@pytest.fixture(scope="module")
def known(shop, views) -> list[pl.DataFrame]:
    """Every view's features before anything is added: the workspace's are among them."""
    assert {"baskets", "campaigns", WITH_CATEGORY, "engagement", "mornings", "purchases", "recency"} == set(views)
    return _computed(views, shop.history(), CUTOFF)


def test_the_test_above_can_fail(shop) -> None:
    """A view that filters nothing, given all rows by mistake, would be seen."""
    everything = shop.history().before(CUTOFF + timedelta(days=200)).baskets.collect().height
    assert everything > shop.history().before(CUTOFF).baskets.collect().height


def _history(rows: list[dict[str, Any]], **more: Any) -> History:
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.col("effective_at").dt.cast_time_unit("us")
    )
    return History.of(frame, **more)


def _purchase(at: datetime, amount: float, **more: Any) -> dict[str, Any]:
    row = {"golden_id": "g", "kind": "purchase", "effective_at": at, "amount": amount, "deleted": False}
    return {**row, "record_key": f"r:{at.isoformat()}:{amount}", "related_key": None, "item_key": "i:1", **more}


def test_the_cutoff_itself_is_the_future() -> None:
    history = _history([_purchase(CUTOFF - timedelta(microseconds=1), 1.0), _purchase(CUTOFF, 2.0)])
    assert history.before(CUTOFF).baskets.collect()["amount"].to_list() == [1.0]
    future = history.between(CUTOFF, CUTOFF + timedelta(days=1)).baskets.collect()
    assert future["amount"].to_list() == [2.0]


def test_a_horizon_ends_before_its_end() -> None:
    day = timedelta(days=1)
    history = _history([_purchase(CUTOFF + k * day, float(k)) for k in (0, 1, 2)])
    assert history.between(CUTOFF, CUTOFF + 2 * day).baskets.collect()["amount"].sum() == 1.0


def test_a_basket_is_cut_where_its_lines_fall_on_both_sides() -> None:
    second = timedelta(seconds=1)
    rows = [_purchase(CUTOFF + k * second, 5.0, related_key="b") for k in (-2, -1, 1)]
    basket = _history(rows).before(CUTOFF).baskets.collect().row(0, named=True)
    assert (basket["amount"], basket["lines"]) == (10.0, 2)


def test_a_record_is_as_it_was_told_then() -> None:
    day = timedelta(days=1)
    told = [(-9, 10.0, False), (-5, 30.0, False), (2, 0.0, True)]
    rows = [_purchase(CUTOFF + d * day, a, record_key="r", deleted=gone) for d, a, gone in told]
    history = _history(rows)
    for days, amounts in ((-6, [10.0]), (0, [30.0]), (1, [30.0]), (3, [])):
        found = history.before(CUTOFF + days * day).interactions.collect()
        assert found["amount"].to_list() == amounts, days


def test_a_catalogue_that_landed_late_describes_what_was_sold() -> None:
    items = pl.DataFrame(
        {
            "record_key": ["i:1", "i:1"],
            "effective_at": [CUTOFF + timedelta(days=30), CUTOFF + timedelta(days=60)],
            "category": ["bread", "pastry"],
            "deleted": [False, False],
        }
    )
    days = (-1, 40, 70)
    history = _history([_purchase(CUTOFF + timedelta(days=d), 1.0) for d in days], items=items)
    lines = history.before(CUTOFF + timedelta(days=99)).lines.sort("effective_at").collect()
    assert lines["category"].to_list() == ["bread", "bread", "pastry"]


def test_money_adds_up_in_any_order_and_partition(shop, views) -> None:
    whole = features_at([views["purchases"]], shop.history(), CUTOFF)
    shuffled = shop.interactions.sample(fraction=1.0, shuffle=True, seed=1)
    parts = [
        features_at(
            [views["purchases"]],
            History.of(shuffled.filter(mine), shop.items, shop.customers.filter(mine)),
            CUTOFF,
        )
        for mine in (pl.col("golden_id") < "g0070", pl.col("golden_id") >= "g0070")
    ]
    assert pl.concat(parts).sort("golden_id").equals(whole)


def test_averages_that_end_in_a_half_round_one_way() -> None:
    """18.1265625 is what 16 prices average to; its last bit depends on the order they are added in."""
    exact = 18.1265625
    near = pl.DataFrame({"x": [exact, np.nextafter(exact, 0), np.nextafter(exact, 99), -0.0, 7.0, float("inf")]})
    values = near.select(rounded(pl.col("x"))).to_series().to_list()
    assert len(set(values[:3])) == 1
    assert values[0] == pytest.approx(exact, abs=1e-6)
    assert values[3:] == [0.0, 7.0, None]


def test_what_no_source_sends_counts_as_empty(views) -> None:
    bare = _history([_purchase(CUTOFF - timedelta(days=3), 4.0)])
    assert [f.height for f in _computed(views, bare, CUTOFF)] == [1, 1]
    nothing = History.of(pl.DataFrame(schema={"golden_id": pl.String}))
    assert [f.height for f in _computed(views, nothing, CUTOFF)] == [0, 0]


def test_items_without_a_catalogue_are_their_own_category() -> None:
    history = _history([_purchase(CUTOFF - timedelta(days=3), 4.0, item_key="shop:A:1")])
    assert history.lines["category"].to_list() == ["A:1"]
