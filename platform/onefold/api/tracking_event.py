"""One tracking event, as SDKs send it, to one row: whose it is, what happened, and when.

Nothing is decided here about what it means: the row's columns are what a contract's maps are made of. Beside what
was sent there are keys, each null where it does not apply, so that a map that is keyed by one takes the rows it is for:

- `interaction_id`: of track, page and screen; `person_id`: whom it belongs to, the user or else the device;
- `device_id`: where a user is known on a device (or, by alias, under an earlier ID): from here on the device's
  history is that user's; `profile_id`: an identify with traits that the contract names, one record for each set of
  them, so that a later identify adds to an earlier one; `visitor_id`: an identify without a user;
- `alias_id`, `account_id`: the earlier ID of an alias, the organisation of a group.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from onefold.api.errors import FieldError
from onefold_storage.keyed_hash import KeyedHash

CALLS: Final = ("track", "identify", "page", "screen", "group", "alias")
ROOTS: Final = ("traits.", "properties.", "context.", "group.")
"""How columns begin that are paths into an event; `group.` are the traits of a group."""
_LONGEST_ID = 512
_LONGEST_NAME = 1_024
_NOBODY = re.compile(
    r"[0\W_]*|-1|null|undefined|none|nil|nan|n/?a|anonymous|guest|unknown|\[object object\]", re.IGNORECASE
)
_TIME = "expected a time in ISO 8601, such as 2018-01-31T09:30:00.000Z"
_SENT = (
    "type", "messageId", "userId", "anonymousId", "previousId", "groupId", "event", "name", "category", "traits",
    "properties", "context", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "channel", "writeKey",
)  # fmt: skip


def row(
    event: dict[str, Any], call: str | None, sent_at: datetime | None, received: datetime, paths: Iterable[str],
    keyed: KeyedHash,
) -> dict[str, Any]:  # fmt: skip
    """The row of an event; what it does not say is left out.

    `call`: by which route it came, for a single one. `sent_at`: of its batch. `paths`: columns of the contract that
    are paths.

    Raises:
        FieldError: what is missing or of another kind; the message names the field and holds no value.
    """
    kind = _kind(event, call)
    objects = {name: _object(event, name) for name in ("traits", "properties", "context")}
    user, device = _id(event, "userId"), _id(event, "anonymousId")
    earlier, group = _id(event, "previousId"), _id(event, "groupId")
    _complete(kind, event, user, device, earlier, group)
    name, category = _text(event, "name"), _text(event, "category")
    original = _time(event, "originalTimestamp") or _time(event, "timestamp")
    sent = _time(event, "sentAt") or sent_at
    found = {
        "message_id": _id(event, "messageId", placeholders=True) or secrets.token_hex(16),
        "type": kind,
        "kind": {"page": "page_view", "screen": "screen_view"}.get(kind, event.get("event") or kind),
        "event": event.get("event"),
        "name": name,
        "category": category,
        "user_id": user,
        "anonymous_id": device,
        "previous_id": earlier if kind == "alias" else None,
        "group_id": group,
        "at": _told(corrected(original, sent, received)),
        "received_at": _told(received),
        "sent_at": _told(sent),
        "original_timestamp": _told(original),
        "channel": _text(event, "channel"),
        **objects,
        "rest": {k: v for k, v in event.items() if k not in _SENT} or None,
    }
    picked = {path: _picked(kind, objects, path) for path in paths}
    found |= picked | _keys(found, picked, keyed)
    return {k: v for k, v in found.items() if v is not None}


def corrected(original: datetime | None, sent: datetime | None, received: datetime) -> datetime:
    """When it happened, by our clock: as long before it was received as, by the sender's clock, before it was sent.

    Never later than it was received.
    """
    if original is None:
        return received
    if sent is not None:
        return received - max(sent - original, timedelta(0))
    return min(original, received)


def moment(value: Any, field: str) -> datetime | None:
    """A time as it was sent, in UTC; without a zone it is UTC.

    Raises:
        FieldError: it is none, or before 1970.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > 40:
        raise FieldError(field, _TIME)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise FieldError(field, _TIME) from None
    if not 1970 <= found.year <= 9998:
        raise FieldError(field, f"{_TIME}, and not before 1970")
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _keys(found: dict[str, Any], picked: dict[str, Any], keyed: KeyedHash) -> dict[str, str | None]:
    kind, user, device = found["type"], found["user_id"], found["anonymous_id"]
    known = device if user else None
    keys: dict[str, str | None] = {"person_id": user or f"device/{device}"}
    if kind in ("track", "page", "screen"):
        keys["interaction_id"] = found["message_id"]
    elif kind == "alias":
        known = found["previous_id"]
        keys["alias_id"] = f"alias/{known}/{user}"
    elif kind == "group":
        keys["account_id"] = f"group/{found['group_id']}"
    elif kind == "identify":
        traits = {p: v for p, v in sorted(picked.items()) if p.startswith("traits.") and v is not None}
        if traits:
            keys["profile_id"] = f"profile/{keyed.of_bytes(user or f'device/{device}', orjson.dumps(traits))}"
        if not user:
            known = keys["visitor_id"] = device
    if known:
        keys["device_id"] = f"device/{known}"
    return keys


def _kind(event: dict[str, Any], call: str | None) -> str:
    kind = event.get("type", call)
    if kind not in CALLS:
        raise FieldError("type", f"expected one of {', '.join(CALLS)}")
    if call and kind != call:
        raise FieldError("type", f"expected {call}, as the route says, or nothing")
    return str(kind)


def _complete(
    kind: str, event: dict[str, Any], user: str | None, device: str | None, earlier: str | None, group: str | None
) -> None:
    if kind == "alias":
        if not earlier:
            raise FieldError("previousId", "expected the ID that the user had before")
        if not user:
            raise FieldError("userId", "expected the ID that the user has from now on")
    elif not (user or device):
        raise FieldError("userId", "expected a userId or an anonymousId that names one person or device")
    if kind == "group" and not group:
        raise FieldError("groupId", "expected the ID of the group")
    if kind == "track" and not event.get("event"):
        raise FieldError("event", "expected the name of what happened")
    _text(event, "event")


def _id(event: dict[str, Any], field: str, *, placeholders: bool = False) -> str | None:
    """An ID as text; None where there is none, or a word that stands for none."""
    value = event.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FieldError(field, "expected text or a whole number")
    text = str(value).strip()
    if len(text) > _LONGEST_ID:
        raise FieldError(field, f"expected at most {_LONGEST_ID} characters")
    if not text or (not placeholders and _NOBODY.fullmatch(text)):
        return None
    return text


def _text(event: dict[str, Any], field: str) -> str | None:
    value = event.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise FieldError(field, f"expected text of at most {_LONGEST_NAME} characters")
    return value


def _object(event: dict[str, Any], field: str) -> dict[str, Any] | None:
    value = event.get(field)
    if value is not None and not isinstance(value, dict):
        raise FieldError(field, "expected an object")
    return value or None


def _time(event: dict[str, Any], field: str) -> datetime | None:
    return moment(event.get(field), field)


def _told(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def _picked(kind: str, objects: dict[str, dict[str, Any] | None], path: str) -> Any:
    """What stands at a path; traits are a person's, but for a group's."""
    root, _, rest = path.partition(".")
    if root in ("traits", "group") and (root == "group") != (kind == "group"):
        return None
    return at(objects["traits" if root == "group" else root], rest)


def at(value: Any, path: str) -> Any:
    """The value at a path of keys; None where one is missing."""
    for key in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
