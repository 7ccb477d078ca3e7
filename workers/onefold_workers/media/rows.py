"""Facts as rows of strings, the way connectors hand them on; and the row's name for its object."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from onefold_storage.documents import key_of
from onefold_workers.media.facts import Facts, tags_of

COLUMNS = (
    "object", "sha256", "size", "media_type", "kind", "title", "author", "created_at", "duration_s", "width", "height",
    "pages", "codec", "device", "latitude", "longitude", "text", "problem", "facts",
)  # fmt: skip
FIXED = ("object", "sha256", "size")
"""Columns that nothing from outside may set."""
_APART = ("text", "tags")


def row(facts: Facts, sha256: str, size: int) -> dict[str, str | None]:
    """The columns above; `facts` is all of them but the text as a JSON object."""
    told = {k: v for k, v in asdict(facts).items() if k not in _APART}
    every = {k: v for k, v in (told | {"bytes": size} | tags_of(facts.tags)).items() if v is not None}
    text = {k: None if v is None else str(v) for k, v in told.items()}
    return {
        **text, "text": facts.text, "object": key_of(sha256), "sha256": sha256, "size": str(size),
        "facts": orjson.dumps(every).decode(),
    }  # fmt: skip
