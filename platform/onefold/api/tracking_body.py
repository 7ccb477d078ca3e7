"""What a tracking request may hold: one event, or a `batch` of them with what they share; bounded as SDKs expect.

A request that cannot be read is refused, naming the field. Of a batch, an event that is none is kept with the reason
and the others land: an SDK that is told 4xx throws the whole batch away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from onefold.api.errors import FieldError
from onefold.api.ingest_body import Bounds, TooLarge, Unsupported, depth_over
from onefold.api.tracking_event import moment, row
from onefold.api.tracking_privacy import Asked, verdict, without_person
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.sending import TrackingOptions
from onefold_storage.spool_frames import INVALID, SUPPRESSED

LARGEST: Final = 512_000
LARGEST_EVENT: Final = 32 << 10
MOST_EVENTS: Final = 2_500
_START: Final = 1_024
_KINDS: Final = ("application/json", "text/plain", "")
"""Browsers send text/plain, which asks nobody's leave before."""


@dataclass(frozen=True)
class Sent:
    """A request's events, as they came. `call`: the route of a single one; None for a batch."""

    events: list[Any]
    call: str | None
    sent_at: datetime | None
    write_key: str | None


@dataclass
class Rows:
    """Lines for the log. `suppressed`, `withheld`: how many events, by reason; `invalid`: where, and why."""

    lines: list[bytes] = field(default_factory=list)
    suppressed: dict[str, int] = field(default_factory=dict)
    withheld: dict[str, int] = field(default_factory=dict)
    invalid: list[FieldError] = field(default_factory=list)


def parsed(body: bytes, kind: str) -> dict[str, Any]:
    """The object that a body holds.

    Raises:
        Unsupported: not a content type that is taken. FieldError: not a JSON object.
    """
    if kind not in _KINDS:
        raise Unsupported("Content-Type: expected application/json (or text/plain, from browsers)")
    if not body.strip():
        raise FieldError("body", "is empty: expected a JSON object")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _mended(body)
        if value is None:
            raise FieldError("body", f"is not valid JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(value, dict):
        raise FieldError("body", "expected a JSON object")
    return value


def read(value: dict[str, Any], call: str | None) -> Sent:
    """What a request's object sends. `call`: the route of a single event; None where it is a batch.

    Raises:
        FieldError: no events. TooLarge: too many.
    """
    key = value.get("writeKey")
    if key is not None and not isinstance(key, str):
        raise FieldError("writeKey", "expected text")
    if call is not None:
        return Sent([value], call, None, key)
    events = value.get("batch")
    if not isinstance(events, list) or not events:
        raise FieldError("batch", "expected an array of at least one event")
    if len(events) > MOST_EVENTS:
        raise TooLarge(f"batch: at most {MOST_EVENTS} events are taken at once, found {len(events)}")
    shared = value.get("context")
    if isinstance(shared, dict) and shared:
        events = [_with_context(event, shared) for event in events]
    return Sent(events, None, moment(value.get("sentAt"), "sentAt"), key)


def rows(
    sent: Sent, asked: Asked, options: TrackingOptions, paths: Iterable[str], received: datetime, bounds: Bounds,
    keyed: KeyedHash,
) -> Rows:  # fmt: skip
    """The lines of a request's events.

    Raises:
        FieldError, TooLarge: the one event of a single call is none.
    """
    found, columns = Rows(), tuple(paths)
    for n, event in enumerate(sent.events):
        try:
            line = _line(event, sent, asked, options, columns, received, bounds, keyed, found)
        except FieldError as error:
            if sent.call:
                raise
            told = FieldError(f"batch.{n}.{error.field}", str(error).split(": ", 1)[1])
            found.invalid.append(told)
            line = _invalid(event, "tracking", error, bounds)
        except TooLarge as error:
            if sent.call:
                raise
            told = FieldError(f"batch.{n}", str(error))
            found.invalid.append(told)
            line = _invalid(event, "too_long", FieldError("event", str(error)), bounds)
        found.lines.append(line)
    return found


def _line(
    event: Any, sent: Sent, asked: Asked, options: TrackingOptions, paths: tuple[str, ...], received: datetime,
    bounds: Bounds, keyed: KeyedHash, found: Rows,
) -> bytes:  # fmt: skip
    if not isinstance(event, dict):
        raise FieldError("event", "expected a JSON object")
    decided = verdict(event, asked, options)
    if decided.outcome == "suppress":
        return _suppressed(found, decided.reason)
    text = orjson.dumps(event)
    if len(text) > LARGEST_EVENT:
        raise TooLarge(f"an event is too large: at most {LARGEST_EVENT} bytes are taken")
    if depth_over(text, bounds.depth):
        raise FieldError("event", f"is nested too deeply: at most {bounds.depth} levels are taken")
    made: dict[str, Any] | None = row(event, sent.call, sent.sent_at, received, paths, keyed)
    if made and decided.outcome == "without_person":
        made = without_person(made, decided.reason)
        if made is None:
            return _suppressed(found, decided.reason)
        _count(found.withheld, decided.reason)
    return orjson.dumps(made)


def _suppressed(found: Rows, reason: str | None) -> bytes:
    _count(found.suppressed, reason)
    return SUPPRESSED


def _count(counts: dict[str, int], reason: str | None) -> None:
    counts[str(reason)] = counts.get(str(reason), 0) + 1


def _invalid(event: Any, rule: str, error: FieldError, bounds: Bounds) -> bytes:
    """A line that becomes a failed event; of one that is too large or too deep only the start stays."""
    if isinstance(event, dict):
        event = {k: v for k, v in event.items() if k != "writeKey"}
    text = orjson.dumps(event)
    whole = len(text) <= LARGEST_EVENT and not depth_over(text, bounds.depth)
    kept = (text if whole else text[:_START]).decode(errors="ignore")
    facts = {"rule": rule, "field": error.field, "message": str(error), "event": kept}
    return INVALID + orjson.dumps(facts)


def _with_context(event: Any, shared: dict[str, Any]) -> Any:
    """An event with the context of its batch, of which its own comes first."""
    if not isinstance(event, dict):
        return event
    own = event.get("context")
    if own is not None and not isinstance(own, dict):
        return event
    return {**event, "context": {**shared, **(own or {})}}


def _mended(body: bytes) -> Any:
    """JSON with half of a surrogate pair in it, as JavaScript writes text that was cut in two; None for other."""
    if b"\\u" not in body:
        return None
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False, allow_nan=False)
        return orjson.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
