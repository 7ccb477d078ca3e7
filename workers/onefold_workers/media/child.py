"""The program that reads media files for `bounded.py`: files come as descriptors over a socket, facts go back as JSON.

It may take so much memory, open few files and write none; whoever started it ends it when it takes too long.
"""

from __future__ import annotations

import os
import socket
import sys
import warnings
from contextlib import suppress
from dataclasses import asdict

import orjson

from onefold_workers.media.facts import Facts
from onefold_workers.media.reading import read

LENGTH = 8
"""Bytes that say how long an answer is."""


def serve(connection: socket.socket) -> None:
    """Answer until the other end is closed."""
    while True:
        asked, handles, _, _ = socket.recv_fds(connection, 4096, 1)
        if not asked:
            return
        request = orjson.loads(asked)
        try:
            with os.fdopen(handles[0], "rb") as file:
                facts = read(file, request["extension"], request["seconds"])
        except (MemoryError, RecursionError):
            facts = Facts("", "", problem="needs too much memory to be read")
        except Exception as error:  # a parser's own fault costs this file alone
            facts = Facts("", "", problem=f"cannot be read ({type(error).__name__})")
        answer = orjson.dumps(asdict(facts))
        connection.sendall(len(answer).to_bytes(LENGTH) + answer)


def _bound(memory: int) -> None:
    """Bounds of this process; a system that knows none of them has the clock alone."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _quiet() -> None:
    """Parsers warn of what is odd; a photo that is larger than Pillow would unpack is not unpacked here at all."""
    from PIL import Image

    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None


if __name__ == "__main__":
    _bound(int(sys.argv[2]))
    _quiet()
    with socket.socket(fileno=int(sys.argv[1])) as server:
        serve(server)
