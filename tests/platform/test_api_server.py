"""The API as a server of its own: what it imports, what it logs, and what it serves while a publication changes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from onefold.api import bounds

FORBIDDEN = ("dask", "distributed", "prefect", "sklearn", "scipy", "mlflow", "pandas", "deltalake", "polars")
PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
import uvicorn
from onefold.api.app import create_app
uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), access_log=False)
"""


def test_the_api_imports_nothing_heavy() -> None:
    code = f"import sys, onefold.api.app; print(sorted(set({FORBIDDEN}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def server(published: Any, free_port: Callable[[], int], tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and log of a uvicorn process over the installation."""
    port, log = free_port(), tmp_path / "log"
    environment = {**os.environ, "ONEFOLD_HOME": str(published.storage.root), "ONEFOLD_NOW": "2018-01-01T00:00:00Z"}
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)], env=environment, stderr=out)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                if httpx.get(f"{address}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")
        yield address, log
    finally:
        process.terminate()
        process.wait(20)


def test_a_server_answers_follows_and_logs_no_identifier(
    server: tuple[str, Path], published: Any, made_up: ModuleType
) -> None:
    address, log = server
    token = published.token("admin")
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}) as client:
        assert client.get("/v1/customers/g0000003").json()["golden_id"] == "g0000003"
        assert client.get("/v1/customers/g0000003/interactions?cursor=SECRETCURSOR").status_code == 422
        found = client.post("/v1/customers/search", json={"email": "person3@example.org"}).json()
        assert len(found["customers"]) == 1
        assert client.post("/v1/customers/search", content=b"person4@example.org").status_code == 422
        wish = {"data_use": "marketing", "channel": "email", "state": "REVOKED"}
        subject = {"kind": "email", "value": "person3@example.org"}
        assert client.post("/v1/consents", json={"subject": subject, **wish}).status_code == 201
        listed = client.get("/v1/scores/churn?data_use=marketing&channel=email&limit=1000").json()
        assert "g0000003" not in {c["golden_id"] for c in listed["customers"]}
        version = published.publish(made_up.gold_frames(150), made_up.facts()).version
        seen = set()
        for _ in range(600):
            answer = client.get("/v1/customers/g0000003")
            assert answer.status_code == 200
            seen.add(answer.json()["publication"])
            if version in seen:
                break
            time.sleep(0.01)
        assert version in seen and len(seen) <= 2
        assert client.get("/health").headers.get("server") in (None, "uvicorn")
    text = log.read_text()
    assert "GET /v1/customers/{golden_id} 200" in text
    for secret in ("person3", "person4", "g0000003", "SECRETCURSOR", token, "Adler"):
        assert secret not in text


@pytest.mark.parametrize(
    ("path", "size", "chunked", "key", "status"),
    [
        ("/v1/ingest/web_visits", 8_500_000, False, True, 413),
        ("/v1/customers/search", 9_000_000, False, True, 413),
        ("/v1/customers/search", 9_000_000, True, True, 413),
        ("/v1/ingest/web_visits", 8_000_000, False, False, 401),
        ("/v1/ingest/web_visits", 8_000_000, True, True, 404),
    ],
)
def test_who_sends_all_before_reading_gets_the_refusal(
    server: tuple[str, Path], published: Any, path: str, size: int, chunked: bool, key: bool, status: int
) -> None:
    address, _ = server
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {published.token('admin')}"} if key else {}
    body = iter([bytes(100_000)] * (size // 100_000)) if chunked else bytes(size)
    asked = urllib.request.Request(f"{address}{path}", data=body, headers=headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=60)
    assert refused.value.code == status
    assert refused.value.read().startswith(b'{"error"')


async def _read_of(headers: dict[str, str], sent: Callable[[], Any]) -> tuple[int, int]:
    """Status of a search with this body, and how many of its pieces were read."""
    read, answered = 0, []

    async def receive() -> Any:
        nonlocal read
        read += 1
        return await sent()

    async def send(message: Any) -> None:
        answered.append(message)

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while True:
            await receive()

    guarded = bounds.Bounds(app, 1_000, 1_000, lambda *_: None)
    raw = [(k.encode(), v.encode()) for k, v in headers.items()]
    await guarded({"type": "http", "method": "POST", "path": "/v1/customers/search", "headers": raw}, receive, send)
    return answered[0]["status"], read


def test_what_is_thrown_away_of_a_body_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "_READING_SECONDS", 0.05)
    endless = {"transfer-encoding": "chunked"}

    async def piece() -> Any:
        return {"type": "http.request", "body": bytes(1 << 20), "more_body": True}

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def stalled() -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(bounds, "_THROWN_AWAY", 4 << 20)
    assert asyncio.run(_read_of(endless, piece)) == (413, 5)
    assert asyncio.run(_read_of({"content-length": str(9 << 20)}, piece)) == (413, 0)
    assert asyncio.run(_read_of({"content-length": "2000"}, stalled)) == (413, 1)
    assert asyncio.run(_read_of({"content-length": "2000"}, gone)) == (413, 1)
    assert asyncio.run(_read_of({"content-length": "2000", "expect": "100-continue"}, piece)) == (413, 0)
