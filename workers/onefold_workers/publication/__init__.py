"""The serving snapshot: gold frames in, one immutable SQLite file out, and the gates it must pass.

`build` writes the file that API replicas serve from; `check` refuses one that is not good enough to replace
the last. Neither knows where the file goes: `onefold_storage.publications` ships it.
"""

from onefold_workers.publication.file import build
from onefold_workers.publication.frames import GoldFrames
from onefold_workers.publication.gates import GateLimits, GateResult, check

__all__ = ["GateLimits", "GateResult", "GoldFrames", "build", "check"]
