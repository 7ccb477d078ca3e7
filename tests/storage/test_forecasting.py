"""Days to full from known series: the right answer lies in the interval, and what is not known is not made up."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.capacity_samples import by_day
from onefold_storage.forecasting import HORIZON_DAYS, estimate, forecast, growth_over

GB = 1e9
START = datetime(2018, 1, 1, tzinfo=UTC)


def test_a_steady_series_is_full_on_the_day_that_arithmetic_says() -> None:
    told = forecast([10 * GB] * 60, 1000 * GB)
    assert told.state == "sound"
    assert told.days_to_full.expected == pytest.approx(100)
    assert told.days_to_full.low == pytest.approx(100)
    assert told.rate.expected == pytest.approx(10 * GB)


def test_quiet_weekends_neither_bend_the_rate_nor_widen_the_interval() -> None:
    told = forecast([10.0, 10, 10, 10, 10, 0, 0] * 8, 1000)
    assert told.rate.expected == pytest.approx(50 / 7)
    assert told.days_to_full.low == pytest.approx(140, abs=7)
    assert told.days_to_full.high == pytest.approx(140, abs=7)


@pytest.mark.parametrize("weeks", [3, 4, 8, 26])
def test_the_interval_covers_what_happens_about_as_often_as_it_says(weeks: int) -> None:
    """Noisy days with quiet weekends: the day on which a continuation is full, against the interval."""
    hits, cases = 0, 40
    for seed in range(cases):
        draw = random.Random(seed)

        def day(n: int, draw: random.Random = draw) -> float:
            return max(draw.gauss(10, 4), 0) * (1.2 if n % 7 < 5 else 0.5)

        told = forecast([day(n) for n in range(7 * weeks)], 600)
        left, n = 600.0, 7 * weeks
        while left > 0:
            left, n = left - day(n), n + 1
        full = n - 7 * weeks
        low, high = told.days_to_full.low, told.days_to_full.high
        assert low is not None
        hits += low - 1 <= full <= (high or math.inf) + 1
    assert 0.65 * cases <= hits, f"{hits} of {cases} in an interval meant for 80 %"


def test_little_history_is_rough_and_its_interval_wider() -> None:
    draw = random.Random(7)
    series = [draw.gauss(10, 3) for _ in range(180)]
    short, long = forecast(series[-6:], 1000), forecast(series, 1000)
    assert (short.state, long.state) == ("rough", "sound")
    assert "6 days of history" in short.reason
    assert None not in (
        short.days_to_full.low,
        short.days_to_full.high,
        long.days_to_full.low,
        long.days_to_full.high,
    )
    width = [f.days_to_full.high - f.days_to_full.low for f in (short, long)]  # type: ignore[operator]
    assert width[0] > 2 * width[1]


@pytest.mark.parametrize("series", [[], [5.0], [5.0, 6.0]])
def test_too_little_history_is_no_forecast(series: list[float]) -> None:
    told = forecast(series, 100)
    assert told.state == "unknown"
    assert told.days_to_full.expected is None
    assert "3 whole days or more are needed" in told.reason
    assert growth_over(series, 180).high is None


@pytest.mark.parametrize("daily", [0.0, -5.0])
def test_a_flat_or_shrinking_series_is_never_full(daily: float) -> None:
    told = forecast([daily] * 40, 100)
    assert told.state == "sound"
    assert told.days_to_full.low is None
    assert told.days_to_full.expected is None


def test_nothing_free_is_full_now() -> None:
    assert forecast([10.0] * 30, 0).days_to_full.expected == 0


@pytest.mark.parametrize("at", [0, 20, 59])
def test_one_jump_is_told_and_not_extrapolated(at: int) -> None:
    series = [10.0] * 60
    series[at] = 5000
    told = forecast(series, 1000)
    assert told.days_to_full.expected == pytest.approx(100)
    assert [(j.day, j.amount) for j in told.jumps] == [(at, 5000)]


def test_what_comes_every_month_is_no_jump() -> None:
    series = [300.0 if n % 30 == 29 else 10.0 for n in range(180)]
    told = forecast(series, 10_000)
    assert told.jumps == ()
    assert told.rate.expected == pytest.approx(sum(series[-175:]) / 175)


def test_a_purge_is_a_jump_too() -> None:
    told = forecast([10.0] * 30 + [-900.0] + [10.0] * 29, 1000)
    assert told.days_to_full.expected == pytest.approx(100)


def test_growth_that_speeds_up_is_full_sooner() -> None:
    series = [1 + 0.1 * n for n in range(70)]  # 8 a day now, a tenth more each day
    told = forecast(series, 500)
    exact = next(d for d in range(1, 200) if sum(8 + 0.1 * n for n in range(d)) >= 500)
    assert told.trend_per_week == pytest.approx(4.9, rel=0.05)
    assert told.days_to_full.expected == pytest.approx(exact, rel=0.1)
    still = forecast([8.0] * 70, 500).days_to_full.expected
    assert told.days_to_full.expected is not None
    assert still is not None
    assert told.days_to_full.expected < still


def test_a_trend_is_drawn_no_further_than_the_history_reaches() -> None:
    told = forecast([100 - n for n in range(70)], 1e9)
    assert told.days_to_full.expected is None, "it has stopped growing by then"
    assert told.trend_per_week < 0


def test_noise_alone_has_no_trend() -> None:
    draw = random.Random(3)
    found = [estimate([draw.gauss(10, 3) for _ in range(84)]) for _ in range(40)]
    assert sum(bool(r and r.slope) for r in found) <= 6, "at 5 %, two of forty are to be expected"


def test_the_same_history_gives_the_same_forecast() -> None:
    draw = random.Random(1)
    series = [draw.expovariate(0.1) for _ in range(50)]
    assert forecast(series, 1000) == forecast(list(series), 1000)


@settings(max_examples=25)
@given(
    series=st.lists(st.floats(-1e12, 1e12, allow_nan=False), min_size=0, max_size=60),
    free=st.floats(0, 1e13, allow_nan=False),
)
def test_any_series_gives_ordered_finite_figures(series: list[float], free: float) -> None:
    told = forecast(series, free)
    days = [d for d in (told.days_to_full.low, told.days_to_full.expected, told.days_to_full.high) if d is not None]
    assert days == sorted(days)
    assert all(0 <= d <= HORIZON_DAYS for d in days)
    if told.days_to_full.low is None:
        assert told.days_to_full.expected is None, "what is not full early is not full later"


@settings(max_examples=25)
@given(rate=st.floats(1, 1e12), days=st.integers(1, 3000), noise=st.floats(0, 0.2), seed=st.integers(0, 99))
def test_a_known_rate_is_found_again(rate: float, days: int, noise: float, seed: int) -> None:
    draw = random.Random(seed)
    told = forecast([rate * (1 + draw.uniform(-noise, noise)) for _ in range(90)], rate * days)
    assert told.days_to_full.expected == pytest.approx(days, rel=0.15, abs=1)
    added = growth_over([rate] * 90, days)
    assert added.high == pytest.approx(rate * days, rel=0.01)


def test_samples_after_a_gap_are_spread_over_it() -> None:
    samples = [(START + timedelta(days=d, hours=4), 100.0 + 10 * d) for d in (0, 1, 2, 9, 10)]
    found = by_day(samples)
    assert found is not None
    assert found.first == date(2018, 1, 2)
    assert list(found.daily) == pytest.approx([10.0] * 9)


def test_samples_at_odd_hours_and_several_a_day_are_read_at_midnight() -> None:
    hours = [0, 3, 9, 23, 25, 47, 50, 71, 73]
    found = by_day([(START + timedelta(hours=h), 5.0 * h) for h in hours])
    assert found is not None
    assert list(found.daily) == pytest.approx([120.0] * 3)


@pytest.mark.parametrize("hours", [[], [4], [4, 20]])
def test_samples_that_span_no_whole_day_tell_nothing(hours: list[int]) -> None:
    assert by_day([(START + timedelta(hours=h), 1.0) for h in hours]) is None
