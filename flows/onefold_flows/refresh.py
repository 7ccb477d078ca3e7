"""refresh: land, integrate, train, score and publish, in that order, as one flow run on one cluster."""

from __future__ import annotations

from typing import Any

from prefect import flow

from onefold_flows.integrate import integrate_stage
from onefold_flows.land import land_stage
from onefold_flows.publish import publish_stage
from onefold_flows.score import score_stage
from onefold_flows.train import train_stage
from onefold_storage.errors import HeldBack
from onefold_workers.cluster import cluster


@flow(name="refresh")
def refresh(
    sources: list[str] | None = None, retrain: bool = False, accept_changes: bool = False
) -> dict[str, Any]:
    """The whole walk. What was held back at landing stops nothing else, and is told at the end.

    A contract that is not valid ends the walk after landing: without it, customers would be told wrong.
    """
    with cluster():
        landed = land_stage(sources)
        if landed.facts["invalid"]:
            raise HeldBack.after(landed.errors, {"land": landed.facts})
        outcomes = {
            "land": landed,
            "integrate": integrate_stage(retrain, accept_changes),
            "train": train_stage(retrain),
            "score": score_stage(),
            "publish": publish_stage(),
        }
    facts = {name: outcome.facts for name, outcome in outcomes.items()}
    if landed.errors:
        raise HeldBack.after(landed.errors, facts)
    return facts
