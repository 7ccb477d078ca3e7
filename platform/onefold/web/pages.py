"""The pages behind the sign-in: the state of the lake, the sources and the models, search, and one customer."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from onefold.api import models, sources
from onefold.api.context import Context, Shared
from onefold.api.customers import everything, numbered
from onefold.api.errors import FieldError
from onefold.api.search import ExternalIdQuery, SearchQuery, find
from onefold.serving import View
from onefold.web import sessions
from onefold.web.rendering import page
from onefold_storage.errors import Forbidden, OnefoldError, Unauthorised
from onefold_storage.keys import Key
from onefold_storage.scopes import lacking

_SHOWN = 25  # interactions on a customer's page


class PageRoute(APIRoute):
    """Errors of pages are pages: a session that ended asks to sign in, all else is said in words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with errors answered in HTML."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except Unauthorised as error:
                response = page("sign_in.html", 401, problem=str(error), key=None)
                sessions.end(response)
                return response
            except RequestValidationError:
                return page("problem.html", 422, problem="Something in the form is missing or too long.", key=None)
            except OnefoldError as error:
                key = getattr(request.state, "key", None)
                return page("problem.html", error.status, problem=str(error), key=key)

        return answered


router = APIRouter(route_class=PageRoute)


def _signed_in(request: Request, shared: Shared) -> Key:
    key = sessions.signed_in(request, shared)
    if key is None:
        raise Unauthorised("sign in first")
    request.state.key = key
    return key


SignedIn = Annotated[Key, Depends(_signed_in)]
OwnForm = Depends(sessions.own_form)


@router.get("/")
def overview(request: Request, shared: Shared) -> Response:
    """The state of everything, or the sign-in."""
    key = sessions.signed_in(request, shared)
    if key is None:
        return page("sign_in.html", problem=None, key=None)
    request.state.key = key
    view = shared.serving.view()
    return page("overview.html", key=key, view=view, facts=view.snapshot.facts, **_allowed(key, view, shared))


def _allowed(key: Key, view: View, shared: Context) -> dict[str, Any]:
    """What the key's scopes let the overview show; None where they do not."""
    return {
        "sources": sources.described(view, shared) if key.may("read:sources") else None,
        "models": models.described(view) if key.may("read:scores") else None,
        "segments": view.snapshot.segments if key.may("read:scores") else None,
    }


@router.post("/sign-in", dependencies=[OwnForm])
def sign_in(request: Request, shared: Shared, api_key: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Take a key, give a session."""
    key = shared.ledger.keys.verify(api_key.strip())
    shared.ledger.audit.add(f"key {key.id}", "session.begin")
    response = RedirectResponse("/", 303)
    sessions.begin(response, request, shared, key)
    return response


@router.post("/sign-out", dependencies=[OwnForm])
def sign_out() -> Response:
    """End the session."""
    response = RedirectResponse("/", 303)
    sessions.end(response)
    return response


@router.post("/search", dependencies=[OwnForm])
def search(
    key: SignedIn,
    shared: Shared,
    by: Annotated[str, Form(max_length=64)] = "name",
    text: Annotated[str, Form(max_length=320)] = "",
) -> Response:
    """Customers that the form finds; a single one is shown at once."""
    _must(key, "search")
    view = shared.serving.view()
    problem = None
    try:
        answer = find(view, shared, _query(by, text.strip()))
    except FieldError as error:
        answer, problem = {"customers": [], "more": False}, str(error).partition(": ")[2]
    if len(answer["customers"]) == 1 and key.may("read:customers"):
        return RedirectResponse(f"/customers/{answer['customers'][0]['golden_id']}", 303)
    return page("found.html", key=key, by=by, answer=answer, problem=problem, view=view)


_KINDS = (
    ("email", re.compile(r"[^@\s]+@[^@\s]+")),
    ("external_id", re.compile(r"[a-z][a-z0-9_]*\s*:.+")),
    ("phone", re.compile(r"\+?[\d\s()./-]{7,}")),
)
"""How what is no name looks, so that it is found though `Name` was chosen."""


def _query(by: str, text: str) -> SearchQuery:
    if by == "name":
        by = next((kind for kind, form in _KINDS if form.fullmatch(text)), by)
    least = {"name": 2, "email": 3, "phone": 3}.get(by, 1)
    if len(text) < least:
        raise FieldError("text", f"expected at least {least} characters")
    if by == "name":
        if text.isdigit():
            raise FieldError("text", "a number alone is no name: say which, such as loyalty_card: 208")
        return SearchQuery(name=text[:200])
    if by == "email":
        return SearchQuery(email=text)
    if by == "phone":
        return SearchQuery(phone=text[:40])
    scheme, _, value = text.partition(":")
    if not (scheme.strip().isidentifier() and scheme.strip().islower() and value.strip()):
        raise FieldError("text", "expected which identifier it is, and its value, such as loyalty_card: 208")
    return SearchQuery(external_id=ExternalIdQuery(scheme=scheme.strip()[:63], value=value.strip()[:200]))


@router.get("/customers/{golden_id}")
def customer(golden_id: str, key: SignedIn, shared: Shared) -> HTMLResponse:
    """One customer."""
    _must(key, "read:customers")
    view = shared.serving.view()
    body = everything(view, golden_id)
    made_up = {s["source"] for s in view.snapshot.facts.get("sources", []) if s.get("generated")}
    recent = view.snapshot.interactions(numbered(view, golden_id), 0, _SHOWN)
    uses = sorted({m["data_use"] for m in body["may_contact"]})
    channels = sorted({m["channel"] for m in body["may_contact"]})
    return page(
        "customer.html",
        key=key,
        customer=body,
        name=_name(body),
        generated=sorted(made_up & set(body["sources"] or ())),
        recent=recent,
        uses=uses,
        channels=channels,
        permission={(m["data_use"], m["channel"]): m for m in body["may_contact"]},
        scored=dict(view.snapshot.query("SELECT name, scored FROM models")),
    )


def _name(body: dict[str, Any]) -> str:
    profile = body["profile"]
    parts = [profile[n] for n in ("given_name", "middle_name", "family_name") if profile[n]]
    return " ".join(parts) or profile["full_name"] or profile["organisation"] or "Customer without a name"


def _must(key: Key, scope: str) -> None:
    if not key.may(scope):
        raise Forbidden(lacking(scope))
