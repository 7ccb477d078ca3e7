"""Plans the next pool from the outlook: what will be added in so many days, and what it takes to hold that."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from onefold_storage.errors import BadInput
from onefold_storage.forecasting import Range, growth_over
from onefold_storage.installation import Installation
from onefold_storage.outlook import COVERAGE, outlook
from onefold_storage.pools import PoolPlan, needed, propose


@dataclass(frozen=True)
class Proposal:
    """What is needed for `days`, and the pool that has it; None where there is room enough.

    `growth`: bytes that are added by then; the pool is made for its high end. `share_used`: the most of all usable
    bytes that may then be taken.
    """

    days: int
    growth: Range
    share_used: float
    needed_bytes: int
    pool: PoolPlan | None

    def facts(self) -> dict[str, Any]:
        """Everything for machines."""
        pool = self.pool
        made = (
            asdict(pool) | {"usable_bytes": pool.usable_bytes, "nodes_may_fail": pool.nodes_may_fail}
            if pool
            else None
        )
        return {
            "days": self.days,
            "growth_bytes": asdict(self.growth),
            "share_used": self.share_used,
            "needed_bytes": self.needed_bytes,
            "pool": made,
        }


def plan_pool(
    installation: Installation,
    days: int,
    *,
    nodes: int | None = None,
    drives_per_node: int | None = None,
    drive_bytes: int | None = None,
    bytes_per_day: float | None = None,
) -> Proposal:
    """The pool to add so that, `days` from now, no more is taken than the share that is worth a warning.

    With `nodes` a pool of that shape is proposed even where none is needed. `bytes_per_day` stands in for a forecast.

    Raises:
        BadInput: the history is too short for a rate and none is given, MinIO would refuse the shape, or it is too
            small; the message says what would do.
        Unavailable: storage does not answer.
    """
    found = outlook(installation)
    share = installation.settings.storage_warning_used
    given = None if bytes_per_day is None else bytes_per_day * days
    added = growth_over(found.daily, days, COVERAGE) if given is None else Range(given, given, given)
    if added.high is None:
        raise BadInput(f"{found.forecast.reason}; give the growth with --per-day, such as 20GB")
    more = needed(found.capacity, max(added.high, 0), share)
    if not more and not nodes:
        return Proposal(days, added, share, 0, None)
    pool = propose(found.capacity, more, nodes=nodes, drives_per_node=drives_per_node, drive_bytes=drive_bytes)
    return Proposal(days, added, share, more, pool)
