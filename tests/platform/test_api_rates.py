"""Sources that send to us at a pace: what is too fast is refused with 429, what is sent again lands, all of it once."""

from __future__ import annotations

import hashlib
import hmac
import json
import runpy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from onefold_storage.contracts import parse
from onefold_storage.errors import BadContract
from onefold_storage.installation import Installation

_made = runpy.run_path(str(Path(__file__).with_name("tracking_home.py")))
_plain = runpy.run_path(str(Path(__file__).with_name("test_api_ingest.py")))["contract"]
_signed = runpy.run_path(str(Path(__file__).with_name("test_webhooks.py")))["contract"]
RATE = {"events_per_second": 10}
SECRET = "a secret of 32 bytes or so, made up"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A source of each kind that may send ten events a second, and one that may send what it likes."""
    folder = tmp_path_factory.mktemp("rates")
    (folder / "secret").write_text(SECRET)
    signature = {"header": "X-Signature", "secret": "${file:" + str(folder / "secret") + "}"}
    made: Installation = _made["installed"](
        folder / "home", slow=_plain("slow", options=RATE), quick=_plain("quick"),
        web=_made["contract"]("web", options=RATE),
        hook=_signed("hook", signature, options={"signature": signature, **RATE}),
    )  # fmt: skip
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[TestClient]:
    with _made["serving"](installation) as opened:
        token = installation.ledger.keys.create("test", ["ingest"])[1]
        opened.headers["X-API-Key"] = token
        yield opened


def _http(client: TestClient, events: list[dict[str, Any]], source: str = "slow") -> Any:
    return client.post(f"/v1/ingest/{source}", json=events)


def _tracking(client: TestClient, events: list[dict[str, Any]]) -> Any:
    batch = [{"type": "track", "event": "seen", "userId": "u", "messageId": e["id"]} for e in events]
    return client.post("/v1/batch", json={"batch": batch}, headers={"X-Onefold-Source": "web"})


def _webhook(client: TestClient, events: list[dict[str, Any]]) -> Any:
    body = json.dumps(events).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Signature": signature, "Content-Type": "application/json"}
    return client.post("/v1/webhooks/hook", content=body, headers=headers)


SENDERS = {"slow": _http, "web": _tracking, "hook": _webhook}


@pytest.mark.parametrize("source", SENDERS)
def test_what_is_too_fast_is_refused_and_lands_when_it_is_sent_again(
    installation: Installation, client: TestClient, source: str
) -> None:
    send: Callable[..., Any] = SENDERS[source]
    began, refused, at = time.monotonic(), 0, 0
    while at < 30:
        answer = send(client, [{"id": f"{source}-{n}"} for n in range(at, at + 10)])
        if answer.status_code == 429:
            refused += 1
            assert answer.json()["error"]["code"] == "too_many"
            assert "at most 10 events a second" in answer.json()["error"]["message"]
            assert 1 <= int(answer.headers["Retry-After"]) <= 2
            time.sleep(0.2)
        else:
            assert answer.is_success, answer.text
            at += 10
    assert time.monotonic() - began >= (30 - 10) / 10
    assert refused >= 2
    counts = _made["counts"](installation, source)
    assert (counts["sent"], counts["landed"]) == (30, 30)


def test_another_source_is_not_held_up(client: TestClient) -> None:
    assert _http(client, [{"id": f"a-{n}"} for n in range(100)]).is_success
    assert _http(client, [{"id": "b"}]).status_code == 429
    for n in range(5):
        assert _http(client, [{"id": f"c-{n}"}], "quick").status_code == 202


@pytest.mark.parametrize("rate", [0, -1, "quick"])
def test_a_rate_is_a_number_above_nothing(rate: Any) -> None:
    with pytest.raises(BadContract, match="events_per_second"):
        parse(_plain("slow", options={"events_per_second": rate}), "slow.yaml")
