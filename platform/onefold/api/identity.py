"""/v1/identity: why who is who, what people decide about it, and what it was on a date.

Answers come from the lake, not from the publication; record keys and values travel in bodies. What needs the workers'
part says so (503) on a replica that does not have it.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body

from onefold.api import identity_examples as examples
from onefold.api import identity_shapes as shapes
from onefold.api.answers import BODY, NOT_FOUND, PROBLEMS, Answer, said
from onefold.api.auth import needs
from onefold.api.context import Context, Shared
from onefold.api.errors import FieldError
from onefold.api.moments import moment_of, workers_part
from onefold_storage.errors import Conflict
from onefold_storage.keys import Key

router = APIRouter(prefix="/v1/identity", tags=["identity"])
_READ, _WRITE = "read:identity", "write:identity"
_CONFLICT: dict[int | str, dict[str, Any]] = {409: said("The state does not allow it; the message says why")}
_NAMED = {"accept": 2, "reject": 2, "merge": 2, "withdraw": 2, "pin": 2, "unpin": 1}
_resolving = threading.Lock()


@router.post(
    "/explain",
    summary="Why two are one customer, or are not",
    response_model=shapes.Explained,
    responses=PROBLEMS | BODY | NOT_FOUND | examples.answers(examples.EXPLAINED),
    dependencies=[needs(_READ)],
)
def explain(
    query: Annotated[shapes.ExplainQuery, Body(openapi_examples=examples.EXPLAIN)], shared: Shared
) -> Answer:
    """Field by field: values, likeness and bits, as a waterfall that adds up to the pair's match weight."""
    with workers_part():
        from onefold_workers.stages import asking
    return Answer(asking.explain(shared.installation, query.left, query.right))


@router.post(
    "/review",
    summary="Pairs for a person to decide",
    response_model=shapes.ReviewAnswer,
    responses=PROBLEMS | BODY | NOT_FOUND,
    dependencies=[needs(_READ)],
)
def review(query: Annotated[shapes.ReviewQuery, Body(openapi_examples=examples.REVIEW)], shared: Shared) -> Answer:
    """Undecided pairs around the threshold, the most informative first; `decisions` takes the answer."""
    with workers_part():
        from onefold_workers.stages import asking
    return Answer({"pairs": asking.review(shared.installation, query.limit)})


@router.post(
    "/what-if",
    summary="What another threshold would change",
    response_model=shapes.WhatIfAnswer,
    responses=PROBLEMS | BODY | NOT_FOUND | _CONFLICT,
    dependencies=[needs(_READ)],
)
def what_if(
    query: Annotated[shapes.WhatIfQuery, Body(openapi_examples=examples.WHAT_IF)], shared: Shared
) -> Answer:
    """All records are resolved again, so it takes its time, one question at a time; nothing is written."""
    with workers_part():
        from onefold_workers.stages import asking
    if not _resolving.acquire(blocking=False):
        raise Conflict("another what-if is being worked out: ask again when it is answered")
    try:
        return Answer(asking.what_if(shared.installation, query.threshold))
    finally:
        _resolving.release()


@router.post(
    "/as-of",
    summary="Who was who on a date",
    response_model=shapes.AsOfAnswer,
    responses=PROBLEMS | BODY | NOT_FOUND,
    dependencies=[needs(_READ)],
)
def as_of(query: Annotated[shapes.AsOfQuery, Body(openapi_examples=examples.AS_OF)], shared: Shared) -> Answer:
    """The customer that each record or golden ID belonged to, and that customer's records then."""
    at = moment_of(query.as_of)
    with workers_part():
        from onefold_workers.stages import asking
    return Answer({"as_of": at.isoformat(), "found": asking.who_was_who(shared.installation, query.named, at)})


@router.get(
    "/report",
    summary="What the last run found and changed",
    response_model=shapes.ReportAnswer,
    responses=PROBLEMS,
    dependencies=[needs(_READ)],
)
def report(shared: Shared) -> Answer:
    """Pairs by blocking rule, match weights, cluster sizes, conflicts, changes and drift; without personal data."""
    with workers_part():
        from onefold_workers.stages.resolving import held_back, last_report
    return Answer({"report": last_report(shared.lake), "held": held_back(shared.lake)})


@router.post(
    "/decisions",
    summary="Decide who is who",
    status_code=201,
    response_model=shapes.DecidedAnswer,
    responses=PROBLEMS | BODY | NOT_FOUND | _CONFLICT | examples.answers(examples.DECIDED, 201),
)
def decide(
    query: Annotated[shapes.DecisionQuery, Body(openapi_examples=examples.DECISIONS)],
    shared: Shared,
    key: Annotated[Key, needs(_WRITE)],
) -> Answer:
    """Kept as evidence, with who, when and why, and obeyed by every later run; a line in the audit trail says so.

    Nothing is edited: taking back is a decision too, and merge then unmerge gives back what was.
    """
    wanted = _NAMED.get(query.decision)
    if wanted is not None and len(query.named) != wanted:
        raise FieldError("named", f"expected {wanted} with decision {query.decision}")
    book = _book(shared, key)
    method = getattr(book, query.decision)
    arguments = [query.named] if query.decision == "unmerge" else query.named
    return _decided(method(*arguments, reason=query.reason))


@router.post(
    "/overrides",
    summary="Set a value that every source has wrong",
    status_code=201,
    response_model=shapes.DecidedAnswer,
    responses=PROBLEMS | BODY | NOT_FOUND | examples.answers(examples.OVERRIDDEN, 201),
)
def override(
    query: Annotated[shapes.OverrideQuery, Body(openapi_examples=examples.OVERRIDES)],
    shared: Shared,
    key: Annotated[Key, needs(_WRITE)],
) -> Answer:
    """It wins over every survivorship rule until it is taken back (value null), and follows its record."""
    with workers_part():
        from onefold_workers.setting import standard_value
    value = query.value
    if value is not None:
        value = standard_value(query.field, value, shared.countries[0])
    return _decided(_book(shared, key).override(query.named, query.field, value, query.reason))


def _book(shared: Context, key: Key) -> Any:
    from onefold_storage.decisions import Decisions

    return Decisions(shared.installation, f"key {key.id}")


def _decided(made: Any) -> Answer:
    return Answer({**asdict(made), "at": made.at.isoformat()}, status_code=201)
