"""What the system must have beside Python packages, checked before work begins."""

from __future__ import annotations

import ctypes.util
import sys

from onefold_storage.errors import Unavailable


def requirements() -> None:
    """Check what a wheel cannot bring.

    Raises:
        Unavailable: something is missing; the message says what and how to get it.
    """
    if sys.platform.startswith("linux") and ctypes.util.find_library("gomp") is None and not _bundled_openmp():
        raise Unavailable("libgomp is missing, which the learner needs: apt-get install libgomp1")


def _bundled_openmp() -> bool:
    """Whether scikit-learn's wheel brought its own OpenMP runtime."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        return False
    return any(Path(spec.origin).parents[1].glob("scikit_learn.libs/libgomp*"))
