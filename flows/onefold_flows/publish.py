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
        line = f"publication {made.version}" + ("" if published.changed else " (unchanged)")
        return Outcome({"version": made.version, "changed": published.changed, "counts": counts}, line, page)

    return run_stage("publish", body)


@flow(name="publish")
def publish() -> dict[str, Any]:
    """Publish what is in gold."""
    return publish_stage().facts
