"""A small HTTP proxy in front of a real S3 server, which misbehaves as it is told; a program of its own.

Run with the address of the server (host:port), a file that holds its mood, and a seed; it prints its URL. The mood is
read at every request: `pass`; or `busy`, which answers 503 at once, `lost`, which lets the server do it and then
answers 503, `stall`, which never answers; with the methods and the share of requests that it befalls:
`busy GET,PUT 0.5`. How often it said 503 is answered at `/told`.
"""

from __future__ import annotations

import http.client
import random
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_BUSY = "<?xml version='1.0'?><Error><Code>{}</Code><Message>busy</Message></Error>"
_CODES = ("ServiceUnavailable", "SlowDown", "SlowDownRead", "SlowDownWrite", "XMinioServerNotInitialized")
"""What S3, and what MinIO says while too few of its drives answer."""
_HOPS = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


class Gateway(BaseHTTPRequestHandler):
    """Answers one request after the other of a connection."""

    protocol_version = "HTTP/1.1"
    upstream = ""
    mood = Path()
    chance = random.Random()
    told = 0

    def answer(self) -> None:
        if self.path == "/told":
            return self._say(200, [], str(Gateway.told).encode())
        mood = self._mood()
        if mood == "stall":
            time.sleep(600)
            return None
        body = b"".join(_body(self))
        if mood != "busy":
            status, headers, data = self._forward(body)
        if mood in ("busy", "lost"):
            Gateway.told += 1
            status, headers, data = 503, [], _BUSY.format(self.chance.choice(_CODES)).encode()
        return self._say(status, headers, data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - names of the standard library

    def log_message(self, *_: Any) -> None:
        pass

    def _mood(self) -> str:
        mood, *befalls = self.mood.read_text().split()
        methods, share = befalls or (self.command, "1")
        return mood if self.command in methods.split(",") and self.chance.random() < float(share) else "pass"

    def _say(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        length = str(len(data))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in _HOPS:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        onward = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # the host among them: it is signed
                if name.lower() not in _HOPS:
                    onward.putheader(name, value)
            onward.putheader("Content-Length", str(len(body)))
            onward.endheaders(body)
            answer = onward.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            onward.close()


def _body(asked: BaseHTTPRequestHandler) -> Iterator[bytes]:
    """The body, whole or in the chunks that Arrow sends."""
    if asked.headers.get("Transfer-Encoding", "").lower() != "chunked":
        yield asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        return
    while size := int(asked.rfile.readline().split(b";")[0], 16):
        yield asked.rfile.read(size)
        asked.rfile.readline()
    while asked.rfile.readline().strip():  # trailers
        pass


def main(upstream: str, mood: str, seed: str, port: str = "0") -> None:
    Gateway.upstream, Gateway.mood, Gateway.chance = upstream, Path(mood), random.Random(int(seed))
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Gateway)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
