"""GET /v1/sources: what each source brought, how fresh it is, and what failed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from onefold.api.answers import PROBLEMS, Answer
from onefold.api.auth import needs
from onefold.api.context import Context, Published, Shared
from onefold.serving import View

router = APIRouter(tags=["sources"])


class Added(BaseModel):
    """What connecting a source brought that no other source has."""

    customers: int = Field(description="customers whom it alone knows")
    fields: int = Field(description="customers' fields that it alone fills")
    interactions: int = Field(description="interactions of customers that came from it")
    cases: int = Field(default=0, description="cases of customers that came from it")


class Source(BaseModel):
    """One source; further facts may stand beside these."""

    model_config = ConfigDict(extra="allow")

    source: str = Field(examples=["pos_transactions"])
    description: str | None = None
    generated: bool = Field(default=False, description="its data is made up, for demonstration")
    lawful_basis: str | None = None
    rows: int | None = Field(
        default=None,
        description="in its bronze table at the publication; of a source that sends its whole table, every version of a row",
    )
    failed_events: int | None = Field(default=None, description="rows kept aside because they broke the contract")
    last_landed_at: datetime | None = None
    freshness_objective_s: float | None = Field(
        default=None, description="how old the last package may be, in seconds"
    )
    age_s: float | None = Field(default=None, description="how old it is")
    fresh: bool
    customers: int | None = Field(default=None, description="customers whom it knows, at the publication")
    only_here: int | None = Field(default=None, description="of these, whom no other source knows")
    orphans: int | None = Field(default=None, description="interactions and cases that belong to no customer")
    shared: dict[str, int] | None = Field(
        default=None, description="customers whom another source knows too, by that source"
    )
    added: Added | None = Field(default=None, description="what would be missing without it")
    landed_since: int | None = Field(
        default=None, description="rows landed since the publication: what the next refresh will take in"
    )
    failed_share: float | None = Field(default=None, description="failed rows of those sent, from 0 to 1")
    rows_per_day: float | None = Field(
        default=None,
        description="how it grows: landed rows a day, over its last 28 days without that of its first load",
    )
    packages: int = Field(description="load packages committed so far")
    held: int = Field(description="load packages held back: their contract was broken as a whole")
    sent: int
    landed: int
    failed: int
    repeated: int
    suppressed: int


class Unmanaged(BaseModel):
    """Files of one kind in one folder where sources drop theirs, and that no data contract reads."""

    folder: str = Field(description="below ONEFOLD_LANDING_URL")
    kind: str = Field(examples=["csv"])
    objects: int
    bytes: int
    newest: datetime | None = None


class Sources(BaseModel):
    """All sources, and the files that are none yet."""

    publication: str
    sources: list[Source]
    unmanaged: list[Unmanaged] = Field(description="at the publication; names of files are not told")
    landing_problem: str | None = Field(default=None, description="why the landing could not be looked at")


_COUNTS = ("packages", "held", "sent", "landed", "failed", "repeated", "suppressed")


def described(view: View, shared: Context) -> list[dict[str, Any]]:
    """Sources as they were published, with packages and age as they are now."""
    totals = shared.ledger.packages.totals()
    now = shared.clock.now()
    found = []
    for facts in view.snapshot.facts.get("sources", []):
        live = totals.get(facts["source"])
        last = live.last_committed_at if live else None
        age = (now - last).total_seconds() if last else facts.get("age_s")
        objective = facts.get("freshness_objective_s")
        found.append(
            {
                **facts,
                "last_landed_at": last.isoformat() if last else facts.get("last_landed_at"),
                "age_s": age,
                "fresh": age is not None and (objective is None or age <= objective),
                "landed_since": live.landed - facts["landed"] if live and "landed" in facts else None,
                "failed_share": live.failed / live.sent if live and live.sent else None,
                **{n: getattr(live, n) if live else 0 for n in _COUNTS},
            }
        )
    return found


@router.get(
    "/v1/sources",
    summary="Sources",
    response_model=Sources,
    responses=PROBLEMS,
    dependencies=[needs("read:sources")],
)
def sources(view: Published, shared: Shared) -> Answer:
    """Each source's freshness against its objective, its rows, its load packages (sent = landed + failed +
    repeated + suppressed), the customers it shares with every other source, and what it alone brought; and files that
    lie where sources drop theirs, and that no contract reads.
    """
    facts = view.snapshot.facts
    return Answer(
        {
            "publication": view.snapshot.version,
            "sources": described(view, shared),
            "unmanaged": facts.get("unmanaged", []),
            "landing_problem": facts.get("landing_problem"),
        }
    )
