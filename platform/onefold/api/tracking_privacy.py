"""Whether an event is kept: bots, people who do not want to be tracked, and those who did not agree to it.

Decided before anything is written: of what is suppressed not even the log holds more than that it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers

from onefold.api.bots import is_bot
from onefold.api.tracking_event import at
from onefold_storage.sending import Outcome, TrackingOptions
from onefold_workers.mapping_words import GRANTED

_STRICTNESS: Final[dict[Outcome, int]] = {"keep": 0, "without_person": 1, "suppress": 2}
_IMPERSONAL = ("message_id", "type", "kind", "event", "category", "at", "received_at", "channel", "interaction_id")
_YES = (True, 1, "1", "true", "yes")


@dataclass(frozen=True)
class Asked:
    """What the request itself says: a browser's user agent (None where no browser sent it), and its wish."""

    user_agent: str | None
    wish: str | None

    @classmethod
    def by(cls, headers: Headers) -> Asked:
        """Out of a request's headers. A server that sends for others names only itself."""
        agent = headers.get("user-agent", "")
        browser = "origin" in headers or "sec-fetch-mode" in headers or agent.startswith("Mozilla/")
        wish = "gpc" if headers.get("sec-gpc") == "1" else "dnt" if headers.get("dnt") == "1" else None
        return cls(agent if browser else None, wish)


@dataclass(frozen=True)
class Verdict:
    """What becomes of an event, and why: bot, dnt, gpc, denied, no_consent; None where it is kept."""

    outcome: Outcome = "keep"
    reason: str | None = None


def verdict(event: dict[str, Any], asked: Asked, options: TrackingOptions) -> Verdict:
    """The strictest of what the contract's options say about an event."""
    context = event.get("context")
    context = context if isinstance(context, dict) else {}
    found = [Verdict()]
    agent = context.get("userAgent", asked.user_agent)
    if isinstance(agent, str) and is_bot(agent):
        found.append(Verdict(options.bots, "bot"))
    wish = asked.wish or _wish(context)
    if wish:
        found.append(Verdict(options.do_not_track, wish))
    if options.consent:
        given = at(event, options.consent.path)
        if given is None:
            found.append(Verdict(options.consent.missing, "no_consent"))
        elif not _agreed(given):
            found.append(Verdict(options.consent.denied, "denied"))
    return max(found, key=lambda v: _STRICTNESS[v.outcome])


def without_person(row: dict[str, Any], reason: str | None) -> dict[str, Any] | None:
    """What is left of a row that must not say whom it is about: that it happened. None where that is nothing."""
    if "interaction_id" not in row:
        return None
    return {k: v for k, v in row.items() if k in _IMPERSONAL} | {"withheld": reason}


def _wish(context: dict[str, Any]) -> str | None:
    for key, reason in (("globalPrivacyControl", "gpc"), ("gpc", "gpc"), ("doNotTrack", "dnt"), ("dnt", "dnt")):
        value = context.get(key)
        if (value.lower() if isinstance(value, str) else value) in _YES:
            return reason
    return None


def _agreed(given: Any) -> bool:
    return given is True or (isinstance(given, str) and given.strip().lower() in GRANTED)
