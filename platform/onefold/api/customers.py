"""GET /v1/customers/{golden_id}: one golden record with everything known."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from onefold.api import examples
from onefold.api.answers import NOT_FOUND, PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Published
from onefold.api.shapes import Customer
from onefold.serving import View
from onefold_storage.errors import NotFound

router = APIRouter(tags=["customers"])

GoldenId = Annotated[
    str, Path(min_length=1, max_length=64, description="the customer; opaque", examples=["g_7f3a52c09d1e4b68"])
]


def numbered(view: View, golden_id: str) -> int:
    """The customer that answers for a golden ID.

    Raises:
        NotFound: nobody does.
    """
    customer = view.snapshot.number(golden_id)
    if customer is None:
        raise NotFound("no customer has this golden ID")
    return customer


def everything(view: View, golden_id: str) -> dict[str, Any]:
    """What is known of a customer, with permissions as they hold now.

    Raises:
        NotFound: no customer has the golden ID.
    """
    customer = numbered(view, golden_id)
    body = view.snapshot.body(customer)
    body["may_contact"] = view.objections.over(customer, body["may_contact"])
    body["merged_from"] = None if body["golden_id"] == golden_id else golden_id
    body["publication"] = view.snapshot.version
    return body


@router.get(
    "/v1/customers/{golden_id}",
    summary="One customer",
    response_model=Customer,
    responses=PROBLEMS | NOT_FOUND | examples.answers(examples.CUSTOMER),
    dependencies=[needs("read:customers")],
)
def customer(golden_id: GoldenId, view: Published) -> Answer:
    """The golden record with traits, segments, scores and reasons, offers, consents, and permissions as of now.

    A golden ID that was merged into another answers with its survivor, and names itself in `merged_from`.
    """
    return Answer(everything(view, golden_id))
