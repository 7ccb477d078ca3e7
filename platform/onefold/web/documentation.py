"""GET /docs: the API's documentation, rendered from its own OpenAPI description; nothing comes from elsewhere.

GET /v1 leads there, without a key and without telling anything else.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from onefold.api.answers import Answer
from onefold.web.rendering import page

router = APIRouter()


@router.get("/v1")
def begin() -> Answer:
    """Where to read on, for whoever asks the API's address itself."""
    key = "every other route needs one, as `Authorization: Bearer …`: onefold key create NAME"
    return Answer({"docs": "/docs", "openapi": "/openapi.json", "key": key})


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Every route with its parameters, examples and answers."""
    description = request.app.openapi()
    operations: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in description["tags"]}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["operation"])[0]
            operations.setdefault(tag, []).append(_operation(path, method, operation, description))
    about = {tag["name"]: tag["description"] for tag in description["tags"]}
    known = {
        name: _properties(schema, description) for name, schema in description["components"]["schemas"].items()
    }
    shapes = {
        name: fields
        for name, fields in known.items()
        if fields and name not in ("HTTPValidationError", "ValidationError")
    }
    return page("docs.html", api=description["info"], tags=operations, about=about, shapes=shapes, key=None)


def _operation(path: str, method: str, operation: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", "").split("\n\n"),
        "parameters": [_parameter(p) for p in operation.get("parameters", [])],
        "fields": _fields(operation, description),
        "examples": _examples(operation),
        "call": _call(path, operation) if method == "get" else None,
        "example": _answer_example(operation),
        "answers": _answers(operation, description),
        "locked": "security" in operation,
    }


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = parameter["schema"]
    return {
        "name": parameter["name"],
        "where": parameter["in"],
        "required": parameter.get("required", False),
        "type": _type(schema),
        "description": parameter.get("description", ""),
        "default": schema.get("default"),
    }


def _fields(operation: dict[str, Any], description: dict[str, Any]) -> list[dict[str, Any]]:
    """Fields of the request's body."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return _properties(content["schema"], description) if content else []


def _answers(operation: dict[str, Any], description: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get("application/json")
        fields = _properties(content["schema"], description) if content and status.startswith("2") else []
        found.append({"status": status, "description": answer["description"], "fields": fields})
    return found


def _properties(schema: dict[str, Any], description: dict[str, Any]) -> list[dict[str, Any]]:
    named = schema.get("$ref", "").rsplit("/", 1)[-1]
    found = description["components"]["schemas"].get(named, schema)
    required = found.get("required", [])
    return [
        {
            "name": name,
            "type": _type(field),
            "required": name in required,
            "description": field.get("description", ""),
        }
        for name, field in found.get("properties", {}).items()
    ]


def _examples(operation: dict[str, Any]) -> dict[str, str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {
        name: orjson.dumps(example["value"], option=orjson.OPT_INDENT_2).decode()
        for name, example in content.get("examples", {}).items()
    }


def _call(path: str, operation: dict[str, Any]) -> str:
    """A GET request as a command, from the parameters' examples."""
    query = []
    for parameter in operation.get("parameters", []):
        value = str((parameter["schema"].get("examples") or ["…"])[0])
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", value)
        elif parameter.get("required"):
            query.append(f"{parameter['name']}={value}")
    key = '-H "X-API-Key: $KEY" ' if "security" in operation else ""
    return f'curl {key}"$ONEFOLD{path}{"?" if query else ""}{"&".join(query)}"'


def _answer_example(operation: dict[str, Any]) -> str | None:
    for status, answer in operation["responses"].items():
        example = answer.get("content", {}).get("application/json", {}).get("example")
        if status.startswith("2") and example:
            return orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
    return None


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_type(s) for s in schema["anyOf"] if s.get("type") != "null")
    if "enum" in schema:
        return " | ".join(str(v) for v in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "any"))
