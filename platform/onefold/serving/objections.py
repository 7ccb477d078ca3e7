"""Live wishes laid over a publication: who objected since, resolved to its customers.

A wish finds its customers twice: by the keyed hash of its subject, and by the golden IDs it was about when it was
expressed (merged ones lead to their survivor). Both count: what forbids more holds.

One revision is never changed; the next one follows on it and resolves only the subjects whose wishes came since.
What is counted of it is kept with it and goes with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onefold.serving.snapshot import Snapshot, Use
from onefold_storage.wishes import Standing, Subject, Wish

_COUNTS = 512
_CHANGED = 1000
"""Customers whose wish changed since a list was counted, from which on it is counted anew."""

CountSome = Callable[[Mapping[int, str]], Mapping[str, int]]
"""Given customers with a reason each: how many of them a list has, by reason."""


@dataclass(frozen=True)
class _Count:
    """What was counted of a list, and the reasons that counted then of customers whose wish changed since."""

    use: Use
    by_reason: Mapping[str, int]
    changed: Mapping[int, str | None] = field(default_factory=dict)


class Objections:
    """The wishes of one revision against one publication."""

    def __init__(self, snapshot: Snapshot, standing: Standing, earlier: Objections | None = None) -> None:
        """`earlier`: the revision that `standing` follows on, against the same publication."""
        self.revision = standing.revision
        self.snapshot = snapshot
        self.standing = standing
        self._subjects: dict[int, tuple[Subject, ...]] = dict(earlier._subjects) if earlier else {}
        self._forbidden: dict[Use, Mapping[int, str]] = {}
        self._counts: dict[Hashable, _Count] = {}
        changed = self._resolve(standing.fresh if earlier else tuple(standing.by_subject))
        if earlier:
            self._take_over(earlier, changed)

    def against(self, customer: int, data_use: str, channel: str) -> Wish | None:
        """The live wish that forbids this contact, if there is one."""
        return self.standing.forbidding(self._subjects.get(customer, ()), data_use, channel)

    def forbidden(self, use: Use) -> Mapping[int, str]:
        """Customers whom a live wish closes to a use, with the reason."""
        known = self._forbidden.get(use)
        if known is None:
            found = {c: self._reason(c, use) for c in self._subjects}
            known = {customer: reason for customer, reason in found.items() if reason is not None}
            self._forbidden[use] = known
        return known

    def closed(self, what: Hashable, use: Use, count: CountSome) -> Mapping[str, int]:
        """Of the list `what`: how many a live wish closes to a use, by reason. `count` is asked for what is not kept."""
        forbidden = self.forbidden(use)
        kept = self._counts.get(what)
        if kept is None:
            by_reason = dict(count(forbidden))
        elif not kept.changed:
            return kept.by_reason
        else:
            found = Counter(kept.by_reason)
            found.subtract(count({c: reason for c, reason in kept.changed.items() if reason is not None}))
            found.update(count({c: forbidden[c] for c in kept.changed if c in forbidden}))
            by_reason = {reason: n for reason, n in found.items() if n}
        self._counts[what] = _Count(use, by_reason)
        while len(self._counts) > _COUNTS:
            self._counts.pop(next(iter(self._counts)), None)
        return by_reason

    def over(self, customer: int, may_contact: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """May-contact rows of a profile as they hold now."""
        if customer not in self._subjects:
            return may_contact
        return [held(row, self.against(customer, row["data_use"], row["channel"])) for row in may_contact]

    def _take_over(self, earlier: Objections, changed: set[int]) -> None:
        """Keep what was found out before, but for the customers whose wish changed."""
        before: dict[Use, dict[int, str | None]] = {}
        for use, known in list(earlier._forbidden.items()):
            now = dict(known)
            before[use] = {}
            for customer in changed:
                was, reason = now.pop(customer, None), self._reason(customer, use)
                if reason is not None:
                    now[customer] = reason
                if was != reason:
                    before[use][customer] = was
            self._forbidden[use] = now
        for what, count in list(earlier._counts.items()):
            differs = {**before[count.use], **count.changed}
            if len(differs) <= _CHANGED:
                self._counts[what] = _Count(count.use, count.by_reason, differs)

    def _reason(self, customer: int, use: Use) -> str | None:
        wish = self.against(customer, use.data_use, use.channel)
        return None if wish is None else wish.state.lower()

    def _resolve(self, subjects: tuple[Subject, ...]) -> set[int]:
        """Put subjects (those with the newest wish last) before the others of their customers; gives whose they are."""
        found: set[int] = set()
        for subject in subjects:
            survivors = (self.snapshot.number(g) for g in self.standing.golden_ids(subject))
            theirs = {*self.snapshot.holders_of(subject[1]), *(c for c in survivors if c is not None)}
            for customer in theirs:
                others = self._subjects.get(customer, ())
                self._subjects[customer] = (subject, *(s for s in others if s != subject))
            found |= theirs
        return found


def held(row: dict[str, Any], wish: Wish | None) -> dict[str, Any]:
    """A may-contact row, closed by the wish that forbids the contact; as it is, where none does."""
    if wish is None:
        return row
    points: list[str] | None = None if row.get("contact_points") is None else []
    return row | {"allowed": False, "reason": wish.state.lower(), "contact_points": points, "live": True}
