"""score: every customer is scored by the champion models, with reasons; traits, segments and offers beside."""

from __future__ import annotations

from typing import Any

from prefect import flow, task

from onefold_flows.stage import Outcome, run_stage, table
from onefold_storage.installation import Installation
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.scoring import score_customers


@task(name="score")
def score_stage() -> Outcome:
    """Score all partitions of customers; an unchanged lake is not scored again."""

    def body(installation: Installation, run: str) -> Outcome:
        scored = score_customers(installation, gather(installation), run)
        page = table(["table", "rows"], [[k, v] for k, v in scored.rows.items()])
        line = f"{scored.rows.get('gold/scores', 0):,} scores, {scored.rows.get('gold/offers', 0):,} offers"
        facts = {"rows": scored.rows, "changed": scored.changed}
        return Outcome(facts, line + ("" if scored.changed else " (unchanged)"), page)

    return run_stage("score", body)


@flow(name="score")
def score() -> dict[str, Any]:
    """Score every customer."""
    return score_stage().facts
