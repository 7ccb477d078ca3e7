"""GET /v1/models: each model's figure beside its honest baseline."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from onefold.api.answers import PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Published
from onefold.serving import View

router = APIRouter(tags=["scores"])


class Model(BaseModel):
    """One model as it was trained; further figures may stand beside these."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(examples=["churn"])
    version: str | int | None = None
    metric: str | None = Field(default=None, examples=["auc"])
    value: float | None = Field(default=None, description="on the hold-out, which is later in time")
    baseline: float | None = Field(default=None, description="the same metric of the baseline")
    interval: list[float] | None = Field(default=None, description="confidence interval of the value")
    beats_baseline: bool | None = None
    scored: int = Field(description="customers with a score or an offer in this publication")


class Models(BaseModel):
    """All models."""

    publication: str
    models: list[Model]


def described(view: View) -> list[dict[str, Any]]:
    """Every model that has figures, scores or both."""
    snapshot = view.snapshot
    scored = snapshot.offered | dict(snapshot.query("SELECT name, scored FROM models"))
    figures = {m["name"]: m for m in snapshot.facts.get("models", [])}
    unknown = {
        name: {"name": name, "version": snapshot.models.get(name, (0, None))[1]}
        for name in scored
        if name not in figures
    }
    return [{**m, "scored": scored.get(name, 0)} for name, m in {**figures, **unknown}.items()]


@router.get(
    "/v1/models", summary="Models", response_model=Models, responses=PROBLEMS, dependencies=[needs("read:scores")]
)
def models(view: Published) -> Answer:
    """The models of this publication, each beside its baseline."""
    return Answer({"publication": view.snapshot.version, "models": described(view)})
