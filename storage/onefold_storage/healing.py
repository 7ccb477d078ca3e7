"""Making objects whole that drives lack a part of, after nodes or drives were away.

What was written meanwhile lies on fewer drives. MinIO heals an object when it is read, and much later by itself; until
then another node that goes may take it out of sight. This looks at every object of the bucket at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from onefold_storage.errors import Unavailable
from onefold_storage.expansion import pools_of, sound
from onefold_storage.minio_admin import AdminApi

POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Healed:
    """Objects that were looked at, those of which drives lacked a part, and those that still do."""

    seen: int
    lacking: int
    left: int


def heal(api: AdminApi, bucket: str) -> Healed:
    """Look at every object of the bucket, make whole what is not, and remove what too few drives hold ever to be read.

    Raises:
        Conflict: a node or a drive is away: what it holds cannot be told from what is lost.
        Unavailable: the storage broke it off.
    """
    sound(pools_of(api))
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
        summary = str(answer.get("summary") or "")
        if summary == "finished":
            return done
        if summary != "running":
            raise Unavailable(
                f"{api.endpoint}: healing was broken off: {answer.get('detail') or summary or 'no reason told'}"
            )
        time.sleep(POLL_SECONDS)


def _lacks(item: dict[str, object], when: str) -> bool:
    drives = (item.get(when) or {}).get("drives") or []  # type: ignore[attr-defined]
    return any(str(d.get("state")) != "ok" for d in drives)
