"""When storage is full, from how much it grew each day: a rate with its uncertainty, and days to full with an interval.

The method, in the order of the code:

1. Days that stand far off (over six robust deviations, 1.4826 times the median absolute deviation, from the median)
   and happen no more than once in sixty days are one-off jumps (a first load, a purge): told, and not extrapolated.
   What happens more often is how the source behaves, and stays.
2. From three weeks on, whole weeks are summed, so that quiet Sundays neither bend the rate nor widen the interval;
   below that, days are taken as they are, whole weeks of them where there is one.
3. A trend is used only where Mann-Kendall's test finds one at 5 % over six weeks or more; its slope is Theil-Sen's,
   and it is drawn no further into the future than the history reaches back.
4. Days to full come from a bootstrap of paths: each path takes a rate from Student's t around the estimate and adds
   steps drawn from the history's residuals, so that both the estimate's error and the days' own noise are in it.

Figures are bytes after erasure coding. Seeded: the same history gives the same forecast.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

HORIZON_DAYS = 3650
"""How far paths are drawn; what is not full by then is told as None."""
MIN_DAYS, SOUND_DAYS, LONGEST = 3, 21, 182
_WEEK, _PATHS, _SEED = 7, 600, 20180101
_TREND_WEEKS, _TREND_Z = 6, 1.96
_FAR, _RARE_DAYS = 6.0, 60

State = Literal["unknown", "rough", "sound"]


@dataclass(frozen=True)
class Range:
    """A figure with an interval; for days, None is beyond the horizon."""

    low: float | None
    expected: float | None
    high: float | None


@dataclass(frozen=True)
class Jump:
    """A day left out of the rate: `day` is its place in the series, from 0; `amount` what it grew by."""

    day: int
    amount: float


@dataclass(frozen=True)
class Rate:
    """Growth in bytes a day: the level now, its error, what is left over, and a trend where there is one.

    `step`: days that one residual covers (1 or 7). `level`, `error`, `slope` and `slope_error` are per step.
    """

    step: int
    level: float
    error: float
    freedom: int
    residuals: tuple[float, ...]
    slope: float
    slope_error: float
    days: int
    jumps: tuple[Jump, ...]

    @property
    def per_day(self) -> float:
        """The expected growth in bytes a day, now."""
        return self.level / self.step

    def interval(self, coverage: float) -> Range:
        """Bytes a day, with an interval for the rate itself (not for a single day)."""
        reach = _student(0.5 + coverage / 2, self.freedom) * self.error / self.step
        return Range(self.per_day - reach, self.per_day, self.per_day + reach)


@dataclass(frozen=True)
class Forecast:
    """Days to full. `state`: unknown (`reason` says why), rough (under three weeks of history), or sound."""

    state: State
    reason: str
    rate: Range
    days_to_full: Range
    trend_per_week: float
    history_days: int
    jumps: tuple[Jump, ...]
    coverage: float


def estimate(daily: Sequence[float]) -> Rate | None:
    """The rate of a series of growth on consecutive days, oldest first; None for fewer than three days."""
    recent = list(daily[-LONGEST:])
    if len(recent) < MIN_DAYS:
        return None
    calm, jumps = _without_jumps(recent)
    jumps = tuple(Jump(j.day + len(daily) - len(recent), j.amount) for j in jumps)
    weekly = len(calm) >= SOUND_DAYS
    whole = len(calm) // _WEEK * _WEEK or len(calm)
    calm = calm[-whole:]
    step = _WEEK if weekly else 1
    steps = [sum(calm[i : i + step]) for i in range(0, len(calm), step)]
    slope = _trend(steps) if weekly else 0.0
    last = len(steps) - 1
    lifted = [y + slope * (last - i) for i, y in enumerate(steps)]
    level = statistics.fmean(lifted)
    freedom = max(len(steps) - (2 if slope else 1), 1)
    left = [y - level for y in lifted]
    spread = math.sqrt(sum(r * r for r in left) / freedom)
    n = len(steps)
    # Ordinary least squares' errors: of a mean, or of a line's last point and slope; Theil-Sen's are close to them.
    error = spread * math.sqrt((4 * n - 2) / (n * (n + 1)) if slope else 1 / n)
    slope_error = spread * math.sqrt(12 / (n * (n * n - 1))) if slope else 0.0
    scale = math.sqrt(n / freedom)
    residuals = tuple(r * scale for r in left)
    return Rate(step, level, error, freedom, residuals, slope, slope_error, len(recent), jumps)


def forecast(daily: Sequence[float], free: float, coverage: float = 0.8) -> Forecast:
    """Days until `free` bytes are used up, when it goes on growing as on these consecutive days, oldest first.

    `coverage`: the share of cases that the interval is meant to cover.
    """
    rate = estimate(daily)
    if rate is None:
        days = f"{len(daily)} day{'s' * (len(daily) != 1)}"
        reason = f"{days} of history; {MIN_DAYS} whole days or more are needed for a rate"
        nothing = Range(None, None, None)
        return Forecast("unknown", reason, nothing, nothing, 0.0, len(daily), (), coverage)
    reached = sorted(_paths(rate, free))
    ends = [_quantile(reached, q) for q in ((1 - coverage) / 2, 0.5, (1 + coverage) / 2)]
    sound = rate.days >= SOUND_DAYS
    reason = "" if sound else f"{rate.days} days of history; from {SOUND_DAYS} on, weeks are told apart"
    trend = rate.slope if rate.step == _WEEK else 0.0
    return Forecast(
        "sound" if sound else "rough", reason, rate.interval(coverage), Range(*ends), trend, rate.days, rate.jumps,
        coverage,
    )  # fmt: skip


def growth_over(daily: Sequence[float], days: int, coverage: float = 0.8) -> Range:
    """Bytes that are added in so many days, with an interval; all None without a rate."""
    rate = estimate(daily)
    if rate is None:
        return Range(None, None, None)
    steps = days / rate.step
    found = []
    for level, slope, noise in _futures(rate, max(math.ceil(steps), 1)):
        whole = sum(noise) * steps / len(noise)
        found.append(_drift(level, slope, steps, _bends(rate)) + whole)
    found.sort()
    ends = [found[min(int(q * len(found)), len(found) - 1)] for q in ((1 - coverage) / 2, 0.5, (1 + coverage) / 2)]
    return Range(*ends)


def _paths(rate: Rate, free: float) -> list[float]:
    """Days after which each simulated path has used up what is free; infinity beyond the horizon."""
    if free <= 0:
        return [0.0] * _PATHS
    bends, found = _bends(rate), []
    for level, slope, noise in _futures(rate, math.ceil(HORIZON_DAYS / rate.step)):
        before, reached = 0.0, math.inf
        for number, extra in enumerate(accumulate(noise), 1):
            used = extra + _drift(level, slope, number, bends)
            if used >= free:
                reached = (number - 1 + (free - before) / (used - before)) * rate.step
                break
            before = used
        found.append(reached)
    return found


def _futures(rate: Rate, steps: int) -> Iterator[tuple[float, float, list[float]]]:
    """A level, a slope and so many steps' noise for each path."""
    draw = random.Random(_SEED)  # noqa: S311 - a simulation, no secret
    for _ in range(_PATHS):
        t = draw.gauss(0, 1) / math.sqrt(draw.gammavariate(rate.freedom / 2, 2) / rate.freedom)
        slope = rate.slope + draw.gauss(0, rate.slope_error) if rate.slope else 0.0
        yield rate.level + t * rate.error, slope, draw.choices(rate.residuals, k=steps)


