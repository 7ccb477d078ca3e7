"""Reads media files with bounded memory and time, whatever is in them: a process of its own does the parsing.

The process lives as long as its files are harmless. One that takes too long, or brings the process down, has a
`problem` instead of facts, and the next file gets a new process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import IO

import orjson

from onefold_workers.media.child import LENGTH
from onefold_workers.media.facts import Facts
from onefold_workers.media.reading import guess

_MOST_ANSWER = 32 << 20
_START_S = 60.0
"""Seconds that a process may take to start beside the file's own, on a machine under load."""


class Reader:
    """Reads files one after the other. `seconds` and `memory` (bytes): what one file may take. Not for threads."""

    def __init__(self, seconds: float = 30.0, memory: int = 1 << 30) -> None:
        self._seconds, self._memory = seconds, memory
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._end()

    def facts(self, file: IO[bytes], extension: str) -> Facts:
        """The facts of an open file on disk; never raises because of what is in it. Its position is moved."""
        fresh = self._connection is None
        connection = self._connection or self._start()
        asked = orjson.dumps({"extension": extension[:20], "seconds": self._seconds})
        connection.settimeout(self._seconds + (_START_S if fresh else 0))
        try:
            socket.send_fds(connection, [asked], [file.fileno()])
            length = int.from_bytes(_exactly(connection, LENGTH))
            if length > _MOST_ANSWER:
                raise EOFError
            found = Facts(**orjson.loads(_exactly(connection, length)))
            return found if found.kind else self._unread(file, extension, str(found.problem))
        except TimeoutError:
            problem = f"took more than {self._seconds:g} s to be read"
        except (OSError, EOFError):
            problem = "brought its reader down: it is broken, or needs too much memory"
        self._end()
        return self._unread(file, extension, problem)

    def _unread(self, file: IO[bytes], extension: str, problem: str) -> Facts:
        file.seek(0)
        return Facts(*guess(file.read(4096), extension), problem=problem)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            handle = theirs.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-m", "onefold_workers.media.child", str(handle), str(self._memory)],
                pass_fds=[handle], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                close_fds=True, cwd=os.sep, env={},  # no secret of ours is within its reach
            )  # fmt: skip
        self._connection = ours
        return ours

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        self._connection = self._process = None


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(min(size - len(data), 1 << 20))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)
