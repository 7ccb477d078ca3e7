"""GET /v1/segments: the segments and their sizes."""

from __future__ import annotations

from fastapi import APIRouter

from onefold.api.answers import PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Published
from onefold.api.shapes import Segments

router = APIRouter(tags=["scores"])


@router.get(
    "/v1/segments",
    summary="Segments",
    response_model=Segments,
    responses=PROBLEMS,
    dependencies=[needs("read:scores")],
)
def segments(view: Published) -> Answer:
    """Every segment with the number of its customers; `segment=` of a ranked list takes these names."""
    rows = [{"segment": name, "customers": size} for name, (_, size) in view.snapshot.segments.items()]
    return Answer({"publication": view.snapshot.version, "segments": rows})
