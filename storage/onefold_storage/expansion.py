"""Growing and shrinking the storage: a pool joins, objects are evened out between pools, a pool is emptied.

Each step looks before it acts (health, healing, what is running, room), may be asked again at any time (what is done
already is said, what is running is followed), and is followed to its end by its own figures.

While pools are rebalanced or drained, MinIO may write a key that is there already into another pool without seeing
the first, conditional or not: what keeps commits single is the ledger's lock, which every committer holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onefold_storage.capacity import FILLED, RESERVE, Capacity, of_information
from onefold_storage.errors import BadInput, Conflict, NotFound, OnefoldError, Unavailable
from onefold_storage.minio_admin import AdminApi

POLL_SECONDS = 1.0
SEEN_SECONDS = 60.0
_GOING = ("running", "waiting", "done")


@dataclass(frozen=True)
class Step:
    """How far a movement is: its state, what has moved, and what there was to move where that is known."""

    what: str
    pool: int
    state: str
    objects: int
    bytes: int
    failed: int = 0
    of_bytes: int | None = None

    @property
    def over(self) -> bool:
        """Whether nothing moves any more."""
        return self.state not in ("running", "waiting", "unknown")


Told = Callable[[Step], None]


def pools_of(api: AdminApi) -> Capacity:
    """What the cluster says of itself now."""
    return of_information(api.information())


def sound(capacity: Capacity) -> None:
    """Nothing may be moved in a cluster that is not whole.

    Raises:
        Conflict: a node or a drive is away, or one is healing.
    """
    if capacity.nodes_offline or capacity.drives_online < capacity.drives:
        away = [n.address for n in capacity.nodes if not n.online or n.drives_online < n.drives]
        raise Conflict(
            f"{capacity.drives - capacity.drives_online} of {capacity.drives} drives are away ({', '.join(away)}): "
            "bring them back before pools are changed"
        )
    if capacity.healing:
        raise Conflict(f"{capacity.healing} drives are healing: wait until they are whole (onefold storage status)")


def calm(api: AdminApi) -> None:
    """Only one movement at a time.

    Raises:
        Conflict: a rebalance is running, or a pool is being drained.
    """
    moving = [s for s in (*drains(api), *rebalances(api)) if not s.over]
    if moving:
        raise Conflict(f"{moving[0].what} of pool {moving[0].pool} is running: wait until it is done, or stop it")


def wait_for_pools(api: AdminApi, pools: int, seconds: float, on_wait: Callable[[str], None]) -> Capacity:
    """Until the cluster has so many pools with every drive online.

    Raises:
        Unavailable: it has not, after so many seconds; says what was seen last.
    """
    end, seen = time.monotonic() + seconds, "nothing answers"
    while time.monotonic() < end:
        try:
            found = pools_of(api)
            seen = f"{len(found.pools)} pools, {found.drives_online} of {found.drives} drives online"
            if len(found.pools) == pools and found.whole:
                return found
        except Unavailable:
            seen = "nothing answers"
        on_wait(seen)
        time.sleep(POLL_SECONDS)
    raise Unavailable(
        f"{api.endpoint}: expected {pools} pools with every drive online within {seconds:.0f} s, found {seen}; see the "
        "nodes' logs, then ask again: it goes on where it is"
    )


def start_rebalance(api: AdminApi) -> None:
    """Begin to even out the pools, unless it is running already.

    Raises:
        Conflict: the cluster is not whole, has one pool, or a pool is being drained.
    """
    capacity = pools_of(api)
    if len(capacity.pools) < 2:
        raise Conflict("there is one pool, nothing to even out; add one first (onefold storage add-pool)")
    if any(not s.over for s in rebalances(api)):
        return
    sound(capacity)
    calm(api)
    api.rebalance()


def stop_rebalance(api: AdminApi) -> None:
    """Stop the rebalance that runs.

    Raises:
        Conflict: none is running.
    """
    if all(s.over for s in rebalances(api)):
        raise Conflict("no rebalance is running; nothing was changed")
    api.stop_rebalance()


def start_drain(api: AdminApi, pool: int) -> None:
    """Begin to empty a pool (numbers from 1), unless it is being emptied, or empty, already; returns once it is seen.

    Raises:
        BadInput: there is no such pool. Conflict: the cluster is not whole, the others lack the room, or another
        movement is running. Unavailable: it was begun, and no node tells of it.
    """
    capacity = _with_pool(api, pool)
    states = {s.pool: s.state for s in drains(api)}
    if states.get(pool) in _GOING:
        return
    sound(capacity)
    calm(api)
    others = [p for p in capacity.pools if p.number != pool - 1 and p.number + 1 not in states]
    mine = capacity.pools[pool - 1]
    used = mine.usable_bytes - mine.free_bytes
    room = sum(p.free_bytes - int(RESERVE * p.usable_bytes) for p in others)
    if not others:
        raise Conflict(f"pool {pool} is the only one that takes objects: add another first")
    if used > FILLED * room:
        raise Conflict(
            f"pool {pool} holds {used:,} bytes and the others have room for {room:,}: they would be full; add a pool, "
            "or make room first"
        )
    api.drain(pool - 1)
    end = time.monotonic() + SEEN_SECONDS
    while (
        drain_of(api, pool).state not in _GOING
    ):  # the node that answers may hear of it later than the one that began
        if time.monotonic() > end:
            raise Unavailable(f"the drain of pool {pool} was begun and is not seen yet: ask again to follow it")
        time.sleep(POLL_SECONDS / 4)


def stop_drain(api: AdminApi, pool: int) -> None:
    """Stop emptying a pool (numbers from 1): what is in it stays, and it takes nothing new.

    Raises:
        BadInput: there is no such pool. Conflict: it is not being drained; a drain that is over stays as it ended.
    """
    _with_pool(api, pool)
    state = drain_of(api, pool).state
    if state != "running":
        ended = "" if state == "unknown" else f", its drain is over ({state})"
        raise Conflict(f"pool {pool} is not being drained{ended}; nothing was changed")
    api.cancel_drain(pool - 1)


def drain(api: AdminApi, pool: int, told: Told) -> list[Step]:
    """Empty a pool: begin and follow, and begin again where a put that was on its way landed in it meanwhile.

    Raises:
        As `start_drain` and `follow`; Conflict where objects are left again and again.
    """
    for last in (False, False, True):
        start_drain(api, pool)
        try:
            return follow(lambda: [drain_of(api, pool)], told)
        except Conflict:
            if last:
                raise
    raise AssertionError


def drain_of(api: AdminApi, pool: int) -> Step:
    """How far the drain of one pool (numbers from 1) is; "unknown" where the node that answers has not heard of it."""
    return next((s for s in drains(api) if s.pool == pool), Step("drain", pool, "unknown", 0, 0))


def drains(api: AdminApi) -> list[Step]:
    """Every pool that was, is or will be drained; failed and stopped ones too: none of them takes new objects."""
    found = []
    for pool in _pools(api):
        facts = pool.get("decommissionInfo") or {}
        words = (("complete", "done"), ("failed", "failed"), ("canceled", "stopped"))
        over = next((word for key, word in words if facts.get(key)), None)
        started = not str(facts.get("startTime") or "0001").startswith("0001")
        if not over and not started:  # MinIO forgets the time of one that failed or was stopped
            continue
        state = over or "running"
        taken = int(facts.get("totalSize") or 0) - int(facts.get("startSize") or 0)
        found.append(
            Step(
                "drain", int(pool["id"]) + 1, state, int(facts.get("objectsDecommissioned") or 0),
                int(facts.get("bytesDecommissioned") or 0), int(facts.get("objectsDecommissionedFailed") or 0), taken,
            )
        )  # fmt: skip
    return found


def rebalances(api: AdminApi) -> list[Step]:
    """Each pool's part in the last rebalance; pools that had nothing to give are not among them."""
    words = {"Started": "running", "Completed": "done", "Stopped": "stopped", "Failed": "failed"}
    found = []
    for pool in (api.rebalance_status() or {}).get("pools") or []:
        state = words.get(str(pool.get("status") or ""))
        if state:
            moved = pool.get("progress") or {}
            objects, amount = int(moved.get("objects") or 0), int(moved.get("bytes") or 0)
            found.append(Step("rebalance", int(pool["id"]) + 1, state, objects, amount))
    return found


