"""The outlook of storage as one object: growth by source, days to full with an interval, and what is alarming.

Growth is taken from the samples of used bytes (`capacity_samples.py`) once they span two weeks, because they hold
everything: derived tables, old versions, waste. Until then it is what landed, times what a landed byte becomes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from onefold_storage.capacity import Capacity
from onefold_storage.capacity_samples import STORAGE, history
from onefold_storage.forecasting import HORIZON_DAYS, Forecast, Range, estimate, forecast
from onefold_storage.growth import Growth, growth
from onefold_storage.installation import Installation
from onefold_storage.room import room
from onefold_storage.settings import StorageSettings

ENOUGH_SAMPLED_DAYS = 14
COVERAGE = 0.8
Level = Literal["ok", "unknown", "warning", "critical"]
LEVELS: tuple[Level, ...] = ("ok", "unknown", "warning", "critical")


@dataclass(frozen=True)
class Outlook:
    """What is known, at one moment; `basis` is samples or landed, `first` the first day of its `daily` series."""

    at: datetime
    capacity: Capacity
    growth: Growth
    basis: Literal["samples", "landed"]
    first: date
    forecast: Forecast
    daily: tuple[float, ...]

    def facts(self, settings: StorageSettings) -> dict[str, Any]:
        """Everything for machines: bytes after erasure coding, days, dates; no personal data."""
        told, on = self.forecast, self.at.date()
        alerts = alarms(self, settings)
        return {
            "at": self.at.isoformat(),
            "level": level(alerts, self),
            "alerts": alerts,
            "state": told.state,
            "reason": told.reason,
            "basis": self.basis,
            "coverage": told.coverage,
            "history_days": told.history_days,
            "usable_bytes": self.capacity.usable_bytes,
            "free_bytes": self.capacity.free_bytes,
            "room_bytes": self.capacity.room_bytes,
            "quota_bytes": self.capacity.quota_bytes,
            "bytes_per_day": asdict(told.rate),
            "bytes_per_week_trend": told.trend_per_week,
            "days_to_full": asdict(told.days_to_full),
            "full_on": {k: _day(on, v) for k, v in asdict(told.days_to_full).items()},
            "horizon_days": HORIZON_DAYS,
            "jumps": [
                {"on": (self.first + timedelta(days=j.day)).isoformat(), "bytes": j.amount} for j in told.jumps
            ],
            "sources": self.sources(),
            "unknown": list(self.capacity.unknown),
        }

    def sources(self) -> list[dict[str, Any]]:
        """Each source, the fastest growing first; `days_to_full` as if it alone grew, derived tables included."""
        found: list[dict[str, Any]] = []
        spread, room_left = self.growth.spread, self.capacity.room_bytes
        for source in self.growth.sources:
            rate = estimate(source.bytes(spread))
            rows = estimate([float(r) for r in source.rows])
            span = rate.interval(COVERAGE) if rate else Range(None, None, None)
            found.append(
                {
                    "source": source.source,
                    "rows": source.size.rows,
                    "bytes": source.size.bytes,
                    "document_bytes": source.documents,
                    "rows_per_day": rows.per_day if rows else None,
                    "bytes_per_day": asdict(span),
                    "history_days": len(source.rows),
                    "days_to_full": asdict(_alone(room_left, span)),
                }
            )
        total = sum(max(s["bytes_per_day"]["expected"] or 0, 0) for s in found)
        for source_facts in found:
            part = source_facts["bytes_per_day"]["expected"]
            source_facts["share"] = max(part, 0) / total if part is not None and total else None
        return sorted(found, key=lambda s: -(s["bytes_per_day"]["expected"] or 0))


def outlook(installation: Installation, capacity: Capacity | None = None) -> Outlook:
    """Look at storage and at what grew; `capacity` where it is known already.

    Raises:
        Unavailable: storage does not answer.
    """
    found = capacity or room(installation.settings)
    grown = growth(installation)
    basis, first, daily = _series(installation, grown)
    free = found.room_bytes
    told = forecast(daily, float(free if free is not None else 0), COVERAGE)
    if free is None:
        told = Forecast(
            "unknown", "how much room there is is not known", told.rate, Range(None, None, None),
            told.trend_per_week, told.history_days, told.jumps, COVERAGE,
        )  # fmt: skip
    return Outlook(installation.clock.now(), found, grown, basis, first, told, tuple(daily))


def _series(installation: Installation, grown: Growth) -> tuple[Literal["samples", "landed"], date, list[float]]:
    first, daily = grown.total()
    sampled = history(installation.lake, STORAGE)
    if sampled and (len(sampled.daily) >= ENOUGH_SAMPLED_DAYS or not daily):
        return "samples", sampled.first, list(sampled.daily)
    return "landed", first, daily


def alarms(found: Outlook, settings: StorageSettings) -> list[dict[str, Any]]:
    """Thresholds that are crossed: the worse of warning and critical for days to full, for room taken, for drives.

    Days are the interval's early end, or the expected ones while the forecast is rough.
    """
    capacity, told = found.capacity, found.forecast
    crossed: list[dict[str, Any]] = []
    days = told.days_to_full.low if told.state == "sound" else told.days_to_full.expected
    limits = (("critical", settings.storage_critical_days), ("warning", settings.storage_warning_days))
    if days is not None and (hit := next((x for x in limits if days < x[1]), None)):
        crossed.append({"level": hit[0], "what": "days_to_full", "found": days, "limit": hit[1]})
    if capacity.usable_bytes and capacity.used_bytes is not None:
        taken = capacity.used_bytes / capacity.usable_bytes
        shares = (("critical", settings.storage_critical_used), ("warning", settings.storage_warning_used))
        if part := next((x for x in shares if taken >= x[1]), None):
            crossed.append({"level": part[0], "what": "share_used", "found": taken, "limit": part[1]})
    if capacity.quota_bytes and capacity.bucket_bytes is not None:
        taken = capacity.bucket_bytes / capacity.quota_bytes
        shares = (("critical", settings.storage_critical_used), ("warning", settings.storage_warning_used))
        if part := next((x for x in shares if taken >= x[1]), None):
            crossed.append({"level": part[0], "what": "share_of_quota", "found": taken, "limit": part[1]})
    if away := capacity.drives - capacity.drives_online:
        crossed.append({"level": "warning", "what": "drives_offline", "found": away, "limit": 0})
    if capacity.drives_full:
        crossed.append({"level": "critical", "what": "drives_full", "found": capacity.drives_full, "limit": 0})
    return crossed


def level(alerts: list[dict[str, Any]], found: Outlook) -> Level:
    """The worst of the alerts; unknown where nothing can be said about the room."""
    worst = max((LEVELS.index(a["level"]) for a in alerts), default=0)
    if not worst and found.capacity.room_bytes is None:
        return "unknown"
    return LEVELS[worst]


def _alone(room_left: int | None, span: Range) -> Range:
    """Days to full at a constant rate: fast growth makes the early end."""

    def days(rate: float | None) -> float | None:
        if room_left is None or rate is None or rate <= 0 or room_left / rate > HORIZON_DAYS:
            return None
        return room_left / rate

    return Range(days(span.high), days(span.expected), days(span.low))


def _day(on: date, days: float | None) -> str | None:
    return None if days is None else (on + timedelta(days=int(days))).isoformat()
