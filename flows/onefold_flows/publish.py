"""publish: gold becomes the serving snapshot that the API reads, if it passes its quality gates."""

from __future__ import annotations

from typing import Any

from prefect import flow, task

from onefold_flows.stage import Outcome, run_stage, table
from onefold_storage.installation import Installation
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.publishing import publish_snapshot


@task(name="publish")
def publish_stage() -> Outcome:
    """Build, check and publish; an unchanged lake publishes nothing new."""

    def body(installation: Installation, _run: str) -> Outcome:
        published = publish_snapshot(installation, gather(installation))
        made = published.publication
        counts = made.facts.get("counts", {})
        page = table(["gate", "passed", "found"], [list(g.values()) for g in made.facts.get("gates", [])])
        page += "\n## Silos\n\n" + _silos(made.facts.get("sources", []))
        page += "\n## Unmanaged silos\n\n" + _unmanaged(made.facts)
        line = f"publication {made.version}" + ("" if published.changed else " (unchanged)")
        return Outcome({"version": made.version, "changed": published.changed, "counts": counts}, line, page)

    return run_stage("publish", body)


_KNOWN = ("rows", "customers", "only_here", "orphans")
_ADDED = ("fields", "interactions", "cases")


def _silos(sources: list[dict[str, Any]]) -> str:
    """Freshness, growth and failures of each source, what it knows, shares and added, as it was published."""
    rows = [
        [
            s["source"],
            f"{_hours(s.get('age_s'))} of {_hours(s.get('freshness_objective_s'))}",
            *(_whole(s.get(n)) for n in _KNOWN),
            _whole(s.get("rows_per_day")),
            "–" if s.get("failed_share") is None else f"{s['failed_share']:.2%}",
            *(_whole((s.get("added") or {}).get(n)) for n in _ADDED),
            ", ".join(f"{n:,} {other}" for other, n in (s.get("shared") or {}).items()),
        ]
        for s in sources
    ]
    headers = ["source", "age", *(n.replace("_", " ") for n in _KNOWN), "rows a day", "failed"]
    return table([*headers, *(f"{n} added" for n in _ADDED), "customers shared with"], rows)


def _unmanaged(facts: dict[str, Any]) -> str:
    """Files that lie where sources drop theirs, and that no contract reads."""
    if problem := facts.get("landing_problem"):
        return f"Not looked for: {problem}\n"
    found = facts.get("unmanaged")
    if not found:
        return "None.\n"
    return table(["folder", "kind", "files", "bytes", "newest"], [list(u.values()) for u in found])


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _hours(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds / 3600:,.0f} h"


@flow(name="publish")
def publish() -> dict[str, Any]:
    """Publish what is in gold."""
    return publish_stage().facts
