"""Routes that take events, answered without FastAPI's routing.

Measured: of a request's time FastAPI's routing, dependencies and answer took three quarters, for routes that use none
of them. The same functions stand in the router, so that they are described; requests do not pass there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from onefold.api import errors
from onefold_storage.errors import OnefoldError


@dataclass(frozen=True)
class DirectPath:
    """One kind of path. `route`: what logs and metrics call it; `take`: given what the pattern's group matched.

    `methods`: those that come here. `told`: makes the answer to an error out of the usual one.
    """

    pattern: re.Pattern[str]
    route: BaseRoute
    take: Callable[[str, Request], Awaitable[Response]]
    methods: tuple[str, ...] = ("POST",)
    told: Callable[[Request, Response], Response] = lambda _, answer: answer


class Direct:
    """ASGI middleware that hands requests to these paths; everything else goes the usual way."""

    def __init__(self, app: ASGIApp, paths: Sequence[DirectPath]) -> None:
        self._app, self._paths = app, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, match = self._found(scope)
        if path is None or match is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = path.route
        request = Request(scope, receive)
        try:
            answer = await path.take(match[1], request)
        except ClientDisconnect:
            return  # nobody is there to be answered, and nothing was taken
        except (OnefoldError, SQLAlchemyError) as error:
            answer = path.told(request, errors.answer(request, error))
        await answer(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[DirectPath | None, re.Match[str] | None]:
        if scope["type"] == "http":
            for path in self._paths:
                if scope["method"] in path.methods and (match := path.pattern.fullmatch(scope["path"])):
                    return path, match
        return None, None
