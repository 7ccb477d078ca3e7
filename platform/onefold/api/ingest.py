"""POST /v1/ingest/{source}: events of a source, safe when the answer comes; and what became of them."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from onefold.api import ingest_body
from onefold.api.answers import NOT_FOUND, PROBLEMS, Answer, said
from onefold.api.auth import KeyRing, caller, tokens
from onefold.api.context import Context, Shared
from onefold.api.direct import DirectPath
from onefold.api.errors import FieldError
from onefold.api.examples import EVENTS, RECEIPT, TAKEN, answers
from onefold.api.shapes import ReceiptState, Taken
from onefold_storage.contracts import Contract
from onefold_storage.errors import BadContract, Conflict, Forbidden, Unavailable
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.keys import Key
from onefold_storage.receipts import Receipt, standing
from onefold_storage.scopes import INGEST, lacking
from onefold_storage.spool_frames import Frame

router = APIRouter(tags=["ingest"])

_KEY_LENGTH = 255
_QUICK = 256 << 10
"""Bytes that are read while other requests wait: some milliseconds. A thread would cost a small one more."""
_Source = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="the id of its data contract")]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    409: said("The Idempotency-Key was used with other events, or the source takes none over HTTP"),
    413: said("The body or the number of events is beyond its bound"),
    415: said("The content type or encoding is not taken"),
    429: said("The source sends faster than its contract allows; Retry-After says when to send again"),
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
    contract = await contract_of(shared, source)
    if contract.rules.connector != "http":
        raise Conflict(
            f"{source} takes no events over HTTP: its contract says connector {contract.rules.connector}"
        )
    events = await read(request, await request.body(), shared)
    return await answered(
        shared,
        contract,
        events.invalid,
        _frame(shared.hashed, source, events, request.headers.get("idempotency-key")),
    )


async def contract_of(shared: Context, source: str) -> Contract:
    """The contract of a source; where it is not valid now, the last one that was.

    Raises:
        NotFound: there is none. Unavailable: none was valid since this process began.
    """
    if not shared.contracts.fresh:
        await asyncio.to_thread(shared.contracts.look)
    try:
        return shared.contracts.last(source)
    except BadContract as error:
        raise Unavailable(f"{source}: its contract is not valid now, so its events are not taken") from error


async def read(request: Request, body: bytes, shared: Context) -> ingest_body.Events:
    """The events of a request's body, by its content type and encoding.

    Raises:
        Unsupported, TooLarge, FieldError: as `ingest_body` says.
    """
    headers = request.headers
    encoding = headers.get("content-encoding", "").strip().lower()
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if encoding in ingest_body.PLAIN and len(body) <= _QUICK:
        return _read(body, encoding, kind, shared.bounds)
    return await asyncio.to_thread(_read, body, encoding, kind, shared.bounds)


def _read(body: bytes, encoding: str, kind: str, bounds: ingest_body.Bounds) -> ingest_body.Events:
    return ingest_body.read(ingest_body.inflate(body, encoding, bounds), kind, bounds)


async def answered(shared: Context, contract: Contract, invalid: int, frame: Frame) -> Answer:
    """Keep a request's events, and the answer: at once, or after the commit where the contract says so.

    Raises:
        TooMany: the source sends faster than its contract allows.
        NotCommitted: the commit took too long; the events are in the log.
    """
    shared.rates.admit(contract, frame.events)
    wait = contract.rules.durability == "storage"
    receipt = await shared.events.add(frame, at_once=wait)
    told = {
        "receipt": receipt.text(shared.hashed),
        "source": contract.id,
        "accepted": receipt.events,
        "invalid": invalid,
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


class NotCommitted(Unavailable):
    """In the log, not in storage; it will be."""

    status = 504


DIRECT = DirectPath(
    re.compile(r"/v1/ingest/([a-z][a-z0-9_]{0,62})"),
    next(r for r in router.routes if getattr(r, "endpoint", None) is take),
    take,
)


async def _allowed(request: Request, shared: Context, source: str) -> None:
    """Check the key and its scope; a key that was verified within the second costs nothing."""
    _may_send(await verified(request, shared, tokens(request.headers)), source)


async def verified(request: Request, shared: Context, token: str) -> Key:
    """The key of a token.

    Raises:
        Unauthorised: it is not valid.
    """
    ring: KeyRing = request.app.state.keys
    key = ring.known(token)
    if key is None:
        key = await asyncio.to_thread(ring.verify, shared.ledger.keys, token)
    request.state.actor = key.id
    return key


def _may_send(key: Key, source: str) -> None:
    if not key.may_send(source):
        raise Forbidden(lacking(INGEST))


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
