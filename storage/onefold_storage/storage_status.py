"""`onefold storage status` as one object: the room, who holds it, what moves, what grows, what is waste."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from onefold_storage.expansion import movements
from onefold_storage.growth import Growth
from onefold_storage.installation import Installation
from onefold_storage.minio_admin import AdminApi
from onefold_storage.outlook import outlook
from onefold_storage.places import table_of


def storage_status(installation: Installation, *, waste: bool = False) -> dict[str, Any]:
    """Everything that is known; pools are counted from 1. `waste` lists every object, which may take long.

    Raises:
        Unavailable: storage does not answer.
    """
    settings = installation.settings
    found = outlook(installation)
    capacity = found.capacity
    api = AdminApi.of(settings)
    tables = found.growth.tables
    return {
        "at": found.at.isoformat(),
        "where": settings.s3_endpoint or settings.lake if settings.lake.startswith("s3://") else settings.lake,
        "kind": capacity.kind,
        "usable_bytes": capacity.usable_bytes,
        "used_bytes": capacity.used_bytes,
        "free_bytes": capacity.free_bytes,
        "room_bytes": capacity.room_bytes,
        "quota_bytes": capacity.quota_bytes,
        "bucket_bytes": capacity.bucket_bytes,
        "nodes": [asdict(n) for n in capacity.nodes],
        "nodes_offline": capacity.nodes_offline,
        "drives": capacity.drives,
        "drives_online": capacity.drives_online,
        "healing": capacity.healing,
        "parity": capacity.parity,
        "pools": [asdict(p) | {"number": p.number + 1, "drive_bytes": p.drive_bytes} for p in capacity.pools],
        "movements": [asdict(m) | {"over": m.over} for m in movements(api)] if api else [],
        "objects": capacity.objects,
        "versions": capacity.versions,
        "tables": {
            "bytes": sum(t.bytes for t in tables.values()),
            "rows": sum(t.rows for t in tables.values()),
            "objects": sum(t.objects for t in tables.values()),
        },
        "sources": found.sources(),
        "waste": wasted(installation, found.growth) if waste else None,
        "unknown": list(capacity.unknown),
    }


def wasted(installation: Installation, growth: Growth) -> dict[str, int]:
    """Bytes and number of objects below tables that their newest versions do not need: old, or never committed."""
    lake = installation.lake
    needed = {f"{name}/{path}" for name in growth.tables for path, _ in lake.standing(name)}
    unneeded = [
        size
        for key, size in lake.objects.sizes("").items()
        if table_of(key) and "/_delta_log/" not in key and key not in needed
    ]
    return {"bytes": sum(unneeded), "objects": len(unneeded)}
