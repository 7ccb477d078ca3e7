"""Variables in a compose file: `${NAME}` and its forms, filled from the environment and from `.env`.

The forms and their meaning are those of the compose specification (Interpolation).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\})")


class UndefinedError(Exception):
    """Variables that must be set and are not; one message a variable."""

    def __init__(self, messages: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name} is not set: {why}" for name, why in sorted(messages.items())))


def read_env(path: Path) -> dict[str, str]:
    """The variables of an `.env` file; empty where there is none."""
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, found, value in pairs if found}


def fill(tree: Any, variables: Mapping[str, str]) -> Any:
    """The tree with every string's variables filled in.

    Raises:
        UndefinedError: required variables are not set; names all of them.
    """
    missing: dict[str, str] = {}

    def one(match: re.Match[str]) -> str:
        dollar, plain, name, how, text = match.groups()
        if dollar:
            return "$"
        value = variables.get(plain or name)
        there = value is not None and not (how and how.startswith(":") and value == "")
        if how and how.endswith("+"):
            return text if there else ""
        if there or not how:
            return value or ""
        if how.endswith("-"):
            return text or ""
        missing[name] = text or "it is required"
        return ""

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            return _VARIABLE.sub(one, node)
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, list) else node

    filled = walk(tree)
    if missing:
        raise UndefinedError(missing)
    return filled
