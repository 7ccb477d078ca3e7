"""Making objects whole that drives lack a part of, after nodes or drives were away.

What was written meanwhile lies on fewer drives. MinIO heals an object when it is read, and much later by itself; until
then another node that goes may take it out of sight. This looks at every object of the bucket at once.

Nodes that have just started need some 15 s until they have found each other's drives, though MinIO says that all are
online: till then nothing is healed, so what is left is looked at again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from onefold_storage.errors import Unavailable
from onefold_storage.expansion import pools_of, sound
from onefold_storage.minio_admin import AdminApi

POLL_SECONDS = 0.3
AGAIN_SECONDS = 1.0
LEFT_SECONDS = 60.0
"""How long it is looked again for what is left."""


@dataclass(frozen=True)
class Healed:
    """Objects that were looked at, those of which drives lacked a part, and those that still do."""

    seen: int
    lacking: int
    left: int


def heal(api: AdminApi, bucket: str, told: Callable[[Healed], None] = lambda _: None) -> Healed:
    """Look at every object of the bucket, make whole what is not, and remove what too few drives hold ever to be read.

    What is left is looked at again for a minute; `told` hears how far each look is.

    Raises:
        Conflict: a node or a drive is away: what it holds cannot be told from what is lost.
        Unavailable: the storage broke it off or did not begin it, or drives still lack a part of some objects.
    """
    end = time.monotonic() + LEFT_SECONDS
    lacking = 0
    while True:
        sound(pools_of(api))
        last = time.monotonic() >= end
        done = _look(api, bucket, end, told)
        lacking = max(lacking, done.lacking)
        if not done.left:
            return Healed(done.seen, lacking, 0)
        if last:
            raise Unavailable(
                f"{api.endpoint}: {done.seen:,} objects looked at: drives lacked a part of {lacking:,}, and still do of "
                f"{done.left:,}; ask again, and see the nodes' logs if it stays so"
            )
        time.sleep(AGAIN_SECONDS)


def _look(api: AdminApi, bucket: str, end: float, told: Callable[[Healed], None]) -> Healed:
    """Look once at every object; one that has not begun is waited for until `end`."""
    token = str(api.heal(bucket).get("clientToken") or "")
    done = Healed(0, 0, 0)
    while True:
        answer = {str(k).lower(): v for k, v in api.heal(bucket, token).items()}  # its spelling changed once
        items = [i for i in answer.get("items") or [] if i.get("type") == "object"]
        lacking = [i for i in items if _lacks(i, "before")]
        done = Healed(
            done.seen + len(items),
            done.lacking + len(lacking),
            done.left + sum(_lacks(i, "after") for i in lacking),
        )
        told(done)
        summary = str(answer.get("summary") or "")
        if summary == "finished":
            return done
        if summary == "not started":
            if time.monotonic() >= end:
                raise Unavailable(f"{api.endpoint}: healing has not started; ask again")
        elif summary != "running":
            reason = answer.get("detail") or summary or "no reason told"
            raise Unavailable(f"{api.endpoint}: healing was broken off: {reason}; ask again")
        time.sleep(POLL_SECONDS)


def _lacks(item: dict[str, object], when: str) -> bool:
    drives = (item.get(when) or {}).get("drives") or []  # type: ignore[attr-defined]
    return any(str(d.get("state")) != "ok" for d in drives)
