"""GET /v1/customers/{golden_id}/interactions: what happened between a customer and the business, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from onefold.api import cursors, examples
from onefold.api.answers import NOT_CONTINUED, NOT_FOUND, PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Published
from onefold.api.customers import GoldenId, numbered
from onefold.api.shapes import Interactions

router = APIRouter(tags=["customers"])


@router.get(
    "/v1/customers/{golden_id}/interactions",
    summary="A customer's interactions",
    response_model=Interactions,
    responses=PROBLEMS | NOT_FOUND | NOT_CONTINUED | examples.answers(examples.INTERACTIONS),
    dependencies=[needs("read:customers")],
)
def interactions(
    golden_id: GoldenId,
    view: Published,
    limit: Annotated[int, Query(ge=1, le=200, description="interactions a page")] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")] = None,
) -> Answer:
    """The last interactions with the names of their items; older ones stay in the lake."""
    customer = numbered(view, golden_id)
    body = view.snapshot.body(customer)
    what = f"interactions {body['golden_id']}"
    first = cursors.read(cursor, view.snapshot.version, what)
    rows = view.snapshot.interactions(customer, first, limit)
    end = first + len(rows)
    following = cursors.make(view.snapshot.version, what, end) if end < body["interactions"]["kept"] else None
    return Answer(
        {
            "golden_id": body["golden_id"],
            "total": body["interactions"]["total"],
            "interactions": rows,
            "next_cursor": following if rows else None,
        }
    )
