"""The API as a server of its own: what it imports, what it logs, and what it serves while a publication changes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

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
