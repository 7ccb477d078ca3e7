"""GET /v1/customers/{golden_id}: one golden record with everything known."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from onefold.api import examples
from onefold.api.answers import NOT_FOUND, PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Context, Shared
from onefold.api.moments import moment_of, workers_part
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
    body["currency"] = view.snapshot.facts.get("currency")
    return body


@router.get(
    "/v1/customers/{golden_id}",
    summary="One customer",
    response_model=Customer,
    responses=PROBLEMS | NOT_FOUND | examples.answers(examples.CUSTOMER),
    dependencies=[needs("read:customers")],
)
def customer(
    golden_id: GoldenId,
    shared: Shared,
    as_of: Annotated[
        str | None,
        Query(
            max_length=40, description="as things stood then: a date, which stands for its end, or a time; in UTC"
        ),
    ] = None,
) -> Answer:
    """The golden record with traits, segments, scores and reasons, offers, consents, and permissions as of now.

    A golden ID that was merged into another answers with its survivor, and names itself in `merged_from`. With
    `as_of` the answer is worked out from the records, consents, wishes and decisions of then.
    """
    if as_of is None:
        return Answer(everything(shared.serving.view(), golden_id))
    return Answer(_then(shared, golden_id, as_of))


def _then(shared: Context, golden_id: str, when: str) -> dict[str, Any]:
    at = moment_of(when)
    with workers_part():
        from onefold.api.then import customer_then

        return customer_then(shared.installation, golden_id, at)
