"""How much room there is now: nodes, drives, pools, usable and free bytes after erasure coding.

Three witnesses, the best that can be heard: MinIO's server information (needs root, or a user who may
`admin:ServerInfo`), its public figures (`minio_figures.py`), the file system of a lake on disk. What none of them
told stands in `unknown`, with what would tell it.

Usable bytes of a pool are its drives' bytes times (set - parity) / set, as MinIO counts them itself; an offline
drive's bytes are not in them, so a capacity with offline drives is no sample of growth (`whole`).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

RESERVE = 0.01
"""The share of its room that MinIO does not give away: it refuses what would fill a set above 99 %."""
FILLED = 0.85
"""Where MinIO turns to other pools: above it, a pool takes new objects only when every pool is."""


@dataclass(frozen=True)
class Node:
    """One server: its address, whether it answers, and its drives.

    One full drive is enough for MinIO to refuse every write to its erasure set, whatever room the others have.
    """

    address: str
    online: bool
    drives: int
    drives_online: int
    drives_full: int = 0


@dataclass(frozen=True)
class Pool:
    """One pool: `set_drives` drives make an erasure set, `parity` of which may be lost for reading."""

    number: int
    nodes: int
    drives: int
    drives_online: int
    set_drives: int
    parity: int
    usable_bytes: int
    free_bytes: int
    healing: int

    @property
    def drive_bytes(self) -> int:
        """Bytes of one drive, on average."""
        data = self.set_drives - self.parity
        return self.usable_bytes * self.set_drives // max(data * self.drives_online, 1)


@dataclass(frozen=True)
class Capacity:
    """The room there is. `kind`: a MinIO cluster, a disk, or another S3 server that says nothing about itself."""

    kind: Literal["cluster", "disk", "server"]
    usable_bytes: int | None
    free_bytes: int | None
    nodes: tuple[Node, ...] = ()
    pools: tuple[Pool, ...] = ()
    nodes_offline: int = 0
    drives: int = 0
    drives_online: int = 0
    healing: int = 0
    parity: int | None = None
    objects: int | None = None
    versions: int | None = None
    quota_bytes: int | None = None
    bucket_bytes: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def used_bytes(self) -> int | None:
        """Usable bytes that are taken."""
        if self.usable_bytes is None or self.free_bytes is None:
            return None
        return self.usable_bytes - self.free_bytes

    @property
    def room_bytes(self) -> int | None:
        """Free bytes that can be written: without the reserve of a cluster, and within the bucket's quota."""
        rooms = []
        if self.usable_bytes is not None and self.free_bytes is not None:
            reserve = int(RESERVE * self.usable_bytes) if self.kind == "cluster" else 0
            rooms.append(self.free_bytes - reserve)
        if self.quota_bytes:
            rooms.append(self.quota_bytes - (self.bucket_bytes or 0))
        return max(min(rooms), 0) if rooms else None

    def without(self, given_up: set[int]) -> Capacity:
        """The room there is when these pools (numbers from 0) take nothing more and what they hold goes to others."""
        gone = [p for p in self.pools if p.number in given_up]
        if not gone or self.usable_bytes is None or self.free_bytes is None:
            return self
        usable = self.usable_bytes - sum(p.usable_bytes for p in gone)
        return replace(self, usable_bytes=usable, free_bytes=max(usable - (self.used_bytes or 0), 0))

    @property
    def drives_full(self) -> int:
        """Drives without room, where nodes can be seen."""
        return sum(n.drives_full for n in self.nodes)

    @property
    def whole(self) -> bool:
        """Whether every drive is there, so that used bytes can be compared with another day's."""
        return self.used_bytes is not None and self.drives == self.drives_online and not self.nodes_offline


def of_disk(folder: Path) -> Capacity:
    """The file system that holds a folder, as a user without privileges may fill it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    usable = (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize
    told = ("other programs' files on this disk count as used",)
    return Capacity("disk", usable, free, drives=1, drives_online=1, unknown=told)


def of_information(found: dict[str, Any]) -> Capacity:
    """What MinIO's server information (`/minio/admin/v3/info`) comes to."""
    backend = found.get("backend") or {}
    parity = int(backend.get("standardSCParity") or 0)
    servers = found.get("servers") or []
    nodes = tuple(
        Node(str(s.get("endpoint")), s.get("state") == "online", len(d), sum(map(_online, d)), sum(map(_full, d)))
        for s in sorted(servers, key=lambda s: _in_order(str(s.get("endpoint"))))
        if (d := s.get("drives") or []) is not None
    )
    drives: dict[int, list[dict[str, Any]]] = defaultdict(list)
    hosts: dict[int, set[str]] = defaultdict(set)
    for server in servers:
        for drive in server.get("drives") or []:
            number = int(drive.get("pool_index") or 0)
            drives[number].append(drive)
            hosts[number].add(str(server.get("endpoint")))
    sets = backend.get("totalDrivesPerSet") or []
    pools = tuple(
        _pool(number, len(hosts[number]), drives[number], int(sets[number]) if number < len(sets) else 0, parity)
        for number in sorted(drives)
        if number >= 0
    )
    offline = sum(not n.online for n in nodes)
    return Capacity(
        "cluster",
        sum(p.usable_bytes for p in pools),
        sum(p.free_bytes for p in pools),
        nodes,
        pools,
        offline,
        max(
            sum(n.drives for n in nodes),
            int(backend.get("onlineDisks") or 0) + int(backend.get("offlineDisks") or 0),
        ),
        sum(n.drives_online for n in nodes),
        sum(p.healing for p in pools),
        parity,
        int((found.get("objects") or {}).get("count") or 0),
        int((found.get("versions") or {}).get("count") or 0),
    )


def _pool(number: int, nodes: int, drives: list[dict[str, Any]], set_drives: int, parity: int) -> Pool:
    online = [d for d in drives if _online(d)]
    size = set_drives or len(drives)
    share = (size - parity) / size if size else 0.0
    total = sum(int(d.get("totalspace") or 0) for d in online)
    free = sum(int(d.get("availspace") or 0) for d in online)
    healing = sum(bool(d.get("healing")) for d in drives)
    return Pool(
        number, nodes, len(drives), len(online), size, parity, int(total * share), int(free * share), healing
    )


def _in_order(address: str) -> list[tuple[int, str]]:
    """What sorts addresses as people count, `minio-2` before `minio-10`; MinIO tells its nodes in any order."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", address)]


def _online(drive: dict[str, Any]) -> bool:
    return str(drive.get("state")) == "ok"


def _full(drive: dict[str, Any]) -> bool:
    total = int(drive.get("totalspace") or 0)
    return _online(drive) and total > 0 and int(drive.get("availspace") or 0) <= RESERVE * total
