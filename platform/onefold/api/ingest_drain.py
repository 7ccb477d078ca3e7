"""The drainer as a child of this process: started when there is something to drain, started again when it dies."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import SecretStr

from onefold_storage.settings import StorageSettings

_log = logging.getLogger(__name__)

_PAUSE = 1.0
_LAST = 10.0


class DrainProcess:
    """`python -m onefold.draining` and the thread that hears it. `heard` is called in that thread."""

    def __init__(self, settings: StorageSettings, own: str, heard: Callable[[dict[str, Any]], None]) -> None:
        self._first = orjson.dumps({"settings": _plain(settings), "own": own}) + b"\n"
        self._heard = heard
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, daemon=True, name="drainer")
            self._thread.start()

    def kick(self) -> None:
        """Say that a segment was sealed."""
        self._say(b"\n")

    def close(self) -> None:
        """Let it finish what is sealed, within some seconds; the rest stays for the next start."""
        self._closing.set()
        process = self._process
        if process is None or self._thread is None:
            return
        try:
            if process.stdin:
                process.stdin.close()
            process.wait(_LAST)
        except (OSError, subprocess.TimeoutExpired):
            process.terminate()
        self._thread.join(_LAST)

    def _say(self, said: bytes) -> None:
        process = self._process
        if process is not None and process.stdin:
            try:
                process.stdin.write(said)
                process.stdin.flush()
            except (OSError, ValueError):
                return  # it has ended; the next one looks by itself

    def _keep(self) -> None:
        while not self._closing.is_set():
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "onefold.draining"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C and a service manager's signal are for this process, which ends it
            )
            self._say(self._first)
            assert self._process.stdout is not None
            for line in self._process.stdout:
                self._heard(orjson.loads(line))
            code = self._process.wait()
            if not self._closing.is_set():
                _log.error("the drainer ended (%d); it is started again", code)
                time.sleep(_PAUSE)


def _plain(settings: StorageSettings) -> dict[str, Any]:
    """Settings with secrets, for a pipe that nobody else reads."""
    found = settings.model_dump()
    found["now"] = settings.now.isoformat() if settings.now else None
    return {k: v.get_secret_value() if isinstance(v, SecretStr) else _text(v) for k, v in found.items()}


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str | dict | list) else str(value)
