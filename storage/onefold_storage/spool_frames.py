"""The bytes of the write-ahead log: groups of frames, each group written and synced at once.

A segment begins with `MAGIC` and a random marker. A group is one write and one fsync, of every request that waited
for it: `marker, sequence, size, CRC-32, frames`; as senders cannot know the marker, nothing they send passes for a
group. The next group is written only after the last one is durable. So a group that is not whole and has none behind it
was cut off by a crash before anybody was told it is safe: it is cut. One that is not whole and has a whole one
behind it was durable and was damaged later: that is said, and what is whole is kept.
"""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import orjson

MAGIC = b"\x89OFwal1\n"
_MARKER = 8
_HEAD = len(MAGIC) + _MARKER
_GROUP = struct.Struct("<8sQQI")
_FRAME = struct.Struct("<II")
SUPPRESSED = b"#suppressed"
"""A line in the place of an event that is not kept, because a bot sent it or nobody agreed to it."""
INVALID = b"#invalid "
"""How a line begins that holds an event which is none, and why: `rule`, `field`, `message`, `event` as JSON."""


@dataclass(frozen=True)
class Frame:
    """One request: `body` is its events as they were sent, one a line, none blank.

    `first`: the place of its first event among the source's in the segment. `key` and `digest`: keyed hashes of the
    sender's idempotency key and of what was sent under it. `erased`: which of its events, counted from 0, were taken
    out with their person; their lines are blank.
    """

    source: str
    body: bytes
    events: int
    first: int = 0
    key: str | None = None
    digest: str | None = None
    erased: tuple[int, ...] = ()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Its events that were not erased, each with its place among the source's in the segment."""
        gone = set(self.erased)
        return ((self.first + n, raw) for n, raw in enumerate(self.body.split(b"\n")) if n not in gone)


@dataclass(frozen=True)
class Found:
    """What a segment's bytes hold. `whole`: bytes up to the cut; `damaged`: bytes lost in the middle."""

    frames: tuple[Frame, ...]
    whole: int
    damaged: int = 0


def head() -> bytes:
    """How a new segment begins."""
    return MAGIC + secrets.token_bytes(_MARKER)


def pack(frames: Iterable[Frame], sequence: int, begun: bytes) -> bytes:
    """A group; `begun`: how its segment begins."""
    parts: list[bytes] = []
    for frame in frames:
        facts = {k: v for k, v in asdict(frame).items() if v not in (None, ()) and k != "body"}
        told = orjson.dumps(facts)
        parts += (_FRAME.pack(len(told), len(frame.body)), told, frame.body)
    payload = b"".join(parts)
    return _GROUP.pack(begun[len(MAGIC) :], sequence, len(payload), _sum(sequence, payload)) + payload


def unpack(data: bytes) -> Found:
    """Every frame of a segment, up to a tail that was cut off; past damage it goes on with the next whole group."""
    view = memoryview(data)
    frames: list[Frame] = []
    if len(data) < _HEAD:
        return Found((), 0)
    if not data.startswith(MAGIC):
        return Found((), 0, len(data))
    marker = data[len(MAGIC) : _HEAD]
    at = whole = _HEAD
    damaged = least = 0
    while at < len(data):
        end = _end(view, at, marker, least)
        if end is None:
            following = _next(data, at + 1, marker, least)
            if following is None:
                break
            damaged += following - at
            at = following
            continue
        least = _GROUP.unpack_from(view, at)[1] + 1
        frames += _frames(view[at + _GROUP.size : end])
        at = whole = end
    return Found(tuple(frames), whole, damaged)


def _end(view: memoryview, at: int, marker: bytes, least: int) -> int | None:
    """Where the group that begins at `at` ends; None where no whole one with at least that sequence does."""
    if len(view) - at < _GROUP.size:
        return None
    found, sequence, size, checksum = _GROUP.unpack_from(view, at)
    end = at + _GROUP.size + int(size)
    if found != marker or sequence < least or end > len(view):
        return None
    return end if _sum(sequence, view[at + _GROUP.size : end]) == checksum else None


def _next(data: bytes, at: int, marker: bytes, least: int) -> int | None:
    view = memoryview(data)
    while (found := data.find(marker, at)) >= 0:
        if _end(view, found, marker, least) is not None:
            return found
        at = found + 1
    return None


def _frames(payload: memoryview) -> Iterator[Frame]:
    at = 0
    while at < len(payload):
        head, body = _FRAME.unpack_from(payload, at)
        at += _FRAME.size
        facts = orjson.loads(payload[at : at + head])
        at += head
        erased = tuple(facts.pop("erased", ()))
        yield Frame(body=bytes(payload[at : at + body]), erased=erased, **facts)
        at += body


def _sum(sequence: int, payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(sequence.to_bytes(8, "little")))
