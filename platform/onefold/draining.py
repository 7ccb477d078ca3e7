"""The process that brings the write-ahead log into the lake, so that parsing and committing stop no request.

`python -m onefold.draining` reads one JSON line on standard input (`settings` of the storage floor, `own`: the log
that its parent writes), then a line whenever a segment was sealed; it writes a JSON line for each segment that was
committed or held, or a `problem`. It ends, after what is sealed, when its standard input does.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import orjson

from onefold_storage.errors import OnefoldError
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.stages.draining import Drainer

_IDLE_SECONDS = 0.5
_PATIENCE = 15.0  # then the problem is told, and tried again
_LONGEST_PAUSE = 5.0


def run(drainer: Drainer, kicked: threading.Event, ended: threading.Event, tell: Callable[[Any], None]) -> None:
    """Drain until `ended` is set; `kicked` says that there may be something."""
    pause = _IDLE_SECONDS
    problem = None
    while True:
        last = ended.is_set()
        kicked.clear()
        try:
            worked, now = drainer.step(), None
            pause = _IDLE_SECONDS
        except Exception as error:
            worked, now = False, str(error) if isinstance(error, OnefoldError) else type(error).__name__
            pause = min(2 * pause, _LONGEST_PAUSE)
        if now != problem:
            problem = now
            tell({"problem": problem})
        if last:
            return
        if now:
            ended.wait(pause)
        elif not worked:
            kicked.wait(pause)


def main() -> None:
    """Drain for the process that started this one."""
    given = orjson.loads(sys.stdin.buffer.readline())
    kicked, ended = threading.Event(), threading.Event()
    settings = StorageSettings.model_validate(given["settings"])
    settings = settings.model_copy(update={"s3_patience": min(settings.s3_patience, _PATIENCE)})
    drainer = Drainer(Installation(settings), given["own"], _tell)
    threading.Thread(target=_listen, args=(kicked, ended), daemon=True).start()
    run(drainer, kicked, ended, _tell)
    drainer.close()


def _listen(kicked: threading.Event, ended: threading.Event) -> None:
    while sys.stdin.buffer.readline():
        kicked.set()
    ended.set()
    kicked.set()


def _tell(said: Any) -> None:
    try:
        sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        return  # the parent has ended; so does this process, by the end of its input


if __name__ == "__main__":
    main()
