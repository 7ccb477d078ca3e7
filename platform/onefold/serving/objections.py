"""Live wishes laid over a publication: who objected since, resolved to its customers.

A wish finds its customers twice: by the keyed hash of its subject, and by the golden IDs it was about when it was
expressed (merged ones lead to their survivor). Both count: what forbids more holds.
"""

from __future__ import annotations

from typing import Any

from onefold.serving.snapshot import Snapshot, Use
from onefold_storage.wishes import Standing, Subject, Wish


class Objections:
    """The wishes of one revision against one publication."""

    def __init__(self, snapshot: Snapshot, standing: Standing) -> None:
        self.revision = standing.revision
        self.snapshot = snapshot
        self._standing = standing
        self._subjects = _by_customer(snapshot, standing)
        self._forbidden: dict[Use, dict[int, str]] = {}

    def against(self, customer: int, data_use: str, channel: str) -> Wish | None:
        """The live wish that forbids this contact, if there is one."""
        return self._standing.forbidding(self._subjects.get(customer, ()), data_use, channel)

    def forbidden(self, use: Use) -> dict[int, str]:
        """Customers whom a live wish closes to a use, with the reason."""
        known = self._forbidden.get(use)
        if known is None:
            found = {c: self.against(c, use.data_use, use.channel) for c in self._subjects}
            known = {customer: wish.state.lower() for customer, wish in found.items() if wish is not None}
            self._forbidden[use] = known
        return known

    def over(self, customer: int, may_contact: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """May-contact rows of a profile as they hold now."""
        if customer not in self._subjects:
            return may_contact
        return [held(row, self.against(customer, row["data_use"], row["channel"])) for row in may_contact]


def held(row: dict[str, Any], wish: Wish | None) -> dict[str, Any]:
    """A may-contact row, closed by the wish that forbids the contact; as it is, where none does."""
    if wish is None:
        return row
    points: list[str] | None = None if row.get("contact_points") is None else []
    return row | {"allowed": False, "reason": wish.state.lower(), "contact_points": points, "live": True}


def _by_customer(snapshot: Snapshot, standing: Standing) -> dict[int, tuple[Subject, ...]]:
    found: dict[int, dict[Subject, None]] = {}
    for subject in standing.by_subject:
        for customer in snapshot.holders_of(subject[1]):
            found.setdefault(customer, {})[subject] = None
    for golden_id, subjects in standing.by_golden_id.items():
        survivor = snapshot.number(golden_id)
        if survivor is not None:
            found.setdefault(survivor, {}).update(dict.fromkeys(subjects))
    return {customer: tuple(subjects) for customer, subjects in found.items()}
