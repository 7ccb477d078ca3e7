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
        line = f"publication {made.version}" + ("" if published.changed else " (unchanged)")
        return Outcome({"version": made.version, "changed": published.changed, "counts": counts}, line, page)

    return run_stage("publish", body)


def _silos(sources: list[dict[str, Any]]) -> str:
    """What each source knows, shares and added, as it was published."""
    names = ("rows", "failed_share", "customers", "only_here", "orphans")
    rows = [
        [s["source"], *(s.get(n) for n in names), *((s.get("added") or {}).get(n) for n in ("fields", "interactions")),
         ", ".join(f"{n:,} {other}" for other, n in (s.get("shared") or {}).items())]
        for s in sources
    ]  # fmt: skip
    return table(["source", *names, "fields added", "interactions", "shared with"], rows)


@flow(name="publish")
def publish() -> dict[str, Any]:
    """Publish what is in gold."""
    return publish_stage().facts
