"""train: the scoring models learn from the past and are measured on a hold-out that lies after it."""

from __future__ import annotations

from typing import Any

from prefect import flow, task

from onefold_flows.progress import announce
from onefold_flows.stage import Outcome, run_stage, table
from onefold_storage.installation import Installation
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.training import train_models

_SHOWN = ("name", "version", "metric", "value", "baseline", "interval", "beats_baseline")


@task(name="train")
def train_stage(retrain: bool = False) -> Outcome:
    """Train what has new data or new code; a model without enough data is left out, and says why."""

    def body(installation: Installation, _run: str) -> Outcome:
        report = train_models(
            installation,
            gather(installation),
            retrain=retrain,
            on_done=lambda n, of: announce("train", "step", f"{n} of {of} models"),
        )
        page = table(list(_SHOWN), [[m.get(k) for k in _SHOWN] for m in report.figures])
        page += "".join(f"\n- not trained: {why}" for why in report.left_out)
        page += "".join(f"\n- {remark}" for remark in report.remarks)
        better = sum(bool(m["beats_baseline"]) for m in report.figures)
        line = (
            f"{len(report.figures)} models, {better} better than their baseline" if report.figures else "no model"
        )
        line += f", {len(report.left_out)} not trained" if report.left_out else ""
        line += "" if report.trained or not report.figures else " (unchanged)"
        facts = {
            "trained": report.trained,
            "models": report.figures,
            "left_out": report.left_out,
            "remarks": report.remarks,
        }
        return Outcome(facts, line, page)

    return run_stage("train", body)


@flow(name="train")
def train(retrain: bool = False) -> dict[str, Any]:
    """Train the models; `retrain` though nothing has changed."""
    return train_stage(retrain).facts
