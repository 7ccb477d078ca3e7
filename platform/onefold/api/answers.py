"""Answers: JSON made by orjson, problems in one shape."""

from __future__ import annotations

from typing import Any, Final

import orjson
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field


class Answer(Response):
    """A JSON answer; what it holds is described by the route's `response_model` and held to it by tests."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """JSON as bytes."""
        return orjson.dumps(content)

    def also_at_the_top(self) -> Answer:
        """A problem with its code and message beside `error`, where programs that are not ours look for them."""
        told = orjson.loads(self.body)
        headers = {k: v for k, v in self.headers.items() if k not in ("content-length", "content-type")}
        return Answer(told | told.get("error", {}), self.status_code, headers)


class Problem(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="short name of the problem", examples=["bad_input"])
    message: str = Field(description="what was expected and what to do; never the value that was sent")
    field: str | None = Field(default=None, description="the field at fault", examples=["channel"])


class ProblemAnswer(BaseModel):
    """The one shape of every error."""

    model_config = ConfigDict(extra="forbid")

    error: Problem


def problem(status: int, code: str, message: str, field: str | None = None) -> Answer:
    """An error as an answer."""
    error: dict[str, str] = {"code": code, "message": message}
    if field is not None:
        error["field"] = field
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    if status in (503, 504, 507):
        headers = {"Retry-After": "5"}
    return Answer({"error": error}, status_code=status, headers=headers)


def said(description: str) -> dict[str, Any]:
    """A problem, for a route's `responses`."""
    return {"model": ProblemAnswer, "description": description}


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: said("No valid API key"),
    403: said("The key lacks the scope"),
    422: said("A parameter or field is not valid; `field` names it"),
    503: said("Nothing is published yet, or storage does not answer"),
}
"""Errors that every route can give."""

NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = {404: said("There is no such thing")}

BODY: Final[dict[int | str, dict[str, Any]]] = {
    400: said("The body is not text in UTF-8"),
    413: said("The body is beyond its bound"),
}
"""Errors that every route can give that takes a JSON object."""

NOT_CONTINUED: Final[dict[int | str, dict[str, Any]]] = {
    409: said("Something was published since the list was begun: start again without a cursor")
}
"""The error of lists that are read in pages."""