def follow(read: Callable[[], list[Step]], told: Told, seconds: float | None = None) -> list[Step]:
    """Tell each step until nothing moves any more, and return the last ones; a storage that is away is waited for.

    Raises:
        Unavailable: it still moves after so many seconds; it goes on, and may be followed again. Or nobody has heard of
        it for a minute.
        Conflict: a movement failed, or left objects behind.
    """
    end = None if seconds is None else time.monotonic() + seconds
    last: list[Step] = []
    known = time.monotonic()
    while True:
        try:
            last = read()
            for step in last:
                told(step)
            if all(s.over for s in last):
                break
            if not any(s.state == "unknown" for s in last):
                known = time.monotonic()
        except Unavailable:
            known = time.monotonic()
        if time.monotonic() > known + SEEN_SECONDS:
            raise Unavailable(f"no node knows of the {last[0].what} of pool {last[0].pool}: ask again to begin it")
        if end is not None and time.monotonic() > end:
            raise Unavailable(f"it still moves after {seconds:.0f} s, and goes on: ask again to follow it")
        time.sleep(POLL_SECONDS)
    for step in last:
        if step.state == "failed" or step.failed:
            left = f"{step.failed} objects" if step.failed else "objects that were put meanwhile"
            raise Conflict(
                f"the {step.what} of pool {step.pool} left {left} where they were; nothing is lost: see the nodes' logs "
                "for why, then ask again"
            )
    return last


def _with_pool(api: AdminApi, pool: int) -> Capacity:
    """What the cluster says of itself, where it has this pool (numbers from 1)."""
    capacity = pools_of(api)
    if not 1 <= pool <= len(capacity.pools):
        raise BadInput(f"there is no pool {pool}: there are {len(capacity.pools)}, counted from 1")
    return capacity


def _pools(api: AdminApi) -> list[dict[str, Any]]:
    try:
        return api.pools()
    except (NotFound, Conflict):
        return []  # one pool written without numbers: it cannot be drained, nor is it


def movements(api: AdminApi) -> list[Step]:
    """What moves now or moved last; none where this user may not ask, or it is no MinIO."""
    try:
        return [*drains(api), *rebalances(api)]
    except OnefoldError:
        return []