def _drift(level: float, slope: float, steps: float, bends: int) -> float:
    """What is grown after so many steps; the slope goes on for `bends` of them, then the rate stays."""
    bent = min(steps, bends)
    return level * steps + slope * (bent * (bent + 1) / 2 + (steps - bent) * bent)


def _bends(rate: Rate) -> int:
    return max(rate.days // rate.step, 1)


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    value = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
    return value if math.isfinite(value) and value <= HORIZON_DAYS else None


def _without_jumps(daily: list[float]) -> tuple[list[float], tuple[Jump, ...]]:
    """The series with rare far-off days at the median, and those days."""
    middle = statistics.median(daily)
    deviation = 1.4826 * statistics.median(abs(g - middle) for g in daily)
    far = _FAR * max(deviation, 0.05 * abs(middle))
    allowed = max(len(daily) // _RARE_DAYS, 1)
    jumps: list[Jump] = []
    for sign in (1, -1):
        found = [i for i, g in enumerate(daily) if sign * (g - middle) > far]
        if 0 < len(found) <= allowed:
            jumps += [Jump(i, daily[i]) for i in found]
    out = {j.day for j in jumps}
    return [middle if i in out else g for i, g in enumerate(daily)], tuple(sorted(jumps, key=lambda j: j.day))


def _trend(weeks: Sequence[float]) -> float:
    """Theil-Sen's slope a week where Mann-Kendall's test (with its correction for ties) finds a trend, else 0."""
    n = len(weeks)
    if n < _TREND_WEEKS:
        return 0.0
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    score = sum((weeks[j] > weeks[i]) - (weeks[j] < weeks[i]) for i, j in pairs)
    ties = [list(weeks).count(v) for v in set(weeks)]
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    if variance <= 0 or abs(score) - 1 < _TREND_Z * math.sqrt(variance):
        return 0.0
    return statistics.median((weeks[j] - weeks[i]) / (j - i) for i, j in pairs)


def _student(share: float, freedom: int) -> float:
    """A quantile of Student's t, by Hill's expansion around the normal one; exact formulas for 1 and 2."""
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = statistics.NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))
