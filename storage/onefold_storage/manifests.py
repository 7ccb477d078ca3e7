"""Manifests: what each landed package held, kept in the lake beside the data.

The lake is the truth: a package is committed exactly when the bronze table's transaction version for `land` has
reached its `seq`. The manifest of a seq is written before that commit, under the source's lock, so the manifest
at or below the committed seq is always that of the package that was committed. It also holds the source's bookmark
(where its reader stands), which therefore can neither lead nor lag the data.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson

from onefold_storage.deliveries import Request
from onefold_storage.errors import NotFound
from onefold_storage.lake import Lake
from onefold_storage.packages import Package

APP = "land"
"""The name under which landing numbers its commits in a bronze table."""


def write_manifest(lake: Lake, package: Package, bookmark: Any = None) -> None:
    """Put the manifest of a package that is about to be committed; without a new bookmark the last one stays."""
    assert package.seq is not None
    if bookmark is None:
        bookmark = _facts(lake, package.source, package.seq - 1).get("bookmark")
    facts = asdict(package) | ({} if bookmark is None else {"bookmark": bookmark})
    lake.objects.put(_key(package.source, package.seq), orjson.dumps(facts))


def read_manifest(lake: Lake, source: str, seq: int) -> Package:
    """The manifest of a committed package.

    Raises:
        NotFound: there is none.
    """
    facts = _facts(lake, source, seq)
    if not facts:
        raise NotFound(f"{source}: the manifest of package {seq} is missing")
    facts.pop("bookmark", None)
    for name in ("started_at", "committed_at"):
        facts[name] = datetime.fromisoformat(facts[name])
    facts["requests"] = tuple(Request(**r) for r in facts.get("requests", ()))
    return Package(**facts)


def committed_seq(lake: Lake, source: str) -> int:
    """The last package of a source that is in the lake; 0 where there is none."""
    return max(lake.transaction(f"bronze/{source}", APP), 0)


def committed_bookmark(lake: Lake, source: str) -> Any:
    """Where a source's reader stands, as JSON; None where it keeps no bookmark or nothing has landed."""
    return _facts(lake, source, committed_seq(lake, source)).get("bookmark")


def _facts(lake: Lake, source: str, seq: int) -> dict[str, Any]:
    data = lake.objects.get(_key(source, seq)) if seq > 0 else None
    facts: dict[str, Any] = orjson.loads(data) if data else {}
    return facts


def _key(source: str, seq: int) -> str:
    return f"packages/{source}/{seq:08d}.json"
