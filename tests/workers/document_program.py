"""A program that lands papers and may die in the middle of an object; run by `test_document_landing.py`.

Run with the globals `home_of_run` and `die_at`: None, or how many objects are stored before it kills itself.
"""

from __future__ import annotations

import os
import runpy
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from onefold_storage.objects import Objects


def _dying(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[: len(chunk) // 2]
        os.kill(os.getpid(), signal.SIGKILL)


def run(home: str, die_at: int | None) -> None:
    """Land what is new of the papers."""
    words = runpy.run_path(str(Path(__file__).with_name("document_lake.py")))
    real, left = Objects.put_stream, [die_at]

    def put_stream(self: Objects, key: str, chunks: Iterable[bytes]) -> None:
        if left[0] is not None:
            left[0] -= 1
        real(self, key, _dying(chunks) if left[0] == -1 else chunks)

    Objects.put_stream = put_stream  # type: ignore[method-assign]
    opened = words["open_home"](Path(home))
    words["land"](opened, "papers")
    opened.ledger.close()


if "home_of_run" in globals():
    run(globals()["home_of_run"], globals()["die_at"])
