"""What the API answers with, described once: the OpenAPI pages show it, tests hold the answers to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Base: what is not described here is not answered."""

    model_config = ConfigDict(extra="forbid")


class Reason(Shape):
    """One feature that moved a score, largest effect first."""

    feature: str | None
    value: str | None
    effect: float | None = Field(description="its share in the score, in the model's own terms")
    text: str | None = Field(description="the same for people", examples=["40 days since the last purchase"])


class Score(Shape):
    """A model's score of one customer."""

    model: str = Field(examples=["churn"])
    model_version: str
    score: float
    rank: int = Field(description="1 is the best of all customers the model scored")
    as_of: datetime = Field(description="the cut-off that its features were computed at")
    run_id: str | None = Field(description="the flow run that computed it")
    reasons: list[Reason] | None


class Offer(Shape):
    """A next best offer."""

    rank: int
    offer: str = Field(description="item category", examples=["COFFEE"])
    score: float
    model: str
    model_version: str
    as_of: datetime
    reasons: list[Reason] | None


class Consent(Shape):
    """What the customer allowed or forbade, as the sources told it; what holds now is under `may_contact`."""

    data_use: str
    channel: str
    state: Literal["GRANTED", "DENIED", "REVOKED"]
    lawful_basis: str | None
    subject_kind: str = Field(description="record, email, phone, or an external ID's scheme")
    source: str
    effective_at: datetime


class MayContact(Shape):
    """Whether the customer may be contacted for a data use through a channel, now."""

    data_use: str = Field(examples=["marketing"])
    channel: str = Field(examples=["email"])
    allowed: bool
    lawful_basis: str | None
    reason: str = Field(description="why, or why not", examples=["granted", "denied", "no_contact_point"])
    contact_points: list[str] | None = Field(
        description="the emails or phone numbers that may be used, and no others; none where contact is not allowed, "
        "null where the channel goes to none (post)"
    )
    live: bool = Field(default=False, description="a wish recorded by `POST /v1/consents` forbids")


class ExternalId(Shape):
    """An identifier from a source."""

    scheme: str = Field(examples=["loyalty_card"])
    value: str


class Address(Shape):
    """Where somebody is or was."""

    house_number: str | None
    street: str | None
    address_line2: str | None
    city: str | None
    region: str | None
    postcode: str | None
    country: str | None


class Household(Shape):
    """Who lives together, as sources say or as one name at one address tells."""

    household_id: str
    members: list[str] = Field(description="golden IDs, the customer's among them")


class InteractionCounts(Shape):
    """How many interactions there are, and how many of them (the newest) can be listed."""

    total: int
    kept: int


class Customer(Shape):
    """One golden record with everything known."""

    golden_id: str
    merged_from: str | None = Field(description="the golden ID asked for, where it was merged into this one")
    publication: str = Field(description="version of the publication that answers")
    profile: dict[str, Any] = Field(description="the person's attributes: given_name, family_name, email, city, …")
    emails: list[str] | None
    phones: list[str] | None
    external_ids: list[ExternalId] | None = Field(description="every one of every record, devices among them")
    addresses: list[Address] | None = Field(description="every address of every record, the winner first")
    overridden: list[str] | None = Field(
        description="fields of the profile that a person set, whatever sources say"
    )
    household: Household | None
    records: int = Field(description="contact records behind it")
    sources: list[str] | None
    first_seen: datetime | None
    last_seen: datetime | None
    attributes: dict[str, Any]
    provenance: dict[str, Any] = Field(description="the record key that each field came from")
    traits: dict[str, float | str | None]
    currency: str | None = Field(description="of the money in traits and value scores, ISO 4217")
    segments: list[str]
    scores: list[Score]
    offers: list[Offer]
    consents: list[Consent]
    may_contact: list[MayContact]
    interactions: InteractionCounts


class Found(Shape):
    """A customer that a search found."""

    golden_id: str
    name: str | None
    organisation: str | None
    city: str | None
    last_seen: datetime | None


class SearchAnswer(Shape):
    """Customers found; identifiers find exactly, names by their beginning."""

    customers: list[Found]
    more: bool = Field(description="there are others: narrow the search")


