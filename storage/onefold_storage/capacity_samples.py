"""The history of the room that was taken: one sample a day or more, kept in the lake, read as growth by day.

A sample is only kept of a whole storage: with a drive away, used bytes cannot be compared with another day's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pyarrow as pa

from onefold_storage.capacity import Capacity
from onefold_storage.growth import Size
from onefold_storage.lake import Lake
from onefold_storage.schema import CAPACITY

STORAGE, LAKE = "storage", "lake"


@dataclass(frozen=True)
class History:
    """Growth on consecutive whole days from `first` on, in bytes; gaps between samples are spread evenly."""

    first: date
    daily: tuple[float, ...]
    samples: int


def record(lake: Lake, at: datetime, capacity: Capacity, tables: Mapping[str, Size]) -> int:
    """Keep a sample of everything; returns how many subjects it has."""
    known = {name: s for name, s in sorted(tables.items()) if name != CAPACITY.name}
    everything = Size(*(sum(getattr(s, f) for s in known.values()) for f in ("bytes", "rows", "objects")))
    rows: list[dict[str, Any]] = [{"subject": n, **asdict(s)} for n, s in (known | {LAKE: everything}).items()]
    if capacity.whole:
        taken = {"bytes": capacity.used_bytes, "usable_bytes": capacity.usable_bytes, "objects": capacity.objects}
        rows.append({"subject": STORAGE, **taken})
    lake.append(CAPACITY.name, pa.Table.from_pylist([{"at": at, **r} for r in rows], CAPACITY.arrow))
    return len(rows)


def history(lake: Lake, subject: str) -> History | None:
    """A subject's growth by day (UTC) from its samples; None where they span no whole day."""
    found = (
        lake.scan(CAPACITY.name)
        .filter(pl.col("subject") == subject)
        .select("at", "bytes")
        .unique(subset="at", keep="last")
        .sort("at")
        .collect()
    )
    return by_day([(at.astimezone(UTC), float(taken)) for at, taken in found.iter_rows()])


def by_day(samples: list[tuple[datetime, float]]) -> History | None:
    """Growth by day between samples (moment, bytes), in the order of time.

    Between two samples bytes are taken to grow evenly, and are read at each midnight; the days at both ends, which
    are not whole, are left out unless a sample stands within an hour of their midnight.
    """
    if len(samples) < 2:
        return None
    near = timedelta(hours=1)
    start, end = samples[0][0], samples[-1][0]
    first = _midnight(start) if start - _midnight(start) <= near else _midnight(start) + timedelta(days=1)
    last = _midnight(end + near)
    days = (last - first).days
    if days < 1:
        return None
    marks = [first + timedelta(days=n) for n in range(days + 1)]
    taken, place = [], 0
    for mark in marks:
        while place < len(samples) - 2 and samples[place + 1][0] < mark:
            place += 1
        (t0, b0), (t1, b1) = samples[place], samples[place + 1]
        share = (mark - t0) / (t1 - t0) if t1 > t0 else 1.0
        taken.append(b0 + (b1 - b0) * share)
    return History(first.date(), tuple(b - a for a, b in pairwise(taken)), len(samples))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
