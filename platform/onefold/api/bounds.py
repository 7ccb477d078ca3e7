"""Around every request: a bound on its body, headers that keep browsers safe, a log line without identifiers."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onefold.api.answers import problem

_log = logging.getLogger("onefold.access")

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
}

_EVENTS: Final = re.compile(
    r"/v1/(?:ingest/|webhooks/|(?:track|identify|page|screen|group|alias|batch|import|[tipsgab])/?$)"
)
"""Paths whose bodies are events."""

_THROWN_AWAY: Final = 64 << 20
"""Bytes of a refused request's body that are read and thrown away at most, so that its sender gets to the answer."""
_READING_SECONDS: Final = 10.0
"""And how long that may take at most."""

Observer = Callable[[str, str, int, float], None]
"""Told of every request: method, the route's pattern, status, seconds."""


class TooLarge(HTTPException):
    """More bytes came than are allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"the body is too large: at most {most} bytes are taken")


class Bounds:
    """ASGI middleware. Paths are logged as the route's pattern: no golden ID, no query."""

    def __init__(self, app: ASGIApp, most: int, ingest: int, observe: Observer) -> None:
        self._app = app
        self._usual, self._ingest = most, ingest
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, bounded and observed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, started, taken = time.monotonic(), 500, False, 0
        whole = not _sends_a_body(scope)
        most = self._ingest if _EVENTS.match(scope["path"]) else self._usual

        async def bounded() -> Message:
            nonlocal taken, whole
            message = await receive()
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > most:
                raise TooLarge(most)
            return message

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                if status >= 400 and not whole and (taken or not _waits(scope)):
                    await _throw_away(scope, receive)
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if _announced(scope) > most:
                raise TooLarge(most)
            await self._app(scope, bounded, answer)
        except TooLarge as error:
            await problem(413, "too_large", error.detail)(scope, receive, answer)
        except Exception as error:
            # Neither the message nor a value of the frames is logged: both may hold personal data.
            frames = "".join(traceback.format_tb(error.__traceback__))
            _log.error("%s in %s %s\n%s", type(error).__name__, scope["method"], _route(scope), frames)
            if started:
                raise RuntimeError("the answer broke off") from None
            said = "something went wrong here; the log of the API names it"
            await problem(500, "internal", said)(scope, receive, answer)
        finally:
            seconds = time.monotonic() - began
            _log.info("%s %s %d %.1f ms", scope["method"], _route(scope), status, seconds * 1000)
            self._observe(scope["method"], _route(scope), status, seconds)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "(no route)")


def _sends_a_body(scope: Scope) -> bool:
    return _announced(scope) > 0 or "transfer-encoding" in Headers(scope=scope)


def _waits(scope: Scope) -> bool:
    """Whether the sender waits for a word before it sends the body, and so needs none of it read."""
    return Headers(scope=scope).get("expect", "").lower() == "100-continue"


async def _throw_away(scope: Scope, receive: Receive) -> None:
    """Read the rest of a body, within bounds.

    Many clients read no answer before they have sent everything, and lose it where the server closes on them.
    """
    left = _THROWN_AWAY
    if _announced(scope) > left:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_READING_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isdigit() else 0
