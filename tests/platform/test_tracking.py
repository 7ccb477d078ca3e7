"""Tracking events over HTTP, in the words of the SDKs that send them: what lands, is repeated, fails, is refused."""

from __future__ import annotations

import gzip
import json
import random
import runpy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from onefold.api.shapes import Tracked
from onefold.api.tracking_event import corrected
from onefold_storage.failed import Chosen
from onefold_storage.installation import Installation
from onefold_storage.replaying import replay

made = runpy.run_path(str(Path(__file__).with_name("tracking_home.py")))
counts, from_browser, from_server = made["counts"], made["from_browser"], made["from_server"]
PLAIN = {"Content-Type": "text/plain", "Origin": made["PAGE"], "User-Agent": made["CHROME"]}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with sources of tracking events, one that only a page of its own may send, and one of others."""
    text = made["contract"]
    sources = ("web", "app", "again", "bad", "failing", "odd")
    other = text("other").replace("connector: tracking", "connector: http")
    opened = made["installed"](
        tmp_path_factory.mktemp("tracking") / "home",
        **{s: text(s) for s in sources}, other=other,
        fenced=text("fenced", options={"origins": ["https://own.example.org"]}),
    )  # fmt: skip
    yield opened
    opened.ledger.close()


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[TestClient]:
    with made["serving"](installation, ingest_max_depth=8) as opened:
        yield opened


@pytest.fixture(scope="module")
def keys(installation: Installation) -> dict[str, str]:
    """A write key of each source."""
    names = ("web", "app", "again", "bad", "failing", "odd", "other", "fenced", "nobody")
    return {s: installation.ledger.keys.create(s, [f"ingest:{s}"])[1] for s in names}


def test_a_browser_and_a_server_land_by_their_address_alone(
    installation: Installation, client: TestClient, keys: dict[str, str]
) -> None:
    token = keys["web"]
    seen = from_browser("page", token, name="Coffee", properties={"path": "/coffee", "title": "Coffee"})
    track = from_browser("track", token, event="Product Added", userId="u-1", properties={"product_id": "c-7"})
    for path, event in (("/v1/p", seen), ("/v1/t", track)):
        answer = client.post(path, content=json.dumps(event), headers=PLAIN)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        Tracked.model_validate(answer.json())
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    ordered = from_server("track", event="Order Completed", properties={"revenue": 12.5, "currency": "EUR"})
    told = from_server(
        "identify", traits={"email": "Maria@Example.org", "firstName": "Maria", "plan": {"name": "x"}}
    )
    body = gzip.compress(json.dumps(made["batch"](token, ordered, told)).encode())
    headers = {
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "User-Agent": "analytics-python/2.3.5",
    }
    answer = client.post("/v1/batch", content=body, headers=headers | made["basic"](token))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert counts(installation) == {"sent": 4, "landed": 4, "failed": 0, "repeated": 0, "suppressed": 0}
    rows = made["landed"](installation)
    by_id = {r["message_id"]: r for r in rows.iter_rows(named=True)}
    page, cart, order, who = (by_id[e["messageId"]] for e in (seen, track, ordered, told))
    assert page["kind"] == "page_view" and page["person_id"] == f"device/{seen['anonymousId']}"
    assert (page["properties.path"], page["device_id"]) == ("/coffee", None)
    assert cart["person_id"] == "u-1" and cart["device_id"] == f"device/{seen['anonymousId']}"
    assert (order["kind"], order["properties.revenue"]) == ("Order Completed", "12.5")
    assert json.loads(who["traits"]) == told["traits"] and who["traits.email"] == "Maria@Example.org"
    assert json.loads(page["context"]) == seen["context"]
    assert json.loads(page["rest"]) == {"integrations": {}, "_metadata": seen["_metadata"]}
    assert rows["_extra"].null_count() == rows.height
    assert token not in rows.write_json()  # a key is nobody's data


@pytest.mark.parametrize("call", ["track", "identify", "page", "screen", "group", "alias", "batch"])
def test_every_call_has_its_route_and_its_short_name(client: TestClient, keys: dict[str, str], call: str) -> None:
    event = {"userId": "u", "event": "e", "groupId": "g", "previousId": "p", "traits": {}}
    body = {"batch": [event | {"type": "track"}]} if call == "batch" else event
    for path in (f"/v1/{call}", f"/v1/{call[0]}", *(("/v1/import",) if call == "batch" else ())):
        answer = client.post(path, json=body, headers=made["basic"](keys["app"]))
        assert (answer.status_code, answer.json()) == (200, {"success": True}), path


def test_an_event_that_comes_again_is_repeated_in_whatever_batch_it_comes(
    installation: Installation, client: TestClient, keys: dict[str, str]
) -> None:
    token = keys["again"]
    first, second, third = (from_server("track", event=f"e{n}") for n in range(3))

    def send(*events: Any) -> None:
        assert client.post("/v1/batch", json=made["batch"](token, *events)).json() == {"success": True}

    send(first, first, second)  # twice in one batch
    send(second)  # before the commit
    assert counts(installation, "again")["landed"] == 2
    send(third, first)  # after it
    assert counts(installation, "again") == {"sent": 6, "landed": 3, "failed": 0, "repeated": 3, "suppressed": 0}
    rows = made["landed"](installation, "again")
    assert sorted(rows["message_id"]) == sorted(e["messageId"] for e in (first, second, third))
    nameless = {k: v for k, v in first.items() if k != "messageId"}
    send(nameless, nameless)  # without a name every event is new
    assert counts(installation, "again")["landed"] == 5


def test_clocks_of_devices_are_corrected() -> None:
    received = datetime(2026, 1, 5, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    slow = received - 5 * hour  # the device's clock, when it sends
    assert corrected(slow - hour, slow, received) == received - hour
    assert corrected(slow + 9 * hour, slow + 9 * hour, received) == received
    assert corrected(slow + hour, slow, received) == received  # later than it was sent
    assert corrected(received - hour, None, received) == received - hour
    assert corrected(received + hour, None, received) == received
    assert corrected(None, slow, received) == received


def test_a_skewed_clock_lands_corrected_and_as_it_was_told(
    installation: Installation, client: TestClient, keys: dict[str, str]
) -> None:
    event = from_browser(
        "track", event="late", timestamp="2031-06-01T10:00:00.000Z", sentAt="2031-06-01T12:00:00.000+00:00"
    )
    client.post("/v1/track", json=event, headers=made["basic"](keys["app"]))
    row = made["landed"](installation, "app").row(
        by_predicate=pl.col("message_id") == event["messageId"], named=True
    )
    assert row["received_at"] - row["at"] == timedelta(hours=2)
    assert row["original_timestamp"] == datetime(2031, 6, 1, 10, tzinfo=UTC)


DEEP: dict[str, Any] = {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}
OK = {"userId": "u", "event": "e"}
BAD: dict[str, tuple[str, Any, int, str]] = {
    "no JSON": ("/v1/track", b'{"userId": SECRET', 422, "body"),
    "empty": ("/v1/track", b"", 422, "body"),
    "an array": ("/v1/track", [OK], 422, "body"),
    "nobody": ("/v1/track", {"event": "SECRET"}, 422, "userId"),
    "nobody, in words": ("/v1/track", {"event": "e", "userId": "undefined", "anonymousId": "00000000-0000"}, 422, "userId"),
    "an object as user": ("/v1/track", {"event": "e", "userId": {"SECRET": 1}}, 422, "userId"),
    "a truth as device": ("/v1/track", {"event": "e", "anonymousId": True}, 422, "anonymousId"),
    "a long user": ("/v1/track", {"event": "e", "userId": "u" * 513}, 422, "userId"),
    "no name": ("/v1/track", {"userId": "u"}, 422, "event"),
    "a number as name": ("/v1/track", {"userId": "u", "event": 5}, 422, "event"),
    "text as properties": ("/v1/track", {**OK, "properties": "SECRET"}, 422, "properties"),
    "a list as context": ("/v1/track", {**OK, "context": [1]}, 422, "context"),
    "text as traits": ("/v1/identify", {"userId": "u", "traits": "SECRET"}, 422, "traits"),
    "another type": ("/v1/track", {**OK, "type": "page"}, 422, "type"),
    "an unknown type": ("/v1/track", {**OK, "type": "SECRET"}, 422, "type"),
    "no time": ("/v1/track", {**OK, "timestamp": "SECRET"}, 422, "timestamp"),
    "a time as number": ("/v1/track", {**OK, "sentAt": 1767607200}, 422, "sentAt"),
    "a time of long ago": ("/v1/track", {**OK, "timestamp": "0001-01-01T00:00:00Z"}, 422, "timestamp"),
    "no earlier ID": ("/v1/alias", {"userId": "u"}, 422, "previousId"),
    "no group": ("/v1/group", {"userId": "u"}, 422, "groupId"),
    "no batch": ("/v1/batch", {"events": []}, 422, "batch"),
    "an empty batch": ("/v1/batch", {"batch": []}, 422, "batch"),
    "a wrong time of a batch": ("/v1/batch", {"batch": [OK], "sentAt": "SECRET"}, 422, "sentAt"),
    "too many": ("/v1/batch", {"batch": [0] * 2_501}, 413, "at most 2500"),
    "too large": ("/v1/track", {**OK, "properties": {"x": "x" * 33_000}}, 413, "at most 32768"),
    "too large a body": ("/v1/batch", b" " * 512_001, 413, "512000"),
    "a bomb": ("/v1/batch", gzip.compress(b" " * 50_000_000), 413, "512000"),
    "too deep": ("/v1/track", {**OK, "properties": DEEP}, 422, "nested too deeply"),
    "much too deep": ("/v1/track", b"[" * 100_000, 422, "body"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_told_and_nothing_is_taken(client: TestClient, keys: dict[str, str], case: str) -> None:
    path, body, status, said = BAD[case]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | made["basic"](keys["bad"])
    headers |= {"Content-Encoding": "gzip"} if case == "a bomb" else {}
    taken = client.app.state.context.events.figures.events  # type: ignore[attr-defined]
    answer = client.post(path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert said in (told["error"].get("field") or "") or said in told["error"]["message"]
    assert (told["code"], told["message"]) == (told["error"]["code"], told["error"]["message"])  # as SDKs read it
    assert "SECRET" not in answer.text
    assert client.app.state.context.events.figures.events == taken  # type: ignore[attr-defined]


def test_of_a_batch_what_is_none_is_kept_with_its_reason_and_the_rest_lands(
    installation: Installation, client: TestClient, keys: dict[str, str]
) -> None:
    good = from_server("track", event="good")
    nobody = from_server("track", event="nobody", userId=None)
    large = from_server("track", event="large", properties={"x": "y" * 40_000})
    deep = from_server("track", event="deep", properties=DEEP)
    body = json.dumps(made["batch"](keys["failing"], good, nobody, 5, large, deep)).replace("good", "go\\ud83dod")
    answer = client.post("/v1/batch", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    told = answer.json()
    Tracked.model_validate(told)
    assert (told["success"], told["invalid"]) == (True, 4) and told["first_invalid"].startswith("batch.1.userId: ")
    assert counts(installation, "failing") == {"sent": 5, "landed": 1, "failed": 4, "repeated": 0, "suppressed": 0}
    assert made["landed"](installation, "failing")["event"].to_list() == ["go?od"]  # text that was cut in two
    failed = installation.lake.scan("bronze/failed_events").filter(source="failing").sort("row_id").collect()
    assert failed["row_id"].to_list() == [1, 2, 3, 4]
    assert failed["field"].to_list() == ["userId", "event", "event", "event"]
    assert failed["rule"].to_list() == ["tracking", "tracking", "too_long", "tracking"]
    assert json.loads(failed["raw"][0])["messageId"] == nobody["messageId"]
    assert failed["raw"].bin.size().max() < 1_100
    assert all(keys["failing"].encode() not in raw for raw in failed["raw"])
    # Somebody who knows whose event it was repairs it.
    name = (failed["package_id"][0], failed["row_id"][0])
    row = {"message_id": nobody["messageId"], "at": "2026-01-05T10:00:00Z", "user_id": "u-9", "person_id": "u-9"}
    contract = next(c for c in installation.workspace.contracts() if c.id == "failing")
    done = replay(installation, contract, Chosen(source="failing"), {name: json.dumps(row).encode()})
    assert done.landed == 1
    assert counts(installation, "failing")["failed"] == 3


def test_whatever_stands_in_an_event_it_lands_or_is_kept(
    installation: Installation, client: TestClient, keys: dict[str, str]
) -> None:
    draw = random.Random(4)
    odd: list[Any] = [
        None, True, 0, -1, 1.5, 1e308, 2**63, "", " ", "null", "u" * 600, "\x00", "\u202e", "2026-13-01", "99999-01-01",
        "2026-01-05T10:00:00+99:00", "0001-01-01", "9999-12-31T23:59:59Z", [], [1], {}, {"a": {"b": None}}, {"": ""},
    ]  # fmt: skip
    fields = [
        "type", "messageId", "userId", "anonymousId", "previousId", "groupId", "event", "name", "category", "traits",
        "properties", "context", "timestamp", "originalTimestamp", "sentAt", "channel", "integrations", "x", "",
    ]  # fmt: skip
    events: list[Any] = []
    for n in range(400):
        event = from_browser(
            draw.choice(["track", "identify", "page", "group", "alias"]), event="e", userId=f"u{n}"
        )
        for field in draw.sample(fields, draw.randint(0, 3)):
            event[field] = draw.choice(odd)
        events.append(event)
    for at in range(0, 400, 200):
        answer = client.post("/v1/batch", json={"batch": events[at : at + 200]}, headers=made["basic"](keys["odd"]))
        assert answer.status_code == 200, answer.text
        Tracked.model_validate(answer.json())
    found = counts(installation, "odd")
    assert found["sent"] == 400 and found["suppressed"] == 0
    assert found["landed"] > 80 and found["failed"] > 80
    for n, event in enumerate(events[:50]):  # the same, singly: taken or told, never an error of ours
        single = client.post(
            f"/v1/{draw.choice(['track', 'page'])}", json=event, headers=made["basic"](keys["odd"])
        )
        assert single.status_code in (200, 422), (n, single.text)


def test_who_may_send_what(installation: Installation, client: TestClient, keys: dict[str, str]) -> None:
    book = installation.ledger.keys
    several = book.create("several", ["ingest:web", "ingest:app"])[1]
    wide, reader = book.create("wide", ["ingest"])[1], book.create("reader", ["read:scores"])[1]

    def status(body: dict[str, Any] | None = None, **headers: str) -> int:
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        return int(client.post("/v1/track", json=body or OK, headers=sent).status_code)

    token = keys["bad"]
    assert status() == 401 and status(Authorization="Basic !!!") == 401 and status({"no": "event"}) == 401
    assert status(**made["basic"]("of_x")) == 401 and status({**OK, "writeKey": "of_x"}) == 401
    assert status({**OK, "writeKey": keys["app"]}, X_API_Key=keys["web"]) == 401  # two different ones
    assert status({**OK, "writeKey": 5}) == 401 and status({**OK, "writeKey": 5}, X_API_Key=token) == 422
    assert status(X_API_Key=reader) == 403 and status(X_API_Key=token, X_Onefold_Source="web") == 403
    assert status(X_API_Key=several) == 422 and status(X_API_Key=wide) == 422
    assert status(X_API_Key=several, X_Onefold_Source="app") == 200
    assert status(Authorization=f"Bearer {wide}", X_Onefold_Source="app") == 200
    assert status(X_API_Key=keys["nobody"]) == 404 and status(X_API_Key=keys["other"]) == 409
    assert client.post("/v1/ingest/bad", json=OK, headers={"X-API-Key": token}).status_code == 409
    answer = client.post("/v1/track", json=OK)
    assert answer.headers["WWW-Authenticate"] and "write key" in answer.json()["message"]
    assert client.get("/v1/track").status_code == 405


def test_pages_of_other_origins(client: TestClient, keys: dict[str, str]) -> None:
    asked = {"Origin": made["PAGE"], "Access-Control-Request-Headers": "authorization,content-type,x-evil"}
    leave = client.options("/v1/t", headers=asked)
    assert leave.status_code == 204 and leave.headers["Access-Control-Allow-Origin"] == "*"
    assert leave.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    sent = {**OK, "writeKey": keys["fenced"]}
    assert client.post("/v1/t", json=sent, headers={"Origin": made["PAGE"]}).status_code == 403
    assert client.post("/v1/t", json=sent, headers={"Origin": "https://own.example.org"}).status_code == 200
    assert client.post("/v1/t", json=sent).status_code == 200  # no browser
    refused = client.post("/v1/t", json={**OK, "writeKey": "of_x"}, headers={"Origin": made["PAGE"]})
    assert refused.status_code == 401 and refused.headers["Access-Control-Allow-Origin"] == "*"
