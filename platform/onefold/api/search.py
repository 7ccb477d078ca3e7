"""POST /v1/customers/search: find customers by an identifier or a name, which travel in the body."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, model_validator

from onefold.api import examples
from onefold.api.answers import BODY, PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Context, Published, Shared
from onefold.api.errors import FieldError
from onefold.api.shapes import SearchAnswer
from onefold.serving import View

router = APIRouter(tags=["customers"])

_BY = ("email", "phone", "external_id", "name")


class ExternalIdQuery(BaseModel):
    """An identifier from a source."""

    model_config = ConfigDict(extra="forbid")

    scheme: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", examples=["loyalty_card"])
    value: str = Field(min_length=1, max_length=200, examples=["208"])


class SearchQuery(BaseModel):
    """What to look for: exactly one of email, phone, external_id and name."""

    model_config = ConfigDict(extra="forbid")

    email: str | None = Field(default=None, min_length=3, max_length=320)
    phone: str | None = Field(default=None, min_length=3, max_length=40)
    external_id: ExternalIdQuery | None = None
    name: str | None = Field(default=None, min_length=2, max_length=200)
    limit: int = Field(default=20, ge=1, le=50, description="customers at most")

    @model_validator(mode="after")
    def _one(self) -> SearchQuery:
        if sum(getattr(self, n) is not None for n in _BY) != 1:
            raise FieldError("body", f"expected exactly one of {', '.join(_BY)}")
        return self


_EXAMPLES: dict[str, Any] = {
    "email": {"value": {"email": "Maria.Lopez@Example.org"}},
    "phone": {"value": {"phone": "+1 937 555 0142"}},
    "external ID": {"value": {"external_id": {"scheme": "loyalty_card", "value": "208"}}},
    "name": {"value": {"name": "maria lo", "limit": 10}},
}


def standards(kind: str, written: str, countries: Iterable[str | None] = (None,)) -> list[str]:
    """The standard forms in which the lake may keep an identifier; none where it is none of its kind.

    A phone number without its country's code has one for each of `countries` where it is a number.
    """
    from onefold_workers import cleaning

    found = [cleaning.value(kind, written, c) for c in countries]
    return list(dict.fromkeys(str(f) for f in found if f is not None))


def expected(kind: str, written: str) -> str:
    """What to tell whose identifier has no standard form; `written` is not told."""
    from onefold_workers import cleaning

    if kind == "email" and cleaning.is_nobodys(written):
        return "such an address (test@, noreply@, unknown@ …) is nobody's own: no customer is kept or found by it"
    known = {"email": "an email address", "phone": "a phone number, such as +1 937 555 0142"}
    return f"expected {known.get(kind, 'an identifier with letters or digits')}"


def find(view: View, shared: Context, query: SearchQuery) -> dict[str, Any]:
    """The customers that a query finds.

    Raises:
        FieldError: what should be an email or a phone number is none.
    """
    if query.name is not None:
        found = view.snapshot.named(query.name, query.limit + 1)
    elif query.external_id is not None:
        scheme, forms = query.external_id.scheme, standards("external_id", query.external_id.value)
        found = [h for form in forms for h in view.snapshot.holders(scheme, form)]
    else:
        kind = "email" if query.email is not None else "phone"
        forms = standards(kind, query.email or query.phone or "", shared.countries)
        if not forms:
            raise FieldError(kind, expected(kind, query.email or query.phone or ""))
        found = list(dict.fromkeys(h for form in forms for h in view.snapshot.holders(kind, form)))
    rows = [_short(view.snapshot.body(customer)) for customer in found[: query.limit]]
    return {"customers": rows, "more": len(found) > query.limit}


def _short(body: dict[str, Any]) -> dict[str, Any]:
    profile = body["profile"]
    parts = [profile[n] for n in ("given_name", "middle_name", "family_name") if profile[n]]
    return {
        "golden_id": body["golden_id"],
        "name": " ".join(parts) or profile["full_name"],
        "organisation": profile["organisation"],
        "city": profile["city"],
        "last_seen": body["last_seen"],
    }


@router.post(
    "/v1/customers/search",
    summary="Find customers",
    response_model=SearchAnswer,
    responses=PROBLEMS | BODY | examples.answers(examples.FOUND),
    dependencies=[needs("search")],
)
def search(
    query: Annotated[SearchQuery, Body(openapi_examples=_EXAMPLES)], view: Published, shared: Shared
) -> Answer:
    """Emails, phones and external IDs are brought to their standard form and found exactly.

    Names are found by their words or the beginnings of words, without regard to case and accents, and in other
    spellings (ae for ä, ss for ß); those seen last first.
    """
    return Answer(find(view, shared, query))
