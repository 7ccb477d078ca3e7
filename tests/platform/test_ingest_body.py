"""Unpacking and reading bodies: no more work than their size, and none that keeps other requests waiting."""

from __future__ import annotations

import asyncio
import gzip
import random
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request

from onefold.api import ingest_body, tracking
from onefold.api.errors import FieldError
from onefold.api.ingest import read
from onefold.api.ingest_body import Bounds, TooLarge, inflate

BOUNDS = Bounds(size=8 << 20, events=10_000, depth=32)
EMPTY = gzip.compress(b"", mtime=0)
EVENT = b'{"id":1}'


@pytest.mark.parametrize("size", [1, 10, 16_384, 16_385, 300_000, 3_000_000])
def test_members_are_unpacked_one_after_the_other(size: int) -> None:
    text = random.Random(size).randbytes(size)
    for level in (0, 9):
        body = gzip.compress(text, level) + EMPTY + gzip.compress(b"and more", level)
        assert inflate(body, "gzip", BOUNDS) == text + b"and more"
        assert inflate(body, "gzip", Bounds(size + 8, 3, 1)) == text + b"and more"
        with pytest.raises(TooLarge, match=f"at most {size + 7} bytes"):
            inflate(body, "gzip", Bounds(size + 7, 3, 1))
        with pytest.raises(FieldError, match="cut off"):
            inflate(body[:-1], "gzip", BOUNDS)
        with pytest.raises(FieldError, match="expected gzip"):
            inflate(body + b"more", "gzip", BOUNDS)


def test_many_members_cost_no_more_than_their_bytes() -> None:
    body = EMPTY * (4_000_000 // len(EMPTY)) + gzip.compress(EVENT)
    begun = time.process_time()
    assert inflate(body, "gzip", Bounds(BOUNDS.size, 1_000_000, 32)) == EVENT
    assert time.process_time() - begun < 10, "it grew with the square of the members: 45 s"
    with pytest.raises(TooLarge, match="at most 10000 gzip members"):
        inflate(body, "gzip", BOUNDS)


def _request(**headers: str) -> Request:
    told = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": told})


@pytest.mark.parametrize(
    ("body", "headers", "aside"),
    [
        (EVENT, {}, False),
        (EVENT, {"content_encoding": "identity"}, False),
        (b"\n".join([EVENT] * 200), {"content_type": "application/x-ndjson"}, False),
        (gzip.compress(EVENT), {"content_encoding": "gzip"}, True),
        (b"[" + b" " * 600_000 + EVENT + b"]", {}, True),
    ],
    ids=["small", "without an encoding", "lines", "gzip", "large"],
)
def test_what_may_take_long_is_read_in_a_thread_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch, body: bytes, headers: dict[str, str], aside: bool
) -> None:
    threads: list[int] = []
    real = ingest_body.inflate

    def told(*given: Any) -> bytes:
        threads.append(threading.get_ident())
        return real(*given)

    monkeypatch.setattr(ingest_body, "inflate", told)
    shared: Any = SimpleNamespace(
        bounds=BOUNDS, settings=SimpleNamespace(ingest_max_body=8 << 20, ingest_max_depth=32)
    )
    events = asyncio.run(read(_request(**headers), body, shared))
    assert events.lines.startswith(EVENT)
    assert [t != threading.get_ident() for t in threads] == [aside]
    threads.clear()
    if len(body) < tracking.tracking_body.LARGEST and "content_type" not in headers:
        request = _request(**headers)
        request._body = body
        assert asyncio.run(tracking._parsed(request, shared)) == {"id": 1}
        assert [t != threading.get_ident() for t in threads] == [aside] * aside
