"""The one table from errors to HTTP: an `OnefoldError` brings its status, everything else is mapped here.

A message never holds the value that was sent.
"""

from __future__ import annotations

import logging
import math
import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from onefold.api.answers import Answer, problem
from onefold_storage.errors import OnefoldError, TooMany

_log = logging.getLogger(__name__)
_HTTP = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported"}
NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
_WORDS = re.compile(r"(?<!^)(?=[A-Z])")
# What pydantic says about these holds no value; any other kind is told by its type alone.
_SAID = re.compile(
    r"^(missing|extra_forbidden|literal_error|enum|string_|int_|float_|bool_|greater_|less_|too_|finite_|"
    r"list_|model_|dict_|json_|datetime_)"
)


class FieldError(OnefoldError):
    """A field that is well formed and still not valid; `field` names it."""

    status = 422

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


def install(app: FastAPI) -> None:
    """Let the app answer every error in the one shape."""
    app.add_exception_handler(OnefoldError, _onefold)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(SQLAlchemyError, _database)


def answer(request: Request, error: Exception) -> Answer:
    """The answer to an error of ours or of the ledger, for what does not go through FastAPI."""
    return _onefold(request, error) if isinstance(error, OnefoldError) else _database(request, error)


def _onefold(_request: Request, error: Exception) -> Answer:
    assert isinstance(error, OnefoldError)
    name = "bad_input" if isinstance(error, FieldError) else _WORDS.sub("_", type(error).__name__).lower()
    answer = problem(error.status, name, str(error), getattr(error, "field", None))
    if isinstance(error, TooMany):
        answer.headers["Retry-After"] = str(math.ceil(error.after_s))
    return answer


def _invalid(request: Request, error: Exception) -> Answer:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    kind = str(first["type"])
    if kind == "json_invalid":
        return problem(422, "bad_input", "the body is not valid JSON", "body")
    if kind == "model_attributes_type" and first["loc"] == ("body",):
        sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        header = "" if sent.endswith("json") else ", sent with the header Content-Type: application/json"
        return problem(422, "bad_input", f"body: expected a JSON object{header}", "body")
    parts = [str(p) for p in first["loc"]]
    if parts[0] in ("query", "body", "path", "header") and len(parts) > 1:
        parts = parts[1:]
    field = ".".join(p if NAME.match(p) or p.isdigit() else "?" for p in parts)
    said = str(first["msg"]) if _SAID.match(kind) else f"is not valid ({kind})"
    if kind == "model_attributes_type":
        said = "expected a JSON object"
    return problem(422, "bad_input", f"{field}: {said}", field)


def _http(_request: Request, error: Exception) -> Answer:
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, _HTTP.get(error.status_code, "error"), str(error.detail))
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def _database(_request: Request, error: Exception) -> Answer:
    _log.error("the ledger does not answer: %s", type(error).__name__)
    return problem(503, "unavailable", "the ledger does not answer: try again later")
