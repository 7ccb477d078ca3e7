"""POST /v1/consents: what a person wants, in force from the next request on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.background import BackgroundTask

from onefold.api.answers import BODY, NOT_FOUND, PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Context, Shared
from onefold.api.errors import FieldError
from onefold.api.search import expected, standards
from onefold.api.shapes import Wishes
from onefold.serving import Snapshot
from onefold_storage.errors import NotFound, Unavailable
from onefold_storage.keys import Key
from onefold_storage.wishes import ANY, Wish

router = APIRouter(tags=["consents"])

_WORD = r"^[a-z][a-z0-9_]{0,62}$"


class Subject(BaseModel):
    """Whose wish it is: a contact point, an external ID (with its scheme), or a customer by golden ID."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["email", "phone", "external_id", "golden_id"]
    value: str = Field(min_length=1, max_length=320)
    scheme: str | None = Field(default=None, pattern=_WORD, description="of an external ID, such as loyalty_card")

    @model_validator(mode="after")
    def _scheme(self) -> Subject:
        if (self.kind == "external_id") != (self.scheme is not None):
            raise FieldError("subject.scheme", "goes with kind external_id, and only with it")
        return self


class WishQuery(BaseModel):
    """One wish. `any` as data use or channel means all of them."""

    model_config = ConfigDict(extra="forbid")

    subject: Subject
    data_use: str = Field(pattern=_WORD, examples=["marketing"])
    channel: str = Field(pattern=_WORD, examples=["email"])
    state: Literal["GRANTED", "DENIED", "REVOKED"]
    evidence: str | None = Field(
        default=None,
        max_length=300,
        description="where the wish was expressed; not a person's data",
        examples=["web form 12"],
    )


_EXAMPLES: dict[str, Any] = {
    "opt-out": {
        "value": {
            "subject": {"kind": "email", "value": "maria.lopez@example.org"},
            "data_use": "marketing",
            "channel": "email",
            "state": "REVOKED",
            "evidence": "unsubscribe link",
        }
    },
    "never again": {
        "value": {
            "subject": {"kind": "external_id", "scheme": "loyalty_card", "value": "208"},
            "data_use": "any",
            "channel": "any",
            "state": "DENIED",
        }
    },
}


@router.post(
    "/v1/consents",
    summary="Record a consent or an objection",
    status_code=201,
    response_model=Wishes,
    responses=PROBLEMS | BODY | NOT_FOUND,
)
def record(
    wish: Annotated[WishQuery, Body(openapi_examples=_EXAMPLES)],
    shared: Shared,
    key: Annotated[Key, needs("write:consents")],
) -> Answer:
    """An objection (DENIED, REVOKED) holds from the next request on, on every replica.

    A grant lifts an earlier wish of the same subject for the same data use and channel (by name, it also lifts its
    part of one against `any` channel), and allows contact from the next publication on. The answer does not tell
    whether the subject is known. An objection of a phone number without its country's code holds for every number
    that it may be.
    """
    snapshot = _published(shared)
    if snapshot is not None:
        _known(snapshot, wish)
    subjects = _subjects(shared, snapshot, wish.subject)
    if wish.state == "GRANTED" and wish.subject.kind == "phone":
        subjects = [(k, v) for k, v in subjects if v.startswith("+")] or subjects
        if len(subjects) > 1:
            raise FieldError("subject.value", "may be of several countries; a grant needs its country's code")
    wishes = []
    for kind, value in subjects:
        holders = snapshot.holders(kind, value) if snapshot else []
        golden_ids = tuple(_golden_id(snapshot, c) for c in holders) if snapshot else ()
        hashed = shared.hashed.of(kind, value)
        wishes.append(Wish(kind, hashed, wish.data_use, wish.channel, wish.state, golden_ids, wish.evidence))
    with shared.ledger.transaction() as books:
        at = books.wishes.add(wishes, f"key {key.id}")
        detail = {"data_use": wish.data_use, "channel": wish.channel, "state": wish.state, "subjects": len(wishes)}
        books.audit.add(f"key {key.id}", "consent.record", None, detail)
    effective = "next_publication" if wish.state == "GRANTED" else "now"
    told = {"recorded": len(wishes), "at": at.isoformat(), "effective": effective}
    return Answer(told, status_code=201, background=BackgroundTask(shared.law_copying))


def _published(shared: Context) -> Snapshot | None:
    try:
        return shared.serving.view().snapshot
    except Unavailable:
        return None  # an objection is taken even where nothing is published


def _known(snapshot: Snapshot, wish: WishQuery) -> None:
    data_uses = {u for u, _ in snapshot.uses} | {ANY}
    channels = {c for u, c in snapshot.uses if wish.data_use in (u, ANY)} | {ANY}
    for field, value, known in (("data_use", wish.data_use, data_uses), ("channel", wish.channel, channels)):
        if value not in known:
            raise FieldError(field, f"expected one of {', '.join(sorted(known))}")


def _subjects(shared: Context, snapshot: Snapshot | None, subject: Subject) -> list[tuple[str, str]]:
    """(kind, standard value) of the contact points that the wish is about."""
    if subject.kind == "golden_id":
        customer = snapshot.number(subject.value) if snapshot else None
        if snapshot is None or customer is None:
            raise NotFound("no customer has this golden ID")
        return _contact_points(snapshot.body(customer))
    kind = subject.scheme or subject.kind
    forms = standards(subject.kind, subject.value, shared.countries)
    if not forms:
        raise FieldError("subject.value", expected(subject.kind, subject.value))
    return [(kind, form) for form in forms]


def _contact_points(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Everything that can speak for a customer, so that the wish follows it through merge and split."""
    emails = [("email", v) for v in {*(body["emails"] or ()), body["profile"]["email"]} if v]
    phones = [("phone", v) for v in {*(body["phones"] or ()), body["profile"]["phone"]} if v]
    others = [(e["scheme"], e["value"]) for e in body["external_ids"] or ()]
    records = [("record", v) for v in {*body["provenance"].values()} if isinstance(v, str)]
    found = sorted({*emails, *phones, *others, *records})
    if not found:
        raise FieldError("subject.value", "this customer has no contact point that the wish could belong to")
    return found


def _golden_id(snapshot: Snapshot, customer: int) -> str:
    found: str = snapshot.query("SELECT golden_id FROM customers WHERE customer = ?", (customer,))[0][0]
    return found
