"""What the identity routes take and answer with, described once; tests hold the answers to it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from onefold.api.shapes import Shape

Named = Annotated[str, StringConstraints(min_length=1, max_length=400)]
"""A record key (`source:key`) or a golden ID; it travels in the body, for a key may be personal."""
Reason = Annotated[str, StringConstraints(max_length=500)]


class Query(BaseModel):
    """Base: nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid")


class ExplainQuery(Query):
    """Two records, or two customers."""

    left: Named = Field(description="a record key such as crm_contacts:17, or a golden ID")
    right: Named


class ReviewQuery(Query):
    """How many pairs."""

    limit: int = Field(default=20, ge=1, le=100)


class WhatIfQuery(Query):
    """Another threshold."""

    threshold: float = Field(ge=-100, le=100, description="mean match weight, in bits, from which clusters are one")


class AsOfQuery(Query):
    """Who, and when."""

    named: list[Named] = Field(min_length=1, max_length=100)
    as_of: str = Field(
        max_length=40, description="a date, which stands for its end, or a time; in UTC without a zone"
    )


class DecisionQuery(Query):
    """One decision. `named`: two records (accept, reject), two records or customers (merge, withdraw), a merged golden
    ID or the records that leave (unmerge), a record and a golden ID (pin), a record (unpin).
    """

    decision: Literal["accept", "reject", "merge", "unmerge", "withdraw", "pin", "unpin"]
    named: list[Named] = Field(min_length=1, max_length=100)
    reason: Reason | None = Field(default=None, description="why; not a person's data")


class OverrideQuery(Query):
    """A value that every source has wrong; null takes it back, an empty one says that there is none."""

    named: Named
    field: str = Field(pattern=r"^[a-z_0-9]{1,40}$", examples=["birth_date"])
    value: str | None = Field(max_length=320)
    reason: Reason | None = None


class Part(Shape):
    """One field of a pair, in bits; `frequency`: what the rareness of a shared value adds or takes."""

    field: str
    left: str | None
    right: str | None
    level: int = Field(description="level of likeness; 0: not compared")
    said: str = Field(examples=["nickname or initial"])
    weight: float
    frequency: float


class Recorded(Shape):
    """What the last run wrote about the pair."""

    match_weight: float
    probability: float
    rule: str
    model_version: str


class Pair(Shape):
    """A pair's waterfall: prior + weights + frequencies + attributes + households = total, to the hundredth of a bit."""

    left_key: str
    right_key: str
    prior: float
    fields: list[Part]
    attributes: float = Field(description="attributes depend on each other, and count no more than a field or two")
    households: float = Field(description="likeness may come from one household or address, difference from a move")
    total: float
    probability: float
    rules: list[str] = Field(description="blocking rules that bring the two together")
    told_apart: bool = Field(description="one source gave them two keys, and says so that they are two customers")
    recorded: Recorded | None


class Side(Shape):
    """A record or customer that was asked about."""

    record: str | None
    golden_id: str | None
    records: int


class Weighed(Shape):
    """One pair between the two."""

    left_key: str
    right_key: str
    match_weight: float


class Standing(Shape):
    """A person's decision that stands."""

    left_key: str
    right_key: str
    verdict: Literal["must_link", "cannot_link"]
    decided_by: str
    reason: str | None
    decided_at: datetime


class Explained(Shape):
    """Why two are one customer, or are not."""

    left: Side
    right: Side
    same_customer: bool
    model_version: str
    threshold: float
    mean: float = Field(description="mean weight of all pairs between the two, which decides")
    pair: Pair = Field(description="the likeliest pair between the two")
    pairs: list[Weighed]
    pairs_in_all: int
    decisions: list[Standing]


class Asked(Shape):
    """A pair for a person to decide."""

    left: Side
    right: Side
    same_customer: bool
    pair: Pair


class ReviewAnswer(Shape):
    """Undecided pairs near the threshold, the most informative first."""

    pairs: list[Asked]


class Parts(Shape):
    """A customer that would be split."""

    golden_id: str
    parts: int


class WhatIfAnswer(Shape):
    """What another threshold would change; examples are the largest."""

    threshold: float
    threshold_now: float
    model_version: str
    records: int
    customers_now: int
    customers_then: int
    merges: int
    splits: int
    merged: list[list[str]]
    split: list[Parts]


class Was(Shape):
    """Whom a record or golden ID belonged to, with all of that customer's records then."""

    named: str
    golden_id: str | None
    records: list[str]


class AsOfAnswer(Shape):
    """Who was who."""

    as_of: datetime
    found: list[Was]


class ReportAnswer(Shape):
    """The figures of the last run in force, and of one that was stopped after it; without personal data."""

    report: dict[str, Any] | None
    held: dict[str, Any] | None


class DecidedAnswer(Shape):
    """What was written; it is in force with the next run."""

    decision: str
    at: datetime
    rows: int
    golden_ids: list[str]
