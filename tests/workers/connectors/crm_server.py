"""A real HTTP server with a CRM's shape: contacts, companies, deals; tokens that expire, limits, and bad moods."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Crm:
    """What the server holds, and how it behaves. `tables`: rows by name, each with id and updated.

    `tokens`: how often each may still be used, whatever was said of when it ends.
    """

    tables: dict[str, list[dict[str, Any]]]
    url: str = ""
    page: int = 3
    token_uses: int = 1_000_000
    tokens: dict[str, int] = field(default_factory=dict)
    moods: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    paging: str = "cursor"
    body: bytes | None = None
    stall_s: float = 0

    def token(self) -> str:
        """A new token."""
        made = f"t{len(self.tokens)}"
        self.tokens[made] = self.token_uses
        return made

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[dict[str, Any] | list[Any], dict[str, str]]:
        """A page of a table, and headers."""
        rows = [r for r in self.tables[path.rsplit("/", 1)[-1]] if r["updated"] >= query.get("since", [""])[0]]
        at = int(query.get("after", query.get("offset", ["0"]))[0])
        here, more = rows[at : at + self.page], at + self.page < len(rows)
        if self.paging == "offset":
            return {"data": here, "total": len(rows)}, {}
        if self.paging == "link":
            link = f'<{self.url}{path}?after={at + self.page}>; rel="next"'
            return here, {"Link": link} if more else {}
        if self.paging == "elsewhere":
            return {"data": here, "next": f"http://localhost:1{path}?after=3"}, {}
        return {"data": here, "paging": {"next": str(at + self.page) if more else None}}, {}


@contextmanager
def serving(crm: Crm) -> Iterator[Crm]:
    """The server, on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if sent.get("client_secret") != ["s3cret"]:
                self._send(401, b"{}")
                return
            made = {"access_token": crm.token(), "expires_in": 3600}
            self._send(200, json.dumps(made).encode())

        def do_GET(self) -> None:
            crm.asked.append(self.path)
            given = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if crm.tokens and crm.tokens.get(given, 0) <= 0:
                self._send(401, b"{}")
                return
            if given in crm.tokens:
                crm.tokens[given] -= 1
            if crm.moods:
                status, headers = crm.moods.pop(0)
                self._send(status, b"{}", headers)
                return
            if crm.body is not None:
                self._send(200, crm.body)
                return
            if crm.stall_s:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"{")
                self.wfile.flush()
                time.sleep(crm.stall_s)
                return
            parts = urlsplit(self.path)
            found, headers = crm.answer(parts.path, parse_qs(parts.query))
            self._send(200, json.dumps(found).encode(), headers)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    crm.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield crm
    finally:
        server.shutdown()
        server.server_close()
