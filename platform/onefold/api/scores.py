"""GET /v1/scores/{model}: whom to contact first, among those who may be contacted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from onefold.api import cursors, examples
from onefold.api.answers import NOT_CONTINUED, NOT_FOUND, PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Published
from onefold.api.errors import FieldError
from onefold.api.shapes import RankedAnswer
from onefold.serving import Ranking, View
from onefold.serving.snapshot import Use
from onefold_storage.errors import NotFound

router = APIRouter(tags=["scores"])

_NAME = r"^[A-Za-z][A-Za-z0-9_.\-]{0,62}$"


def use_of(view: View, data_use: str, channel: str) -> Use:
    """The data use through the channel, if the publication states permissions for it.

    Raises:
        FieldError: it does not; the field at fault and the known names are told.
    """
    uses = view.snapshot.uses
    known = sorted({u for u, _ in uses})
    if data_use not in known:
        raise FieldError("data_use", f"expected one of {', '.join(known) or '(none is published)'}")
    channels = sorted(c for u, c in uses if u == data_use)
    if channel not in channels:
        raise FieldError("channel", f"expected one of {', '.join(channels)} for this data use")
    return uses[data_use, channel]


@router.get(
    "/v1/scores/{model}",
    summary="A ranked list",
    response_model=RankedAnswer,
    responses=PROBLEMS | NOT_FOUND | NOT_CONTINUED | examples.answers(examples.RANKED),
    dependencies=[needs("read:scores")],
)
def ranked(
    model: Annotated[str, Path(pattern=_NAME, description="the model", examples=["churn"])],
    view: Published,
    data_use: Annotated[
        str, Query(pattern=_NAME, description="the purpose of the contact", examples=["marketing"])
    ],
    channel: Annotated[str, Query(pattern=_NAME, description="how contact will be made", examples=["email"])],
    min: Annotated[float | None, Query(allow_inf_nan=False, description="lowest score to list")] = None,
    segment: Annotated[str | None, Query(max_length=200, description="only members of this segment")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="customers a page")] = 100,
    cursor: Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before")] = None,
) -> Answer:
    """Customers by a model's score, best first, with reasons and offers.

    Only those who may be contacted for the data use through the channel are listed; the others are counted by
    reason under `suppressed`. An objection recorded a moment ago holds already.
    """
    snapshot = view.snapshot
    use = use_of(view, data_use, channel)
    if model in snapshot.offered and model not in snapshot.models:
        raise NotFound(
            "this model makes offers, which have no list of their own: they stand with each customer "
            "(`offers` of /v1/customers/{golden_id}, and of the rows of every ranked list)"
        )
    if model not in snapshot.models:
        raise NotFound(f"no model of this name has scores; there are {', '.join(snapshot.models) or 'none'}")
    if segment is not None and segment not in snapshot.segments:
        raise FieldError("segment", f"expected one of {', '.join(snapshot.segments) or '(none is published)'}")
    asked = Ranking(model, use, min, segment)
    what = f"scores {model} {data_use} {channel} {min} {segment}"
    after = cursors.read(cursor, snapshot.version, what)
    page = view.lists.page(asked, view.objections, after, limit)
    customers = [row for row in (_row(view, use, model, *found) for found in page.rows) if row is not None]
    last = page.rows[-1][0] if page.more else None
    return Answer(
        {
            "model": model,
            "model_version": snapshot.models[model][1],
            "beats_baseline": next(
                (m.get("beats_baseline") for m in snapshot.facts.get("models", []) if m["name"] == model), None
            ),
            "data_use": data_use,
            "channel": channel,
            "publication": snapshot.version,
            "customers": customers,
            "allowed": page.allowed,
            "suppressed": page.suppressed,
            "next_cursor": None if last is None else cursors.make(snapshot.version, what, last),
        }
    )


def _row(view: View, use: Use, model: str, rank: int, customer: int, score: float) -> dict[str, Any] | None:
    """One row, made from the customer's own profile; None where that does not allow the contact too."""
    body = view.snapshot.body(customer)
    stated = [m for m in body["may_contact"] if (m["data_use"], m["channel"]) == (use.data_use, use.channel)]
    if len(stated) != 1 or stated[0]["allowed"] is not True:
        return None
    mine = next(s for s in body["scores"] if s["model"] == model)
    return {
        "rank": rank,
        "golden_id": body["golden_id"],
        "score": score,
        "as_of": mine["as_of"],
        "lawful_basis": stated[0]["lawful_basis"],
        "reasons": mine["reasons"],
        "offers": body["offers"][:3],
    }
