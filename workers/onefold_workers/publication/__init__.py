"""The serving snapshot: gold frames in, one immutable SQLite file out, and the gates it must pass.

`survey` looks through a partition of customers, `check` refuses what is not good enough to replace the last, `share_of`
makes the rows of a partition, `in_order` and `write` put them together as the file that API replicas serve from.
`build` does all of it with frames in memory. None knows where the file goes: `onefold_storage.publications` ships it.
"""

from onefold_workers.publication.file import build, write
from onefold_workers.publication.frames import GoldFrames
from onefold_workers.publication.gates import GateLimits, GateResult, check
from onefold_workers.publication.merging import in_order
from onefold_workers.publication.share import share_of
from onefold_workers.publication.survey import Survey, survey, together

__all__ = [
    "GateLimits",
    "GateResult",
    "GoldFrames",
    "Survey",
    "build",
    "check",
    "in_order",
    "share_of",
    "survey",
    "together",
    "write",
]
