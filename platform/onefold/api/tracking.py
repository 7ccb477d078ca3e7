"""POST /v1/track, /v1/batch and their siblings: what tracking SDKs send, by an address that they can be told.

The key names the source: one that may send events of one source alone (`ingest:SOURCE`) is what SDKs call a write key.
What the events become is said in the source's contract (`connector: tracking`).
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from onefold.api import ingest_body, tracking_body
from onefold.api.answers import PROBLEMS, Answer, said
from onefold.api.auth import write_key
from onefold.api.context import Context
from onefold.api.direct import DirectPath
from onefold.api.errors import FieldError
from onefold.api.examples import TRACKED, answers
from onefold.api.ingest import contract_of, verified
from onefold.api.shapes import Tracked
from onefold.api.tracking_event import CALLS, ROOTS
from onefold.api.tracking_privacy import Asked
from onefold_storage.contracts import Contract
from onefold_storage.errors import Conflict, Forbidden, Unauthorised
from onefold_storage.keys import Key
from onefold_storage.scopes import INGEST, lacking
from onefold_storage.sending import TrackingOptions
from onefold_storage.spool_frames import Frame

router = APIRouter(tags=["tracking"])

SOURCE: Final = "X-Onefold-Source"
_SHORT: Final = {c[0]: c for c in CALLS} | {"b": "batch", "import": "batch"}
_MAX_AGE: Final = "86400"
_write_key = HTTPBasic(
    auto_error=False, scheme_name="Write key", description="the key as the user name, no password"
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    409: said("The key's source takes no tracking events: its contract has another connector"),
    413: said("The body, an event or the number of events is beyond its bound"),
    415: said("The content type or encoding is not taken"),
    429: said("The source sends faster than its contract allows; Retry-After says when to send again"),
    507: said("The log is full; Retry-After says when to send again. Nothing was taken"),
}


async def take(call: str, request: Request) -> Response:
    """The events of one request, answered when they are synced to the write-ahead log; they land exactly once.

    An event whose `messageId` has landed before counts as repeated. Of a batch, an event that is none (`invalid`
    names the first) is kept as a failed event, and the others land. What a bot sent, or nobody agreed to, is counted
    and not kept, as the contract says.
    """
    shared: Context = request.app.state.context
    call = _SHORT.get(call, call)
    key = write_key(request.headers)
    granted = await verified(request, shared, key) if key else None
    try:
        value = await _parsed(request, shared)
        sent = tracking_body.read(value, None if call == "batch" else call)
    except FieldError:
        if granted is None:  # nobody is told what is wrong who has not said who it is
            raise Unauthorised(_NO_KEY) from None
        raise
    if granted is None or sent.write_key:
        key = write_key(request.headers, sent.write_key)
        if key is None:
            raise Unauthorised(_NO_KEY)
        granted = await verified(request, shared, key)
    contract = await contract_of(shared, _source(request, granted))
    if contract.rules.connector != "tracking":
        raise Conflict(f"{contract.id}: expected a contract with connector tracking")
    options = TrackingOptions.model_validate(contract.rules.options)
    if not _from_page_that_may(request, options):
        raise Forbidden("pages of this origin may not send: the contract's options name those that may")
    rows = tracking_body.rows(
        sent, Asked.by(request.headers), options, _paths(contract), shared.clock.now(), shared.bounds, shared.hashed
    )
    shared.rates.admit(contract, len(rows.lines))
    await shared.events.add(Frame(contract.id, b"\n".join(rows.lines), len(rows.lines)))
    shared.events.figures.tracked(rows.suppressed, rows.withheld)
    told: dict[str, Any] = {"success": True}
    if rows.invalid:
        told |= {"invalid": len(rows.invalid), "first_invalid": str(rows.invalid[0])}
    return _for_pages(request, Answer(told))


_NO_KEY = (
    "a write key is needed: as the user name of basic auth, as writeKey in the body, or as other keys are sent"
)


async def preflight(_call: str, request: Request) -> Response:
    """What a browser asks before it sends JSON from another page; whether the page may, the request itself says."""
    asked = request.headers.get("access-control-request-headers", "")
    allowed = ", ".join(h for h in re.split(r"\s*,\s*", asked.lower()) if h in _HEADERS)
    headers = {"Access-Control-Allow-Methods": "POST", "Access-Control-Max-Age": _MAX_AGE}
    if allowed:
        headers["Access-Control-Allow-Headers"] = allowed
    return _for_pages(request, Response(status_code=204, headers=headers))


_HEADERS = ("authorization", "content-type", "content-encoding", "x-api-key", SOURCE.lower())


def told(request: Request, answer: Response) -> Response:
    """An error as SDKs read it too: beside `error` its code and message, and readable from another page."""
    if isinstance(answer, Answer):
        answer = answer.also_at_the_top()
    return _for_pages(request, answer)


async def _parsed(request: Request, shared: Context) -> dict[str, Any]:
    headers = request.headers
    bounds = ingest_body.Bounds(
        min(tracking_body.LARGEST, shared.settings.ingest_max_body),
        tracking_body.MOST_EVENTS,
        shared.settings.ingest_max_depth,
    )
    body = await request.body()
    if len(body) > bounds.size:
        raise ingest_body.TooLarge(f"the body is too large: at most {bounds.size} bytes are taken")
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ingest_body.PLAIN:
        body = await asyncio.to_thread(ingest_body.inflate, body, encoding, bounds)
    return tracking_body.parsed(body, headers.get("content-type", "").partition(";")[0].strip().lower())


def _source(request: Request, key: Key) -> str:
    """The source that a request's events are of: the only one that its key is for, or the one that is named.

    Raises:
        Forbidden: the key may not send events of it, or of any. FieldError: the key does not say which.
    """
    own = sorted(s.removeprefix(f"{INGEST}:") for s in key.scopes if s.startswith(f"{INGEST}:"))
    named = request.headers.get(SOURCE)
    if named is None and len(own) == 1 and not key.may(INGEST):
        return own[0]
    if named is None:
        if own or key.may(INGEST):
            raise FieldError(SOURCE, "expected the source's id, since this key may send events of several")
        raise Forbidden(lacking(INGEST))
    if not key.may_send(named):
        raise Forbidden(lacking(INGEST))
    return named


def _paths(contract: Contract) -> list[str]:
    return [name for name in contract.by_name if name.startswith(ROOTS)]


def _from_page_that_may(request: Request, options: TrackingOptions) -> bool:
    origin = request.headers.get("origin")
    return origin is None or "*" in options.origins or origin in options.origins


def _for_pages(request: Request, answer: Response) -> Response:
    """The answer may be read from any page: it holds nothing, and no cookie was looked at."""
    if "origin" in request.headers:
        answer.headers["Access-Control-Allow-Origin"] = "*"
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


_EVENT: Final = {
    "type": "object",
    "properties": {
        "userId": {"type": ["string", "integer"]},
        "anonymousId": {"type": ["string", "integer"]},
        "messageId": {"type": "string", "description": "sent again, the event is repeated"},
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object"},
    },
}
_BATCH: Final = {
    "type": "object",
    "required": ["batch"],
    "properties": {"batch": {"type": "array", "items": _EVENT}, "sentAt": {"type": "string"}},
}
_SUMMARIES: Final = {
    "track": "Something happened",
    "identify": "Who somebody is",
    "page": "A page was seen",
    "screen": "A screen was seen",
    "group": "Who belongs to which organisation",
    "alias": "Another ID of the same user",
    "batch": "Several events",
}


def _described(call: str) -> Any:
    async def route(
        request: Request, _key: Annotated[HTTPBasicCredentials | None, Security(_write_key)] = None
    ) -> Response:
        return await take(call, request)

    route.__doc__ = take.__doc__
    router.add_api_route(
        f"/v1/{call}", route, methods=["POST"], summary=_SUMMARIES[call], name=call, response_model=Tracked,
        responses=PROBLEMS | _PROBLEMS | answers(TRACKED),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _BATCH if call == "batch" else _EVENT}},
            },
            "security": [{"Write key": []}, {"Bearer key": []}, {"Key header": []}],
        },
    )  # fmt: skip
    return router.routes[-1]


_ROUTES: Final = {call: _described(call) for call in _SUMMARIES}
DIRECT: Final = tuple(
    path
    for call, route in _ROUTES.items()
    for names in [f"({'|'.join([call, *(s for s, long in _SHORT.items() if long == call)])})"]
    for path in (
        DirectPath(re.compile(f"/v1/{names}/?"), route, take, told=told),
        DirectPath(re.compile(f"/v1/{names}/?"), route, preflight, ("OPTIONS",)),
    )
)
