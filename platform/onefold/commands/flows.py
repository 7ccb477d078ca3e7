"""`onefold land | integrate | train | score | publish | refresh`: the same flows that the schedule runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from onefold.terminal import print_json, stages
from onefold_storage.errors import HeldBack

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object when done.")]
Sources = Annotated[list[str] | None, typer.Argument(help="Ids of sources; all when left out.")]
Retrain = Annotated[bool, typer.Option(help="Learn the models anew though nothing has changed.")]

Accept = Annotated[
    bool, typer.Option("--accept-changes", help="Merge and split more customers than onefold.yaml agrees to.")
]


def run(name: str, *, json: bool, **parameters: Any) -> dict[str, Any]:
    """Run a flow in this process, on a Prefect server that is found or started, and show its progress.

    Raises:
        HeldBack: deliveries were held back; what was done all the same is printed before.
    """
    from onefold.running import served_flow

    held: HeldBack | None = None
    with served_flow(name, parameters.get("sources"), lands="sources" in parameters) as flow, stages():
        try:
            facts = flow(**parameters)
        except HeldBack as error:
            held, facts = error, error.facts
    if json:
        print_json(facts)
    if held:
        raise held
    return facts


def land(sources: Sources = None, json: Json = False) -> None:
    """Land what the sources have that is new."""
    run("land", json=json, sources=sources)


def integrate(retrain: Retrain = False, accept_changes: Accept = False, json: Json = False) -> None:
    """Map to canonical tables, resolve identities, build golden records."""
    run("integrate", json=json, retrain=retrain, accept_changes=accept_changes)


def train(retrain: Retrain = False, json: Json = False) -> None:
    """Train the scoring models and measure them on a hold-out."""
    run("train", json=json, retrain=retrain)


def score(json: Json = False) -> None:
    """Score every customer with the champion models."""
    run("score", json=json)


def publish(json: Json = False) -> None:
    """Build the serving snapshot and make it the current one, if it passes its quality gates."""
    run("publish", json=json)


def refresh(
    sources: Sources = None, retrain: Retrain = False, accept_changes: Accept = False, json: Json = False
) -> None:
    """Land, integrate, train, score, publish: one run in that order."""
    run("refresh", json=json, sources=sources, retrain=retrain, accept_changes=accept_changes)


COMMANDS: dict[str, Callable[..., None]] = {
    "land": land,
    "integrate": integrate,
    "train": train,
    "score": score,
    "publish": publish,
    "refresh": refresh,
}
