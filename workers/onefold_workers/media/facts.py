"""The facts of one media file, as far as its format holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

MAX_TEXT = 1 << 20
"""Characters of text that are kept."""
_MAX_TAGS = 100
_MAX_TAG = 1000


class UnreadableError(Exception):
    """The file is broken, or not what it looks like; the message says so without a value from it."""


@dataclass
class Facts:
    """What was read; None where the format does not say.

    `kind`: photo, audio, video, pdf, mail, text or other. `created_at`: ISO 8601; without a zone it is local time.
    `latitude`, `longitude`: degrees, as the file declares them. `tags`: further facts by their format's names.
    `problem`: why facts are missing.
    """

    kind: str
    media_type: str
    title: str | None = None
    author: str | None = None
    created_at: str | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    pages: int | None = None
    codec: str | None = None
    device: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    text: str | None = None
    problem: str | None = None
    tags: dict[str, Any] = field(default_factory=dict)


def tidy(value: Any, longest: int = _MAX_TAG) -> str | None:
    """Text without NULs, half characters and blanks at its ends; None where nothing is left."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = str(value).replace("\0", " ").strip() if value is not None else ""
    return text[:longest].encode("utf-8", "replace").decode() or None


def tags_of(given: dict[str, Any]) -> dict[str, Any]:
    """Further facts, a bounded number of them, as numbers or short text."""
    found: dict[str, Any] = {}
    for name, value in list(given.items())[:_MAX_TAGS]:
        plain = value if isinstance(value, bool | int | float) and abs(value) < 1e15 else tidy(value)
        if plain is not None and plain == plain:  # noqa: PLR0124 - a NaN is no fact
            found[str(tidy(name, 100))] = plain
    return found


def since(year: int, seconds: float) -> str | None:
    """ISO 8601 of seconds since the beginning of a year, in UTC; None where nothing was meant by it."""
    try:
        return (datetime(year, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat() if seconds else None
    except OverflowError:
        return None
