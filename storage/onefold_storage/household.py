"""The household of a customer: its ID and who else belongs to it, now or as of a moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from onefold_storage.as_of import as_of
from onefold_storage.lake import Lake
from onefold_storage.schema import HOUSEHOLDS


def household_of(lake: Lake, golden_id: str, at: datetime | None = None) -> dict[str, Any] | None:
    """`household_id` and `members` (golden IDs, sorted, the customer among them); None where it has none."""
    held = as_of(HOUSEHOLDS.name, lake.scan(HOUSEHOLDS.name), at)
    own = held.filter(golden_id=golden_id).select("household_id")
    found = held.join(own, on="household_id", how="semi").select("household_id", "golden_id").collect()
    if not found.height:
        return None
    return {"household_id": found["household_id"][0], "members": found["golden_id"].sort().to_list()}
