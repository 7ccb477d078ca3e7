"""POST /v1/webhooks/{source}: events that another system sends by itself, let in by their signature.

A webhook has no API key. Whoever shows no signature of the source's secret learns nothing, not even whether the
source exists. The same bytes are the same event: sent again, by the sender or by somebody who recorded them, they
change nothing for `ONEFOLD_INGEST_KEY_DAYS`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from fastapi.security import APIKeyHeader

from onefold.api.answers import PROBLEMS, said
from onefold.api.context import Context
from onefold.api.direct import DirectPath
from onefold.api.examples import EVENTS, TAKEN, answers
from onefold.api.ingest import answered, contract_of, read
from onefold.api.shapes import Taken
from onefold.api.signatures import signed
from onefold_storage.clock import SystemClock
from onefold_storage.contracts import Contract
from onefold_storage.errors import BadInput, NotFound, Unauthorised, Unavailable
from onefold_storage.sending import Signature, WebhookOptions
from onefold_storage.spool_frames import Frame

router = APIRouter(tags=["ingest"])

_log = logging.getLogger(__name__)
_signature = APIKeyHeader(
    name="X-Signature", auto_error=False, scheme_name="Signature",
    description="HMAC-SHA-256 of the body; the source's contract says in which header and style",
)  # fmt: skip
_REFUSED: Final = (
    "no valid signature: it has to be of this source's secret, over the bytes that were sent, and recent"
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: said("No signature, a wrong one, or one that is too old; or no such source"),
    413: said("The body or the number of events is beyond its bound"),
    415: said("The content type or encoding is not taken"),
    429: said("The source sends faster than its contract allows; Retry-After says when to send again"),
    504: said("The events are in the log and were not committed in time"),
    507: said("The log is full; Retry-After says when to send again. Nothing was taken"),
}


@router.post(
    "/v1/webhooks/{source}",
    summary="Receive a webhook",
    status_code=202,
    response_model=Taken,
    responses={k: v for k, v in PROBLEMS.items() if k != 403} | _PROBLEMS | answers(TAKEN, 202),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": ["object", "array"]}, "examples": EVENTS},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        },
        "security": [{"Signature": []}],
    },
)
async def take(
    source: str, request: Request, _given: Annotated[str | None, Security(_signature)] = None
) -> Response:
    """One event, an array of them or NDJSON, as `POST /v1/ingest/{source}` takes them; signed by its sender."""
    shared: Context = request.app.state.context
    body = await request.body()  # before anything is known of the source: its bound is answered to all alike
    contract = await _contract(shared, source)
    rule = WebhookOptions.model_validate(contract.rules.options).signature
    secrets = await asyncio.to_thread(_secrets, contract, rule)
    if not signed(request.headers.get(rule.header), body, rule, secrets, SystemClock().now()):
        raise Unauthorised(_REFUSED)
    events = await read(request, body, shared)
    digest = shared.hashed.of_bytes("request body", body)
    key = shared.hashed.of("webhook", f"{source} {digest}")
    frame = Frame(source, events.lines, events.count, key=key, digest=digest)
    return await answered(shared, contract, events.invalid, frame)


async def _contract(shared: Context, source: str) -> Contract:
    """The contract of a source of webhooks; any other one is none, and so is one that was never valid."""
    try:
        contract = await contract_of(shared, source)
    except NotFound:
        raise Unauthorised(_REFUSED) from None
    except Unavailable as error:
        _log.error("webhooks are refused: %s", error)
        raise Unauthorised(_REFUSED) from None
    if contract.rules.connector != "webhook":
        raise Unauthorised(_REFUSED)
    return contract


def _secrets(contract: Contract, rule: Signature) -> list[bytes]:
    """The secrets, read anew: one that is replaced holds from the next request on.

    None where one cannot be read, and nothing is signed then: the log says why, the sender is not told.
    """
    from onefold_workers.connectors import _locations

    try:
        return [
            _locations.secret(s, f"{contract.id}: onefold.options.signature.secret").value.encode()
            for s in rule.secret
        ]
    except BadInput as error:
        _log.error("webhooks are refused: %s", error)
        return []


DIRECT: Final = DirectPath(
    re.compile(r"/v1/webhooks/([a-z][a-z0-9_]{0,62})"),
    next(r for r in router.routes if getattr(r, "endpoint", None) is take),
    take,
)
