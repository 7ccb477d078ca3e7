"""What a table holds, as one short text that compaction does not change: equal text, equal rows.

It is the digest of the table's files. Compaction writes the same rows into other files: it notes beforehand which
digest its outcome will have and which text that stands for. A note whose digest is not the table's says nothing, so
a compaction that was cut off, or a later write, leads at worst to work done once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from onefold_storage.lake import Lake

_ROOT = "maintenance/contents"


def content_of(lake: Lake, name: str) -> str:
    """The text of a table's newest version; empty where the table does not exist."""
    if not lake.exists(name):
        return ""
    found = _digest(path for path, _ in lake.standing(name))
    note = lake.objects.get(_key(name))
    facts = orjson.loads(note) if note else {}
    return str(facts["content"]) if facts.get("files") == found else found


def keep_content(lake: Lake, name: str, paths: Iterable[str]) -> None:
    """Note that the table will hold what it holds now when its files are these. Hold the table's lock."""
    facts = {"files": _digest(paths), "content": content_of(lake, name)}
    lake.objects.put(_key(name), orjson.dumps(facts))


def _digest(paths: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()[:32]


def _key(name: str) -> str:
    return f"{_ROOT}/{name.replace('/', '.')}.json"
