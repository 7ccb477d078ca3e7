"""POST /v1/ingest/{source}: events of a source, safe when the answer comes; and what became of them."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from onefold.api import errors, ingest_body
from onefold.api.answers import NOT_FOUND, PROBLEMS, Answer, said
from onefold.api.auth import caller, tokens
from onefold.api.context import Context, Shared
from onefold.api.errors import FieldError
from onefold.api.examples import EVENTS, RECEIPT, TAKEN, answers
from onefold.api.shapes import ReceiptState, Taken
from onefold_storage.errors import BadContract, Conflict, Forbidden, OnefoldError, Unavailable
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.keys import Key
from onefold_storage.receipts import Receipt, standing
from onefold_storage.spool_frames import Frame

router = APIRouter(tags=["ingest"])

_KEY_LENGTH = 255
_Source = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="the id of its data contract")]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    409: said("The Idempotency-Key was used with other events, or the source takes none over HTTP"),
    413: said("The body or the number of events is beyond its bound"),
    415: said("The content type or encoding is not taken"),
    504: said("The events are in the log and were not committed in time; ask the receipt"),
    507: said("The log is full; Retry-After says when to send again. Nothing was taken"),
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": ["object", "array"]}, "examples": EVENTS},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    },
    "security": [{"Bearer key": []}, {"Key header": []}],
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "schema": {"type": "string", "minLength": 1, "maxLength": _KEY_LENGTH},
            "description": "names the request: sent again, nothing is taken twice and the same receipt is given",
        }
    ],
}


@router.post(
    "/v1/ingest/{source}",
    summary="Send events",
    status_code=202,
    response_model=Taken,
    responses=PROBLEMS | NOT_FOUND | _PROBLEMS | answers(TAKEN, 202),
    openapi_extra=_BODY,
)
async def take(source: str, request: Request) -> Answer:
    """One event (a JSON object), a batch (an array of them), or NDJSON (`application/x-ndjson`), perhaps with
    `Content-Encoding: gzip`.

    Answered with 202 when the events are synced to the write-ahead log: they are then landed exactly once, within
    seconds or when storage is back. Where the contract says `durability: storage`, the answer waits for the commit
    and is 200 with what became of the events. An event that is no JSON object (`invalid`) or breaks the contract is
    kept as a failed event; the others land.
    """
    shared: Context = request.app.state.context
    await _allowed(request, shared, source)
    if not shared.contracts.fresh:
        await asyncio.to_thread(shared.contracts.look)
    try:
        contract = shared.contracts.last(source)
    except BadContract as error:
        raise Unavailable(f"{source}: its contract is not valid now, so its events are not taken") from error
    if contract.rules.connector != "http":
        raise Conflict(
            f"{source} takes no events over HTTP: its contract says connector {contract.rules.connector}"
        )
    headers, bounds = request.headers, shared.bounds
    body = ingest_body.inflate(
        await request.body(), headers.get("content-encoding", "").strip().lower(), bounds
    )  # fmt: skip
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    events = ingest_body.read(body, kind, bounds)
    wait = contract.rules.durability == "storage"
    frame = _frame(shared.hashed, source, events, headers.get("idempotency-key"))
    receipt = await shared.events.add(frame, at_once=wait)
    told = {
        "receipt": receipt.text(shared.hashed),
        "source": source,
        "accepted": receipt.events,
        "invalid": events.invalid,
        "state": "acknowledged",
    }
    if not wait:
        return Answer(told, status_code=202)
    outcome = await shared.events.outcome(receipt, shared.settings.ingest_commit_seconds)
    told |= await asyncio.to_thread(_standing, shared, receipt)
    if outcome is None and told["state"] == "acknowledged":
        raise NotCommitted(f"the events are in the log, receipt {told['receipt']}, and were not committed in time")
    return Answer(told, status_code=200 if told["state"] == "committed" else 202)


@router.get(
    "/v1/ingest/{source}/receipts/{receipt}",
    summary="What became of events",
    response_model=ReceiptState,
    responses=PROBLEMS | NOT_FOUND | answers(RECEIPT),
)
def receipt(source: _Source, receipt: str, shared: Shared, key: Annotated[Key, Depends(caller)]) -> Answer:
    """`acknowledged` (in a log, not yet committed), `held` (until the contract is amended; nothing is lost), or
    `committed`, with how many of the request's events landed, failed, or were suppressed.
    """
    _may_send(key, source)
    found = Receipt.read(shared.hashed, source, receipt)
    return Answer({"receipt": receipt, "source": source, "events": found.events, **_standing(shared, found)})


class Direct:
    """ASGI middleware that hands `POST /v1/ingest/{source}` to `take` itself.

    Measured: of a request's time FastAPI's routing, dependencies and answer took three quarters, for a route that
    uses none of them. Everything else, and whatever does not look like this path, goes the usual way.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        sent = scope["type"] == "http" and scope["method"] == "POST"
        found = _PATH.fullmatch(scope["path"]) if sent else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE  # what logs and metrics call it
        request = Request(scope, receive)
        try:
            answer = await take(found[1], request)
        except ClientDisconnect:
            return  # nobody is there to be answered, and nothing was taken
        except (OnefoldError, SQLAlchemyError) as error:
            answer = errors.answer(request, error)
        await answer(scope, receive, send)


class NotCommitted(Unavailable):
    """In the log, not in storage; it will be."""

    status = 504


_PATH = re.compile(r"/v1/ingest/([a-z][a-z0-9_]{0,62})")
_ROUTE = next(r for r in router.routes if getattr(r, "endpoint", None) is take)


async def _allowed(request: Request, shared: Context, source: str) -> None:
    """Check the key and its scope; a key that was verified within the second costs nothing."""
    token = tokens(request.headers)
    ring = request.app.state.keys
    key = ring.known(token) or await asyncio.to_thread(ring.verify, shared.ledger.keys, token)
    request.state.actor = key.id
    _may_send(key, source)


def _may_send(key: Key, source: str) -> None:
    if not key.may_send(source):
        raise Forbidden("this API key has no scope `ingest`, nor one for this source (`ingest:SOURCE`)")


def _frame(hashed: KeyedHash, source: str, events: ingest_body.Events, key: str | None) -> Frame:
    if key is None:
        return Frame(source, events.lines, events.count)
    if not 1 <= len(key) <= _KEY_LENGTH:
        raise FieldError("Idempotency-Key", f"expected 1 to {_KEY_LENGTH} characters")
    digest = hashed.of_bytes("request body", events.lines)
    return Frame(
        source, events.lines, events.count, key=hashed.of("idempotency key", f"{source} {key}"), digest=digest
    )


def _standing(shared: Context, receipt: Receipt) -> dict[str, Any]:
    return standing(receipt, shared.ledger, shared.lake, shared.events.spool)
