"""The next pool: how many nodes and drives of which size it takes to have room for so many days.

MinIO's rules (its `endpoint-ellipses.go`): a pool's drives are cut into erasure sets of 2 to 16 drives, the largest
size that divides them and is spread evenly over the nodes; every pool has the first one's parity, which a set of
fewer than twice as many drives cannot carry. A new pool here also has sets no smaller than the first one's, so that
losing a node or a drive means the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from onefold_storage.capacity import FILLED, Capacity, Pool
from onefold_storage.errors import BadInput

SET_SIZES = range(2, 17)
_MOST = 8
"""Times the first pool's nodes that a proposal goes up to; beyond, larger drives are the better answer."""


@dataclass(frozen=True)
class PoolPlan:
    """A pool that is to be added: `number` counts from 1, as MinIO's own pages do."""

    number: int
    nodes: int
    drives_per_node: int
    drive_bytes: int
    set_drives: int
    parity: int

    @property
    def usable_bytes(self) -> int:
        """Its bytes after erasure coding."""
        drives = self.nodes * self.drives_per_node
        return drives * self.drive_bytes * (self.set_drives - self.parity) // self.set_drives

    @property
    def nodes_may_fail(self) -> int:
        """Nodes that may be away while the pool is still written to."""
        per_node = max(self.set_drives // self.nodes, 1)
        # With parity at half of the set, a write needs one drive more than half.
        spare = self.parity - (1 if self.parity * 2 == self.set_drives else 0)
        return spare // per_node


def set_drives(nodes: int, drives_per_node: int) -> int:
    """Drives of an erasure set that MinIO makes of `http://node-{1...n}/drive-{1...d}`.

    Raises:
        BadInput: MinIO would refuse the shape.
    """
    drives = nodes * drives_per_node
    even = [
        s
        for s in SET_SIZES
        if drives % s == 0 and (nodes % s == 0 if nodes > s else s % nodes == 0)
    ]  # fmt: skip
    if not even:
        raise BadInput(
            f"{nodes} nodes of {drives_per_node} drives: MinIO finds no erasure set of 2 to 16 drives that spreads "
            "evenly over them; take another number of nodes or drives"
        )
    return max(even)


def shape(number: int, nodes: int, drives_per_node: int, drive_bytes: int, first: Pool) -> PoolPlan:
    """A pool of that shape beside the first one.

    Raises:
        BadInput: MinIO would refuse it, or it would protect its data less than the first pool does.
    """
    size = set_drives(nodes, drives_per_node)
    if size < 2 * first.parity:
        raise BadInput(
            f"{nodes} nodes of {drives_per_node} drives make erasure sets of {size}, too few for the cluster's "
            f"parity of {first.parity}: a set needs {2 * first.parity} drives or more"
        )
    plan = PoolPlan(number, nodes, drives_per_node, drive_bytes, size, first.parity)
    own = PoolPlan(1, first.nodes, first.drives // first.nodes, 0, first.set_drives, first.parity)
    if plan.nodes_may_fail < own.nodes_may_fail:
        raise BadInput(
            f"{nodes} nodes of {drives_per_node} drives: writes would end with {plan.nodes_may_fail + 1} nodes "
            f"away, in the first pool with {own.nodes_may_fail + 1}; take more nodes"
        )
    return plan


def propose(
    capacity: Capacity,
    needed_bytes: int,
    *,
    nodes: int | None = None,
    drives_per_node: int | None = None,
    drive_bytes: int | None = None,
) -> PoolPlan:
    """The smallest pool of the first one's kind with so many usable bytes; what is given is kept.

    Without `nodes`: multiples of the first pool's, up to eight times. Without `drive_bytes`: drives as large as the
    last pool's.

    Raises:
        BadInput: no such pool has the room, or MinIO would refuse the shape; says what drive size would do.
    """
    if not capacity.pools:
        raise BadInput(
            "the pools that there are cannot be seen: set ONEFOLD_S3_ROOT_USER and ONEFOLD_S3_ROOT_PASSWORD, with "
            "the lake on MinIO"
        )
    first, last = capacity.pools[0], capacity.pools[-1]
    per_node = drives_per_node or first.drives // first.nodes
    drive = drive_bytes or last.drive_bytes
    number = len(capacity.pools) + 1
    for times in range(1, _MOST + 1):
        plan = shape(number, nodes or first.nodes * times, per_node, drive, first)
        if plan.usable_bytes >= needed_bytes or nodes:
            break
    if plan.usable_bytes < needed_bytes:
        raise BadInput(
            f"{plan.nodes} nodes of {plan.drives_per_node} drives of {drive:,} bytes have {plan.usable_bytes:,} "
            f"usable bytes, {needed_bytes:,} are needed: take drives of "
            f"{drive_for(plan, needed_bytes):,} bytes (--drive-size), or more nodes"
        )
    return plan


def drive_for(plan: PoolPlan, needed_bytes: int) -> int:
    """Bytes that each drive of such a pool must have for so many usable bytes."""
    data = plan.nodes * plan.drives_per_node * (plan.set_drives - plan.parity)
    return -(-needed_bytes * plan.set_drives // data)


def needed(capacity: Capacity, growth_bytes: float, share_used: float) -> int:
    """Usable bytes to add so that, once so much is grown, no more than this share of all is taken; 0 for none."""
    if capacity.usable_bytes is None or capacity.used_bytes is None:
        raise BadInput("how much room there is is not known; nothing can be planned")
    share = min(share_used, FILLED)
    return max(int((capacity.used_bytes + growth_bytes) / share) - capacity.usable_bytes, 0)
