"""Events over HTTP: what is taken, refused and answered, by a server with its drainer."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from fastapi.testclient import TestClient

from onefold.api import examples
from onefold.api.app import create_app
from onefold.api.shapes import ReceiptState, Taken
from onefold.settings import PlatformSettings
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Spool

NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def contract(source: str, **rules: Any) -> str:
    """A contract of events with an `id` and whatever else."""
    value = {"connector": "http", "lawful_basis": "contract", "data_use": ["service"], **rules}
    properties = [
        {"name": "id", "logicalType": "string", "required": True},
        {"name": "n", "logicalType": "integer"},
    ]
    return yaml.safe_dump(
        {
            "kind": "DataContract", "apiVersion": "v3.1.0", "id": source, "version": "1.0.0", "status": "active",
            "schema": [{"name": source, "logicalType": "object", "properties": properties}],
            "customProperties": [{"property": "onefold", "value": value}],
        }
    )  # fmt: skip


def write(settings: StorageSettings, **contracts: str) -> None:
    """A workspace with these contracts."""
    folder = settings.workspace_folder / "contracts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "onefold.yaml").write_text("name: test\n")
    for source, text in contracts.items():
        (folder / f"{source}.yaml").write_text(text)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose `visits` come over HTTP, `orders` likewise and wait for the commit, and `people` do not."""
    settings = StorageSettings(home=tmp_path_factory.mktemp("ingest") / "home")
    people = contract("people", connector="files", location="people.csv")
    write(
        settings, visits=contract("visits"), other=contract("other"), people=people,
        orders=contract("orders", durability="storage"),
    )  # fmt: skip
    made = Installation(settings)
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[TestClient]:
    """The API over it, with a key of scope ingest."""
    bounds = PlatformSettings(ingest_max_body=20_000, ingest_max_events=100, ingest_max_depth=4, api_max_body=2_000)
    token = installation.ledger.keys.create("test", ["ingest"])[1]
    with TestClient(create_app(installation.settings, bounds), headers={"X-API-Key": token}) as opened:
        yield opened


@pytest.fixture
def committed(client: TestClient) -> Callable[[Any], dict[str, Any]]:
    """`committed(answer)`: waits until a request's events are committed; what its receipt then says."""

    def wait(answer: Any) -> dict[str, Any]:
        Taken.model_validate(answer.json())
        path = f"/v1/ingest/{answer.json()['source']}/receipts/{answer.json()['receipt']}"
        for _ in range(1_000):
            told: dict[str, Any] = client.get(path).json()
            ReceiptState.model_validate(told)
            if told["state"] == "committed":
                return told
            time.sleep(0.02)
        raise AssertionError(told)

    return wait


def ids(installation: Installation, told: dict[str, Any], source: str = "visits") -> list[str]:
    """The ids that landed with a package."""
    rows = installation.lake.scan(f"bronze/{source}").filter(_package_id=told["package_id"]).sort("_row_id")
    return rows.collect()["id"].to_list()


def test_an_event_a_batch_and_lines_land_as_they_were_sent(
    client: TestClient, installation: Installation, committed: Callable[[Any], dict[str, Any]]
) -> None:
    pretty = json.dumps(
        [{"id": "p1", "n": 1}, {"id": "p2", "text": "a\nb ]},{ \\ \u00e9", "deep": {"x": [1]}}], indent=2
    )
    exact = '[ {"id":"x1","money":12345678.25,"big":123456789012345678901234567890} ,{"id":"x2"}]'
    answers = [
        client.post("/v1/ingest/visits", json={"id": "one", "n": 1}),
        client.post("/v1/ingest/visits", content='{\n "id": "two",\r\n "n": 2}', headers=JSON),
        client.post("/v1/ingest/visits", content=pretty, headers={"Content-Type": "application/json; charset=utf-8"}),
        client.post("/v1/ingest/visits", content=exact, headers=JSON),
        client.post("/v1/ingest/visits", content=b'{"id":"l1"}\r\n\n  \n{"id":"l2"}', headers=NDJSON),
        client.post(
            "/v1/ingest/visits", content=gzip.compress(b'{"id":"z1"}\n') + gzip.compress(b'{"id":"z2"}'),
            headers=NDJSON | {"Content-Encoding": "gzip"},
        ),
    ]  # fmt: skip
    assert [a.status_code for a in answers] == [202] * 6
    assert [a.json()["accepted"] for a in answers] == [1, 1, 2, 2, 2, 2]
    told = [committed(a) for a in answers]
    assert all(t["landed"] == t["events"] for t in told)
    landed = [
        i
        for package in dict.fromkeys(t["package_id"] for t in told)
        for i in ids(installation, {"package_id": package})
    ]
    assert landed == ["one", "two", "p1", "p2", "x1", "x2", "l1", "l2", "z1", "z2"]
    rows = installation.lake.scan("bronze/visits").select("id", "_extra").collect()
    extra = {i: json.loads(e) for i, e in rows.filter(pl.col("_extra").is_not_null()).rows()}
    assert extra["p2"]["text"] == "a\nb ]},{ \\ \u00e9"
    assert (extra["x1"]["money"], extra["x1"]["big"]) == ("12345678.25", "123456789012345678901234567890")


