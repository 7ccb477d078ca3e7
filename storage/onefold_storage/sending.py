"""Sources that send to us over HTTP: what their contracts say about who is let in, and what is not kept.

A person writes these as the contract's `options`; they are checked with the contract, because the API, which takes
the events, has no other place to be told.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

Outcome = Literal["suppress", "without_person", "keep"]
"""`suppress`: counted, and nothing of it is kept. `without_person`: that it happened is kept, not to whom."""

_SECRET = re.compile(r"^\$\{([A-Za-z_][A-Za-z0-9_]*|file:[^}]+)\}$")
_HEADER = r"^[A-Za-z][A-Za-z0-9-]{0,63}$"


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SentOptions(_Options):
    """What every such source may say.

    `events_per_second`: more than that are refused, to be sent again later; counted by each replica of the API for
    itself. One request may hold more, and the next then waits for longer.
    """

    events_per_second: float | None = Field(default=None, gt=0)


class TrackingConsent(_Options):
    """Where an event says that its person agreed to be tracked, and what happens where they did not, or are silent.

    `path`: into the event, such as `context.consent.categoryPreferences.Analytics`.
    """

    path: str = Field(pattern=r"^(context|properties|traits)(\.[^.]+)+$")
    denied: Outcome = "suppress"
    missing: Outcome = "without_person"


class TrackingOptions(SentOptions):
    """What becomes of tracking events that were not meant to be, or that nobody agreed to.

    `bots`: events of programs that name themselves in the user agent. `do_not_track`: of browsers that send `DNT: 1`
    or `Sec-GPC: 1`, or whose context says so. `consent`: left out, no event is asked for it. Of several, the
    strictest decides. `origins`: web pages that may send, as browsers name them; `*` is every page.
    """

    bots: Outcome = "suppress"
    do_not_track: Outcome = "suppress"
    consent: TrackingConsent | None = None
    origins: tuple[str, ...] = Field(default=("*",), min_length=1)


class Signature(_Options):
    """How a sender signs its webhooks: HMAC with SHA-256.

    `style`: `hex` (`X-Hub-Signature-256: sha256=…`, with `prefix: sha256=`), `base64` (`X-Shopify-Hmac-Sha256: …`),
    or `timestamped` (`Stripe-Signature: t=…,v1=…`, of which what is older than `tolerance_s` is refused).
    `secret`: named, as `${NAME}` or `${file:PATH}`; several while one takes the other's place.
    """

    header: str = Field(pattern=_HEADER)
    style: Literal["hex", "base64", "timestamped"] = "hex"
    prefix: str = ""
    secret: tuple[str, ...] = Field(min_length=1)
    tolerance_s: float = Field(default=300, gt=0, le=86_400)

    @field_validator("secret", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("secret")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_SECRET.match(v) for v in value):
            raise ValueError("is a secret; expected its name, as ${NAME} (environment) or ${file:PATH}")
        return value


class WebhookOptions(SentOptions):
    """A webhook is let in by its signature alone."""

    signature: Signature


SENT: Final[dict[str, type[SentOptions]]] = {
    "http": SentOptions,
    "tracking": TrackingOptions,
    "webhook": WebhookOptions,
}
"""Connectors that read nowhere, because events are sent to us, with the model of their options."""


def problem_of(connector: str, options: dict[str, Any]) -> str | None:
    """What is wrong with the options of such a connector; None where nothing is. It never holds a value."""
    model = SENT.get(connector)
    if model is None:
        return None
    try:
        model.model_validate(options)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in detail["loc"]) or "options"
        known = (
            f"; {connector} knows {', '.join(model.model_fields)}" if detail["type"] == "extra_forbidden" else ""
        )
        return f"{at}: {detail['msg']}{known}"
    return None
