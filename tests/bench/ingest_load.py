"""A load generator for `POST /v1/ingest`: a process of its own that writes down which requests were acknowledged.

    python tests/bench/ingest_load.py --port P --token T --source S --seconds 5 --connections 32 --batch 1 --out FILE

Requests are numbered from `--first`; request n carries the events `n*batch` to `n*batch + batch - 1`, each with its
number as `id`. With `--keys 1` each has an Idempotency-Key, and what was under way on a connection that broke is sent
again. FILE gets the number of each request that was answered 200 or 202, one a line, when the time is up or
the process is told to end. A lost connection is opened again; what was under way on it counts as not acknowledged.
The last line of standard output is one JSON object: requests, events, seconds, refused, broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from contextlib import suppress
from pathlib import Path

EVENT = (
    b'{"id":%d,"visitor":"visitor-%d","page":"/shop/department-%d/item","referrer":"https://search.example.org/",'
    b'"at":"2018-01-01T10:%02d:%02dZ","seconds":%d,"amount":%d.49}'
)


def event(number: int) -> bytes:
    """One event, some 170 bytes."""
    n = number
    return EVENT % (n, n % 9973, n % 97, n % 60, n % 59, n % 311, n % 1013)


class Load:
    """What all connections share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.next = options.first
        self.acknowledged: list[int] = []
        self.again: list[tuple[int, bytes]] = []
        self.refused = self.broken = 0
        self.ended = False
        kind = "application/x-ndjson" if options.batch > 1 else "application/json"
        self.head = (
            f"POST /v1/ingest/{options.source} HTTP/1.1\r\nHost: 127.0.0.1:{options.port}\r\n"
            f"Authorization: Bearer {options.token}\r\nContent-Type: {kind}\r\nContent-Length: "
        ).encode()

    def request(self) -> tuple[int, bytes]:
        """The next request and its number."""
        if self.again:
            return self.again.pop()
        n, size = self.next, self.options.batch
        self.next += 1
        body = b"\n".join([event(i) for i in range(n * size, n * size + size)])
        key = b"\r\nIdempotency-Key: load-%d" % n if self.options.keys else b""
        return n, b"%s%d%s\r\n\r\n%s" % (self.head, len(body), key, body)


class Connection(asyncio.Protocol):
    """One request after another."""

    def __init__(self, load: Load) -> None:
        self.load, self.data, self.number, self.sent = load, b"", -1, b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.send()

    def send(self) -> None:
        """The next request, or the end."""
        if self.load.ended:
            self.transport.close()
            return
        self.number, self.sent = self.load.request()
        self.transport.write(self.sent)

    def data_received(self, data: bytes) -> None:
        """An answer, perhaps in pieces."""
        self.data += data
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.data.lower().find(b"content-length:", 0, end)
        length = int(self.data[at + 15 : self.data.find(b"\r\n", at)])
        if len(self.data) < end + 4 + length:
            return
        status, self.data = self.data[9:12], b""
        if status in (b"202", b"200"):
            self.load.acknowledged.append(self.number)
        else:
            self.load.refused += 1
        self.number = -1
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        """Note what was under way."""
        self.load.broken += self.number >= 0
        if self.number >= 0 and self.load.options.keys:
            self.load.again.append((self.number, self.sent))
        self.closed.set_result(None)


async def _keep(load: Load) -> None:
    loop = asyncio.get_running_loop()
    while not load.ended:
        try:
            _, made = await loop.create_connection(lambda: Connection(load), "127.0.0.1", load.options.port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        await made.closed


async def main(options: argparse.Namespace) -> None:
    """Send for the time given, then say what was acknowledged."""
    load = Load(options)
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, end.set)
    began = time.perf_counter()
    kept = [loop.create_task(_keep(load)) for _ in range(options.connections)]
    with suppress(TimeoutError):
        await asyncio.wait_for(end.wait(), options.seconds)
    took = time.perf_counter() - began
    answered = len(load.acknowledged)
    load.ended = True
    await asyncio.wait(kept, timeout=10)
    Path(options.out).write_text("".join(f"{n}\n" for n in load.acknowledged))
    facts = {"requests": answered, "events": answered * options.batch, "seconds": took}
    print(json.dumps({**facts, "refused": load.refused, "broken": load.broken, "next": load.next}))


if __name__ == "__main__":
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        run = asyncio.run
    parser = argparse.ArgumentParser()
    for name in ("port", "connections", "batch"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("token", "source", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--keys", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    run(main(parser.parse_args()))
