"""`onefold serve` says where it serves, and what is missing to ask it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx


def _told(home: Path, port: int) -> tuple[str, dict[str, Any]]:
    """What `onefold serve` prints, and what the address that it names as the API's answers."""
    environment = {**os.environ, "ONEFOLD_HOME": str(home), "ONEFOLD_API_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    onefold = str(Path(sys.executable).with_name("onefold"))
    process = subprocess.Popen([onefold, "serve"], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        said = ""
        while "API docs" not in said:
            said += process.stdout.readline()
        address = re.search(r"API +(http\S+)", said)
        assert address
        transport = httpx.HTTPTransport(retries=8)
        with httpx.Client(transport=transport, timeout=60) as client:
            answer = client.get(address[1])
        assert answer.status_code == 200
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=60)
    return said + rest, answer.json()


def test_a_taken_port_and_a_missing_key_are_told_and_the_address_answers(published: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said, answer = _told(published.storage.root, port)
    assert f"port {port} is taken by another program: serving on " in said
    assert f"http://127.0.0.1:{port}/" not in said
    assert "onefold key create NAME" in said
    assert answer.keys() == {"docs", "openapi", "key"}


def test_nothing_is_said_where_all_is_well(published: Any, free_port: Any) -> None:
    published.token("search")
    said, _ = _told(published.storage.root, free_port())
    assert "taken" not in said and "key create" not in said