class Item(Shape):
    """A product, service, device or campaign."""

    key: str
    name: str | None
    category: str | None
    brand: str | None


class Interaction(Shape):
    """Something that happened between the customer and the business."""

    at: datetime
    kind: str = Field(examples=["purchase"])
    channel: str | None
    item: Item | None
    quantity: float | None
    amount: str | None = Field(description="decimal, in `currency`", examples=["4.49"])
    currency: str | None
    source: str


class Interactions(Shape):
    """A page of interactions, newest first."""

    golden_id: str
    total: int
    interactions: list[Interaction]
    next_cursor: str | None


class Document(Shape):
    """A recording, photo, mail or other document of the customer's, as the lake has it."""

    id: str = Field(description="SHA-256 of the object; fetch it by this")
    source: str
    media_type: str | None = Field(examples=["audio/wav"])
    at: datetime
    bytes: int | None
    facts: dict[str, Any] = Field(description="what the file says of itself, by name")


class Documents(Shape):
    """A customer's documents, newest first."""

    golden_id: str
    total: int
    documents: list[Document]


class Ranked(Shape):
    """One customer of a ranked list: why, and with what offer."""

    rank: int = Field(description="among all customers the model scored")
    golden_id: str
    score: float
    as_of: datetime
    lawful_basis: str | None = Field(description="on which contact for this data use relies")
    reasons: list[Reason] | None
    offers: list[Offer]


class RankedAnswer(Shape):
    """Who comes first among those who may be contacted, and how many may not, by reason."""

    model: str
    model_version: str
    beats_baseline: bool | None = Field(
        description="whether the model did better than its honest baseline on its hold-out; figures: `/v1/models`"
    )
    data_use: str
    channel: str
    publication: str
    customers: list[Ranked]
    allowed: int = Field(description="customers that match and may be contacted")
    suppressed: dict[str, int] = Field(
        description="customers that match and may not, by reason", examples=[{"denied": 12, "no_consent": 840}]
    )
    next_cursor: str | None


class Wishes(Shape):
    """What was recorded."""

    recorded: int = Field(description="contact points the wish was recorded for")
    at: datetime
    effective: Literal["now", "next_publication"] = Field(
        description="objections hold from the next request on; a grant allows from the next publication on"
    )


class Segment(Shape):
    """A segment and how many customers are in it."""

    segment: str
    customers: int


class Segments(Shape):
    """All segments."""

    publication: str
    segments: list[Segment]


class Tracked(Shape):
    """What SDKs expect to hear; the rest only where an event of a batch was none."""

    success: Literal[True]
    invalid: int | None = Field(default=None, description="events that are kept as failed events")
    first_invalid: str | None = Field(default=None, description="which field of the first one is at fault, and why")


class Taken(Shape):
    """What was taken of a request to ingest; the counts stand beside it where the answer waited for the commit."""

    receipt: str
    source: str
    accepted: int = Field(description="events that are kept, whatever becomes of them")
    invalid: int = Field(description="those of them that are no JSON object, and will be failed events")
    state: Literal["acknowledged", "held", "committed"]
    message: str | None = None
    package_id: str | None = None
    landed: int | None = None
    failed: int | None = None
    suppressed: int | None = None


class ReceiptState(Shape):
    """What became of a request's events; landed + failed + suppressed = events, once they are committed."""

    receipt: str
    source: str
    events: int
    state: Literal["acknowledged", "held", "committed"]
    message: str | None = Field(default=None, description="why the events are held, and what to do")
    package_id: str | None = Field(default=None, description="the load package they came with")
    landed: int | None = None
    failed: int | None = Field(default=None, description="kept as failed events, with the reason")
    suppressed: int | None = Field(default=None, description="of people who were erased")


class EventsHealth(Shape):
    """The write-ahead log of this replica."""

    waiting_bytes: int
    oldest_s: float = Field(description="age of what has waited longest")
    held: int = Field(description="sources whose events wait until their contract fits")
    problem: str | None = Field(description="why nothing can be committed now; events are taken all the same")


class Health(Shape):
    """Whether this replica can answer."""

    status: Literal["ok", "unavailable"]
    publication: str | None
    ledger: bool
    events: EventsHealth
