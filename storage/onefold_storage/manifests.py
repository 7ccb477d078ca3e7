"""Manifests: what each landed package held, kept in the lake beside the data.

The lake is the truth: a package is committed exactly when the bronze table's transaction version for `land` has
reached its `seq`. The manifest of a seq is written before that commit, under the source's lock, so the manifest
at or below the committed seq is always that of the package that was committed.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import orjson

from onefold_storage.errors import NotFound
from onefold_storage.lake import Lake
from onefold_storage.packages import Package

APP = "land"
"""The name under which landing numbers its commits in a bronze table."""


def write_manifest(lake: Lake, package: Package) -> None:
    """Put the manifest of a package that is about to be committed."""
    assert package.seq is not None
    lake.objects.put(_key(package.source, package.seq), orjson.dumps(asdict(package)))


def read_manifest(lake: Lake, source: str, seq: int) -> Package:
    """The manifest of a committed package.

    Raises:
        NotFound: there is none.
    """
    data = lake.objects.get(_key(source, seq))
    if data is None:
        raise NotFound(f"{source}: the manifest of package {seq} is missing")
    facts = orjson.loads(data)
    for name in ("started_at", "committed_at"):
        facts[name] = datetime.fromisoformat(facts[name])
    return Package(**facts)


def committed_seq(lake: Lake, source: str) -> int:
    """The last package of a source that is in the lake; 0 where there is none."""
    return max(lake.transaction(f"bronze/{source}", APP), 0)


def _key(source: str, seq: int) -> str:
    return f"packages/{source}/{seq:08d}.json"
