"""The loyalty app's REST API, as a cloud application has it: tokens that end, pages, and what changed since when.

`POST /oauth/token` gives a token for the client's secret; `GET /v2/members?updated_since=&after=&limit=` gives
members in the order of their last change, a page at a time. It listens on the loopback address while the demo runs.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from onefold.demo.doorplate import named_secret, remember, remembered_port

CLIENT = "onefold"
_PAGE = 100
_TOKEN_S = 120
_MOST_FORM = 4_096


class _Members:
    """The members as lines of JSON text, parsed once, and the tokens that hold."""

    def __init__(self, file: Path, secret: str) -> None:
        with file.open(encoding="utf-8") as lines:
            self._members = [json.loads(line) for line in lines]
        self._secret = secret
        self._tokens: dict[str, float] = {}

    def token(self, form: dict[str, list[str]]) -> str | None:
        """A new token, if the form holds the client's name and secret."""
        given = form.get("client_secret", [""])[0]
        if form.get("client_id") != [CLIENT] or not hmac.compare_digest(given, self._secret):
            return None
        now = time.monotonic()
        made = secrets.token_urlsafe(24)
        self._tokens = {t: end for t, end in self._tokens.items() if end > now} | {made: now + _TOKEN_S}
        return made

    def known(self, header: str) -> bool:
        """Whether the token of an Authorization header holds."""
        return self._tokens.get(header.removeprefix("Bearer "), 0.0) > time.monotonic()

    def page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """Members changed at or after `updated_since`, from place `after` on."""
        since = query.get("updated_since", [""])[0]
        begins = bisect_left(self._members, since, key=lambda m: m["updated_at"])
        limit = min(int(query.get("limit", [str(_PAGE)])[0]), _PAGE)
        at = begins + int(query.get("after", ["0"])[0])
        more = at + limit < len(self._members)
        paging = {"next": str(at - begins + limit) if more else None}
        return {"members": self._members[at : at + limit], "paging": paging}


@contextmanager
def serving(file: Path, folder: Path) -> Iterator[str]:
    """Serve the members in `file` (NDJSON) while entered; gives the address.

    `folder` keeps the address and the client's secret, for the contract to name; a later server takes the same port
    where it is free.
    """
    members = _Members(file, named_secret(folder / "client_secret"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, *_: Any) -> None:
            """Nothing: requests of ours are nobody's news."""

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = parse_qs(self.rfile.read(min(length, _MOST_FORM)).decode("utf-8", "replace"))
            token = members.token(form) if self.path == "/oauth/token" else None
            if token is None:
                self.close_connection = True
                self._answer(401, {"error": "invalid_client"})
            else:
                self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": _TOKEN_S})

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if not members.known(self.headers.get("Authorization", "")):
                self._answer(401, {"error": "invalid_token"})
            elif parts.path != "/v2/members":
                self._answer(404, {"error": "not_found"})
            else:
                try:
                    self._answer(200, members.page(parse_qs(parts.query)))
                except ValueError:
                    self._answer(400, {"error": "after and limit are whole numbers"})

    server = ThreadingHTTPServer(("127.0.0.1", remembered_port(folder)), Handler)
    server.daemon_threads = True
    address = remember(folder, server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True, name="loyalty app").start()
    try:
        yield f"http://{address}"
    finally:
        server.shutdown()
        server.server_close()
