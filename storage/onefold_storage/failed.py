"""Failed events that are open: grouped, shown, exported, and named again in a file of repaired rows.

An event is open until it is replayed (`replaying.py`), which takes it out of `bronze/failed_events`; one of a package
that was never committed is not an event at all. What is shown here is personal data: it is for the terminal of
whoever may read the lake, never for a log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self, cast

import orjson
import polars as pl

from onefold_storage.errors import BadInput
from onefold_storage.lake import Lake
from onefold_storage.manifests import committed_seq
from onefold_storage.schema import FAILED_EVENTS

EventId = tuple[str, int]
"""Package and row: what names a failed event."""


@dataclass(frozen=True)
class Chosen:
    """Which failed events are meant; what is None chooses nothing. `since` looks at when they failed."""

    source: str | None = None
    rule: str | None = None
    field: str | None = None
    package: str | None = None
    since: datetime | None = None

    @classmethod
    def of(
        cls,
        source: str | None = None,
        rule: str | None = None,
        field: str | None = None,
        package: str | None = None,
        since: str | None = None,
    ) -> Self:
        """From words; `since` is an ISO 8601 date (from its start) or time, in UTC where it names no zone.

        Raises:
            BadInput: `since` is neither.
        """
        return cls(source, rule, field, package, _moment(since) if since else None)

    def rows(self, events: pl.LazyFrame) -> pl.LazyFrame:
        """Those of the events that are meant."""
        equal = {"source": self.source, "rule": self.rule, "field": self.field, "package_id": self.package}
        for name, value in equal.items():
            if value is not None:
                events = events.filter(pl.col(name) == value)
        return events if self.since is None else events.filter(pl.col("failed_at") >= self.since)


@dataclass(frozen=True)
class Group:
    """Open events of one source that broke one rule in one field."""

    source: str
    rule: str
    field: str | None
    message: str
    events: int
    packages: int
    first: datetime
    last: datetime


def open_events(lake: Lake, chosen: Chosen) -> pl.LazyFrame:
    """The open events that are meant, with the columns of the table."""
    events = chosen.rows(lake.scan(FAILED_EVENTS.name))
    sources = events.select("source").unique().collect()["source"]
    if not len(sources):
        return events
    ends = {s: f"{s}-{committed_seq(lake, s):08d}~" for s in sources}  # greater than each committed package's id
    return events.filter(pl.col("package_id") < pl.col("source").replace_strict(ends, return_dtype=pl.String))


def groups(lake: Lake, chosen: Chosen) -> list[Group]:
    """Open events by source, rule and field, the most frequent first."""
    found = (
        open_events(lake, chosen)
        .group_by("source", "rule", "field")
        .agg(
            pl.col("message").min(),
            events=pl.len(),
            packages=pl.col("package_id").n_unique(),
            first=pl.col("failed_at").min(),
            last=pl.col("failed_at").max(),
        )
        .sort("events", "source", "rule", "field", descending=[True, False, False, False])
        .collect()
    )
    return [Group(**row) for row in found.to_dicts()]


def page(lake: Lake, chosen: Chosen, limit: int, offset: int = 0) -> list[dict[str, Any]]:
    """Events with their rows, in the order of landing; at most `limit`, after the first `offset`."""
    events = open_events(lake, chosen).sort("source", "package_id", "row_id").slice(offset, limit).collect()
    return [_shown(row) for row in events.to_dicts()]


def export(lake: Lake, chosen: Chosen, path: Path) -> int:
    """Write the events to an NDJSON file, readable by its owner alone, and return how many.

    Raises:
        BadInput: the file exists already.
    """
    if path.exists():
        raise BadInput(f"{path}: exists already, perhaps with a person's repairs; nothing was written")
    events = 0
    path.touch(mode=0o600)
    with path.open("wb") as file:
        for batch in batches(lake, chosen):
            file.writelines(orjson.dumps(_shown(row), default=str) + b"\n" for row in batch.to_dicts())
            events += batch.height
    return events


def batches(lake: Lake, chosen: Chosen, rows: int = 20_000) -> Iterator[pl.DataFrame]:
    """The events that are meant, some thousand at a time, package by package: memory does not grow with them."""
    keys = ["source", "package_id", "row_id"]
    names = open_events(lake, chosen).select(*keys).sort(keys).collect()
    for at in range(0, names.height, rows):
        some = names.slice(at, rows)
        within = open_events(lake, chosen).filter(
            pl.col("package_id").is_between(pl.lit(some["package_id"].min()), pl.lit(some["package_id"].max()))
        )
        yield within.join(some.lazy(), on=keys, how="semi").sort(keys).collect()


def repaired(path: Path) -> dict[EventId, bytes]:
    """The rows of a file of repaired events, by event: JSON objects as bytes.

    Each line is one that `export` wrote, with its `row` (a JSON object) corrected, or given where there was only `raw`.

    Raises:
        BadInput: a line is no such event, or names one that another line names.
    """
    found: dict[EventId, bytes] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                event = orjson.loads(line)
                name = (str(event["package_id"]), int(event["row_id"]))
                row = event["row"] if event.get("row") is not None else orjson.loads(event["raw"])
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
                raise BadInput(
                    f"{path}: line {number}: expected an event as `onefold failed show --out` writes it, with "
                    "package_id, row_id and row (an object)"
                ) from None
            if not isinstance(row, dict) or name in found:
                what = "is named by another line too" if name in found else "has no row that is an object"
                raise BadInput(f"{path}: line {number}: the event {name[0]} row {name[1]} {what}")
            found[name] = orjson.dumps(row)
    return found


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    """An event for a person: its bytes as the object they hold, else as text in which nothing is lost."""
    raw = cast("bytes", event.pop("raw") or b"")
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError:
        row = None
    if isinstance(row, dict):
        return event | {"row": row}
    return event | {"raw": raw.decode("utf-8", "backslashreplace")}


def _moment(text: str) -> datetime:
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
        moment = datetime(day.year, day.month, day.day) if day else datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            "since: expected an ISO 8601 date or time such as 2017-06-30, found something else"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