def test_the_examples_of_the_documentation_have_its_shapes() -> None:
    Taken.model_validate(examples.TAKEN)
    ReceiptState.model_validate(examples.RECEIPT)


def test_bad_events_of_a_batch_are_kept_and_counted(
    client: TestClient, committed: Callable[[Any], dict[str, Any]]
) -> None:
    array = client.post("/v1/ingest/visits", json=[{"id": "a"}, 5, {"n": 1}, None, {"id": "b", "n": "x"}])
    lines = client.post("/v1/ingest/visits", content=b'{"id":"c"}\nnonsense\n\xff\xfe\n[1]\n', headers=NDJSON)
    assert (array.json()["accepted"], array.json()["invalid"]) == (5, 2)
    assert (lines.json()["accepted"], lines.json()["invalid"]) == (4, 3)
    for answer, landed, failed in ((array, 1, 4), (lines, 1, 3)):
        told = committed(answer)
        assert (told["landed"], told["failed"], told["suppressed"]) == (landed, failed, 0)


DEEP = b'{"a":' * 5 + b"1" + b"}" * 5
BAD: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "empty": (b"", {}, 422, "body"),
    "white": (b" \n ", {}, 422, "body"),
    "no lines": (b"\n \n", NDJSON, 422, "body"),
    "no events": (b"[]", {}, 422, "body"),
    "not JSON": (b'{"id":', {}, 422, "line 1"),
    "lines as JSON": (b'{"id":"SECRET"}\n{"id":"b"}', {}, 422, "application/x-ndjson"),
    "a number": (b"5", {}, 422, "body"),
    "text": (b'"SECRET"', {}, 422, "body"),
    "not text": (b'{"id":"\xff"}', {}, 422, "body"),
    "too deep": (DEEP, {}, 422, "body: is nested"),
    "too deep in a batch": (b'[{"id":"a"},' + DEEP + b"]", {}, 422, "body.1"),
    "too deep in a line": (b'{"id":"{{{{{{"}\n\n' + DEEP, NDJSON, 422, "line 2"),
    "very deep": (b"[" * 9_000 + b"]" * 9_000, {}, 422, "body"),
    "too many": (b"[" + b",".join([b"{}"] * 101) + b"]", {}, 413, "at most 100"),
    "too many lines": (b"{}\n" * 101, NDJSON, 413, "at most 100"),
    "too large": (b'{"id":"' + b"x" * 20_000 + b'"}', {}, 413, "at most 20000"),
    "too large unpacked": (gzip.compress(b" " * 5_000_000), {"Content-Encoding": "gzip"}, 413, "at most 20000"),
    "not gzip": (b'{"id":"SECRET"}', {"Content-Encoding": "gzip"}, 422, "gzip"),
    "gzip cut off": (gzip.compress(b'{"id":"a"}')[:-3], {"Content-Encoding": "gzip"}, 422, "cut off"),
    "many gzip members": (gzip.compress(b"") * 101, {"Content-Encoding": "gzip"}, 413, "at most 100 gzip"),
    "another encoding": (b"x", {"Content-Encoding": "br"}, 415, "Content-Encoding"),
    "another type": (b"id=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
    "an empty key": (b"{}", {"Idempotency-Key": ""}, 422, "Idempotency-Key"),
    "a long key": (b"{}", {"Idempotency-Key": "k" * 256}, 422, "Idempotency-Key"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_and_nothing_is_taken(client: TestClient, case: str) -> None:
    body, headers, status, said = BAD[case]
    taken = client.app.state.context.events.figures.events  # type: ignore[attr-defined]
    answer = client.post("/v1/ingest/visits", content=body, headers=JSON | headers)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert said in error["message"] and "SECRET" not in answer.text
    assert client.app.state.context.events.figures.events == taken  # type: ignore[attr-defined]


def test_brackets_in_strings_are_no_nesting(client: TestClient) -> None:
    body = {"id": "a", "text": '[[[[[{{{{{"\\"[[[[', "deep": [[[1]]]}
    assert client.post("/v1/ingest/visits", json=body).status_code == 202
    assert client.post("/v1/ingest/visits", json=[body] * 3).status_code == 202


def test_who_may_send_what(client: TestClient, installation: Installation) -> None:
    keys = installation.ledger.keys
    own = {"X-API-Key": keys.create("own", ["ingest:visits"])[1]}
    reader = {"X-API-Key": keys.create("reader", ["read:scores"])[1]}
    admin = {"X-API-Key": keys.create("admin", ["admin"])[1]}
    event = {"id": "a"}
    for headers in ({"X-API-Key": ""}, {"X-API-Key": "of_x"}, {"Authorization": "Bearer nonsense"}):
        answer = client.post("/v1/ingest/visits", json=event, headers=headers)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.post("/v1/ingest/visits", json=event, headers=own).status_code == 202
    assert client.post("/v1/ingest/other", json=event, headers=own).status_code == 403
    refused = client.post("/v1/ingest/visits", json=event, headers=reader)
    assert refused.status_code == 403 and "onefold key create NAME --scope ingest" in refused.text
    bearer = {"X-API-Key": "", "Authorization": f"Bearer {admin['X-API-Key']}"}
    assert client.post("/v1/ingest/visits", json=event, headers=bearer).status_code == 202
    receipt = client.post("/v1/ingest/visits", json=event).json()["receipt"]
    assert client.get(f"/v1/ingest/visits/receipts/{receipt}", headers=own).status_code == 200
    assert client.get(f"/v1/ingest/visits/receipts/{receipt}", headers=reader).status_code == 403


def test_sources_that_take_no_events(client: TestClient, installation: Installation) -> None:
    assert client.post("/v1/ingest/nobody", json={"id": "a"}).status_code == 404
    assert client.post("/v1/ingest/NO BODY", json={"id": "a"}).status_code == 404
    answer = client.post("/v1/ingest/people", json={"id": "a"})
    assert answer.status_code == 409 and "connector files" in answer.json()["error"]["message"]
    assert client.get("/v1/ingest/visits").status_code == 405


def test_a_receipt_that_was_never_given_is_none(client: TestClient) -> None:
    receipt = client.post("/v1/ingest/visits", json={"id": "a"}).json()["receipt"]
    kind, log, number, first, _, proof = receipt.split("-")
    for text in (f"{kind}-{log}-{number}-{first}-999-{proof}", "nonsense", "k-x-1-y", receipt + "0"):
        assert client.get(f"/v1/ingest/visits/receipts/{text}").status_code == 404
    assert client.get(f"/v1/ingest/other/receipts/{receipt}").status_code == 404


def test_a_request_that_comes_again_is_the_same_request(
    client: TestClient, installation: Installation, committed: Callable[[Any], dict[str, Any]]
) -> None:
    def send(key: str | None, *events: str, source: str = "visits") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return client.post(f"/v1/ingest/{source}", json=[{"id": e} for e in events], headers=headers)

    first = send("once", "i1", "i2")
    for again in (send("once", "i1", "i2"), send("once", "i1", "i2")):
        assert again.status_code == 202 and again.json() == first.json()
    other = send("once", "i3")
    assert other.status_code == 409 and "Idempotency-Key" in other.json()["error"]["message"]
    told = committed(first)
    assert told["landed"] == 2
    later = send("once", "i1", "i2")  # after the commit
    assert later.json() == first.json() and committed(later) == told
    assert send("once", "i3").status_code == 409
    committed(send("once", "i1", "i2", source="other"))  # of another source it is another request
    for _ in range(2):
        committed(send(None, "new"))  # without a key every request is new
    counts = dict(installation.lake.scan("bronze/visits").group_by("id").len().collect().rows())
    assert (counts["i1"], counts["i2"], counts.get("i3"), counts["new"]) == (1, 1, None, 2)


def test_a_key_that_was_forgotten_before_its_commit_lands_once_all_the_same(
    client: TestClient, installation: Installation, committed: Callable[[Any], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Only so many keys are remembered while storage is away; the commit knows all."""
    monkeypatch.setattr("onefold.api.ingest_keys._MOST", 1)

    def send(n: int) -> Any:
        return client.post("/v1/ingest/visits", json={"id": f"f{n}"}, headers={"Idempotency-Key": f"forgotten {n}"})

    answers = [send(n) for n in (0, 1, 2, 0, 1)]
    assert len({a.json()["receipt"] for a in answers}) == 3
    for answer in answers:
        assert committed(answer)["landed"] == 1
    committed(client.post("/v1/ingest/visits", json={"id": "later"}))
    rows = installation.lake.scan("bronze/visits").filter(pl.col("id").is_in(["f0", "f1", "f2"])).collect()
    assert rows.height == 3


def test_durability_of_storage_answers_with_the_commit(client: TestClient, installation: Installation) -> None:
    answer = client.post("/v1/ingest/orders", json=[{"id": "o1"}, {"n": 1}], headers={"Idempotency-Key": "o"})
    told = answer.json()
    assert answer.status_code == 200 and told["state"] == "committed"
    Taken.model_validate(told)
    assert (told["accepted"], told["landed"], told["failed"]) == (2, 1, 1)
    assert ids(installation, told, "orders") == ["o1"]
    again = client.post("/v1/ingest/orders", json=[{"id": "o1"}, {"n": 1}], headers={"Idempotency-Key": "o"})
    assert again.status_code == 200 and again.json() == told


def test_an_amended_contract_is_seen_and_a_broken_one_stops_nothing(
    client: TestClient, installation: Installation, committed: Callable[[Any], dict[str, Any]]
) -> None:
    path = installation.settings.workspace_folder / "contracts" / "other.yaml"
    text = path.read_text()
    path.write_text("nonsense")
    time.sleep(1.1)
    answer = client.post("/v1/ingest/other", json={"id": "while broken"})
    assert answer.status_code == 202  # the last contract that was valid takes it; the log keeps it
    for _ in range(500):
        path_ = f"/v1/ingest/other/receipts/{answer.json()['receipt']}"
        if (told := client.get(path_).json())["state"] == "held":
            break
        time.sleep(0.02)
    assert "not valid YAML" in told["message"] or "expected" in told["message"]
    assert client.get("/health").json()["events"]["problem"] is None
    committed(client.post("/v1/ingest/visits", json={"id": "others go on"}))
    path.write_text(text)
    assert committed(answer)["landed"] == 1


def test_figures_for_monitoring(client: TestClient, installation: Installation) -> None:
    token = {"X-API-Key": installation.ledger.keys.create("monitor", ["read:metrics"])[1]}
    text = client.get("/metrics", headers=token).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines["onefold_ingest_events_total"]) > 20
    assert float(lines["onefold_ingest_landed_total"]) > 0 and float(lines["onefold_spool_problem"]) == 0
    assert "onefold_spool_bytes" in lines and "onefold_spool_oldest_seconds" in lines
    assert 'onefold_requests_total{method="POST",route="/v1/ingest/{source}",status="202"}' in lines
    assert client.get("/health").json()["events"]["waiting_bytes"] >= 0


def test_past_its_bound_the_log_refuses_and_says_when_to_come_back(tmp_path: Path) -> None:
    """Storage is away from the start: the lake's place is taken by a file."""
    settings = StorageSettings(home=tmp_path / "home", spool_max_bytes=1 << 20)
    write(settings, visits=contract("visits"), orders=contract("orders", durability="storage"))
    made = Installation(settings)
    token = made.ledger.keys.create("test", ["ingest"])[1]
    Path(settings.lake).write_bytes(b"in the way")
    event = {"id": "x" * 50_000}
    taken, refused = [], None
    with TestClient(
        create_app(settings, PlatformSettings(ingest_commit_seconds=0.3)), headers={"X-API-Key": token}
    ) as client:
        late = client.post("/v1/ingest/orders", json={"id": "late"})
        assert late.status_code == 504 and "in the log" in late.json()["error"]["message"]
        for n in range(40):
            answer = client.post("/v1/ingest/visits", json={**event, "n": n})
            if answer.status_code == 507:
                refused = answer
                break
            assert answer.status_code == 202
            taken.append(n)
        assert refused is not None and int(refused.headers["Retry-After"]) > 0
        assert "ONEFOLD_SPOOL_MAX_BYTES" in refused.json()["error"]["message"]
        assert client.get("/openapi.json").status_code == 200  # the rest answers
        problem = None
        for _ in range(500):
            if problem := client.get("/health").json()["events"]["problem"]:
                break
            time.sleep(0.02)
        assert problem is not None and "storage is away" in problem
        Path(settings.lake).unlink()
        for _ in range(1_000):
            if not Spool(settings.spool_folder).depth().total:
                break
            time.sleep(0.02)
        time.sleep(1.1)  # the bound looks once a second
        assert client.post("/v1/ingest/visits", json={**event, "n": 99}).status_code == 202
    landed = made.lake.scan("bronze/visits").sort("_package_id", "_row_id").collect()["n"].to_list()
    assert landed == [*taken, 99]  # in order, and what was in the log at the end was drained at the end
    assert made.lake.scan("bronze/orders").collect()["id"].to_list() == ["late"]
    made.ledger.close()
