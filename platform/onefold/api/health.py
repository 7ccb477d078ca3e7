"""GET /health: whether this replica can answer; for load balancers, without a key."""

from __future__ import annotations

from fastapi import APIRouter

from onefold.api.answers import Answer
from onefold.api.context import Shared
from onefold.api.shapes import Health
from onefold_storage.errors import Unavailable

router = APIRouter(tags=["operation"])


@router.get(
    "/health",
    summary="Health",
    response_model=Health,
    responses={503: {"model": Health, "description": "Nothing is published yet, or the ledger does not answer"}},
)
def health(shared: Shared) -> Answer:
    """200 when a publication is open and the ledger answers, else 503."""
    try:
        shared.ledger.wishes.revision()
        ledger = True
    except Unavailable:
        ledger = False
    version = shared.serving.version
    good = ledger and version is not None
    figures = shared.events.figures
    events = {
        "waiting_bytes": figures.depth.bytes,
        "oldest_s": round(figures.depth.oldest, 3),
        "held": len(figures.depth.held),
        "problem": figures.problem,
    }
    status = "ok" if good else "unavailable"
    said = {"status": status, "publication": version, "ledger": ledger, "events": events}
    return Answer(said, status_code=200 if good else 503)
