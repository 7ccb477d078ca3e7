"""A TCP way to whichever node of a cluster runs, as the balancer in front of storage is; a program of its own.

    python fire_balancer.py MOOD HOST:PORT…

It prints its port. The file MOOD is read again and again: `pass`; `cut`, which breaks every connection and refuses new
ones; or `silent`, which keeps connections open and lets nothing through, as a network does that drops packets.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from pathlib import Path


class Balancer:
    """Carries bytes both ways; `mood` is the file that says whether."""

    def __init__(self, mood: Path, nodes: list[str]) -> None:
        self._file, self._nodes = mood, [(h, int(p)) for h, p in (n.split(":") for n in nodes)]
        self._mood = "pass"
        self._open: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()

    async def serve(self) -> None:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        while True:
            with suppress(FileNotFoundError):
                self._mood = self._file.read_text().strip() or self._mood
            if self._mood == "cut":
                for one in list(self._open):
                    one.transport.abort()
            if self._mood == "pass":
                self._passes.set()
            else:
                self._passes.clear()
            await asyncio.sleep(0.02)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = None
        self._open.add(writer)
        try:
            if self._mood == "silent":
                await self._passes.wait()
            if self._mood == "pass" and (found := await self._connect()):
                there, onward = found
                self._open.add(onward)
                await asyncio.gather(self._copy(reader, onward), self._copy(there, writer))
        finally:
            for one in (writer, onward):
                if one is not None:
                    self._open.discard(one)
                    one.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for host, port in random.sample(self._nodes, len(self._nodes)):
            with suppress(OSError):
                return await asyncio.open_connection(host, port)
        return None

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if self._mood != "pass":
                    await self._passes.wait()
                sink.write(data)
                await sink.drain()
        sink.transport.close()


if __name__ == "__main__":
    asyncio.run(Balancer(Path(sys.argv[1]), sys.argv[2:]).serve())
