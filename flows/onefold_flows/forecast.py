"""forecast: a sample of storage is kept, days to full are told, and an event is raised when a threshold is crossed.

The artifact `onefold-forecast` is the page for people. The event `onefold.storage.threshold-crossed` (resource
`onefold.storage`) is what an automation of Prefect listens to: it comes when the level gets worse, and
`onefold.storage.recovered` when it is well again; not every day that it stays as it is.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from onefold_flows.progress import announce
from onefold_flows.stage import table
from onefold_storage.capacity_samples import record
from onefold_storage.errors import OnefoldError
from onefold_storage.installation import Installation
from onefold_storage.outlook import LEVELS, Level, outlook
from onefold_storage.settings import StorageSettings

CROSSED, RECOVERED = "onefold.storage.threshold-crossed", "onefold.storage.recovered"
_GIGA = 1e9


@task(name="forecast")
def forecast_stage() -> dict[str, Any]:
    """Look at storage; it needs no cluster, and waits for no other flow."""
    settings = StorageSettings()
    installation = Installation(settings)
    run_id, runs = str(runtime.flow_run.id or "local"), installation.ledger.runs
    announce("forecast", "began")
    last = runs.last("forecast")
    before: Level = last.facts.get("level", "ok") if last else "ok"
    runs.start(run_id, "forecast")
    try:
        found = outlook(installation)
        facts = found.facts(settings)
        facts["sampled"] = _sample(installation, found)
        if runtime.flow_run.id:
            create_markdown_artifact(
                page(facts), key="onefold-forecast", description="When storage is full, and why"
            )
        facts["event"] = _tell(before, facts)
    except BaseException as error:
        runs.finish(run_id, "forecast", "failed", {"error": type(error).__name__})
        raise
    else:
        runs.finish(run_id, "forecast", "done", facts)
    finally:
        installation.ledger.close()
    announce("forecast", "ended", line(facts))
    return facts


@flow(name="forecast")
def forecast() -> dict[str, Any]:
    """Sample, forecast, and tell."""
    return forecast_stage()


def line(facts: dict[str, Any]) -> str:
    """What the forecast comes to, in a line."""
    days = facts["days_to_full"]["expected"]
    if facts["state"] == "unknown":
        return f"no forecast: {facts['reason']}"
    return "not full within ten years" if days is None else f"full in {days:,.0f} days: {facts['level']}"


def page(facts: dict[str, Any]) -> str:
    """The artifact: the forecast, what is alarming, and each source."""
    days, on = facts["days_to_full"], facts["full_on"]
    text = f"{line(facts)}\n\n"
    if facts["state"] != "unknown":
        rows = [[name, _days(days[name]), on[name] or "–"] for name in ("low", "expected", "high")]
        text += f"{table(['of cases', 'days to full', 'on'], rows)}\n"
    text += (
        f"{_giga(facts['room_bytes'])} of room, {_giga(facts['bytes_per_day']['expected'])} per day, after erasure "
    )
    text += f"coding; {facts['history_days']} days of history ({facts['basis']}). {facts['reason']}\n\n"
    text += "".join(
        f"- **{a['level']}**: {a['what']} {a['found']:.3g}, limit {a['limit']}\n" for a in facts["alerts"]
    )
    sources = [
        [s["source"], s["rows"], _giga(rate), "unknown" if rate is None else _days(s["days_to_full"]["expected"])]
        for s, rate in ((s, s["bytes_per_day"]["expected"]) for s in facts["sources"])
    ]
    return text + "\n" + table(["source", "rows", "per day", "days to full, alone"], sources)


def _sample(installation: Installation, found: Any) -> int:
    """Keep a sample; a storage that is too full for it must still be told about."""
    try:
        return record(installation.lake, found.at, found.capacity, found.growth.tables)
    except (OnefoldError, OSError) as error:
        announce("forecast", "step", f"no sample kept: {type(error).__name__}")
        return 0


def _tell(before: Level, facts: dict[str, Any]) -> str | None:
    """Raise the event that fits the change of level, if it changed; its name."""
    now: Level = facts["level"]
    if now in (before, "unknown") or (now, before) == ("ok", "unknown"):
        return None
    event = CROSSED if LEVELS.index(now) > LEVELS.index(before) else RECOVERED
    kept = ("at", "level", "alerts", "days_to_full", "room_bytes", "bytes_per_day", "state")
    emit_event(
        event,
        resource={
            "prefect.resource.id": "onefold.storage",
            "prefect.resource.name": "storage",
            "onefold.level": now,
        },
        payload={k: facts[k] for k in kept} | {"before": before},
    )
    return event


def _days(value: float | None) -> str:
    return "over ten years" if value is None else f"{value:,.0f}"


def _giga(value: float | None) -> str:
    return "unknown" if value is None else f"{value / _GIGA:,.2f} GB"
