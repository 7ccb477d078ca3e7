"""REST APIs against a real HTTP server: pages, tokens, limits, changes, bad servers; every row once."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from onefold_storage import contracts
from onefold_storage.errors import BadContract, BadInput, OnefoldError, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.manifests import committed_bookmark
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.stages.landing import Landed, land_source

_server = runpy.run_path(str(Path(__file__).with_name("crm_server.py")))
CURSOR = {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "after"}
SINCE = {"field": "updated", "param": "since"}


def _person(n: int, day: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": n, "name": f"Person {n}", "owner": {"id": 7}, "updated": f"2018-01-{day:02d}"} | more


@pytest.fixture
def crm() -> Iterator[Any]:
    with _server["serving"](_server["Crm"]({"contacts": [_person(n) for n in range(8)], "none": []})) as served:
        yield served


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., Landed]:
    """`land(url, delivery, **options)`: land a source `crm` of an installation in `tmp_path`."""

    def run(url: str, delivery: str = "changes", **options: Any) -> Landed:
        return land_source(_settings(tmp_path), _contract(url, delivery, **options), tmp_path)

    return run


def _settings(folder: Path) -> StorageSettings:
    return StorageSettings(home=folder / "home", now=datetime(2018, 2, 1, tzinfo=UTC))


def _contract(url: str, delivery: str = "changes", **options: Any) -> contracts.Contract:
    columns = {"id": "integer", "name": "string", "owner": "string", "updated": "string", "archived": "boolean"}
    properties = [{"name": n, "logicalType": t, "primaryKey": n == "id"} for n, t in columns.items()]
    rules = {"connector": "rest", "location": url, "options": options, "delivery": delivery}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "crm", "version": "1.0.0", "status": "active",
        "schema": [{"name": "crm", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip
    return contracts.parse(orjson.dumps(document).decode(), "crm.yaml")


def _names(folder: Path) -> list[str]:
    rows = Installation(_settings(folder)).lake.scan("bronze/crm").sort("_package_id", "_row_id").collect()
    return rows["name"].to_list()


@pytest.mark.parametrize(
    ("paging", "options"),
    [
        ("cursor", {"paginator": CURSOR, "records": "data"}),
        ("offset", {"paginator": {"type": "offset", "limit": 3, "total_path": "total"}, "records": "data"}),
        ("link", {"paginator": "header_link"}),
        ("link", {}),
    ],
)
def test_every_page_is_read_once(crm: Any, land: Any, tmp_path: Path, paging: str, options: dict[str, Any]) -> None:
    crm.paging = paging
    landed = land(f"{crm.url}/v1/contacts", **options)
    assert (landed.errors, [p.landed for p in landed.packages]) == ((), [8])
    assert _names(tmp_path) == [f"Person {n}" for n in range(8)]


def test_only_what_is_new_or_changed_lands(crm: Any, land: Any, tmp_path: Path) -> None:
    options = {"paginator": CURSOR, "records": "data", "cursor": SINCE}
    url = f"{crm.url}/v1/contacts"
    assert [p.landed for p in land(url, **options).packages] == [8]
    lake = Installation(_settings(tmp_path)).lake
    assert committed_bookmark(lake, "crm")["cursor"] == "2018-01-01"
    crm.asked.clear()
    version = lake.version("bronze/crm")
    assert land(url, **options).packages == ()  # only the bound came again
    assert lake.version("bronze/crm") == version
    assert all("since=2018-01-01" in asked for asked in crm.asked)
    crm.tables["contacts"].append(_person(8, 1))  # with the bound's own value
    assert [(p.landed, p.repeated) for p in land(url, **options).packages] == [(1, 8)]
    crm.tables["contacts"][3] |= {"name": "Renamed", "updated": "2018-01-05"}
    crm.tables["contacts"].append(_person(9, 4))
    assert [(p.landed, p.repeated) for p in land(url, **options).packages] == [(2, 8)]
    crm.asked.clear()
    assert land(url, **options).packages == ()
    assert all("since=2018-01-05" in asked for asked in crm.asked)
    assert sorted(_names(tmp_path)) == sorted([*(f"Person {n}" for n in range(9)), "Renamed", "Person 9"])


def test_what_a_whole_table_lost_has_vanished(crm: Any, land: Any, tmp_path: Path) -> None:
    url, options = f"{crm.url}/v1/contacts", {"paginator": CURSOR, "records": "data"}
    land(url, "snapshot", **options)
    del crm.tables["contacts"][2]
    land(url, "snapshot", **options)
    gone = Installation(_settings(tmp_path)).lake.scan("bronze/crm").collect().filter(_deleted=True)
    assert gone["id"].to_list() == [2]
    (refused,) = land(url, "snapshot", **options, cursor=SINCE).errors
    assert "with a cursor it is `changes`" in refused


def test_a_column_that_a_contract_does_not_know_is_kept_aside(crm: Any, land: Any, tmp_path: Path) -> None:
    crm.tables["contacts"][0]["score"] = 5
    land(f"{crm.url}/v1/contacts", paginator=CURSOR, records="data")
    extra = Installation(_settings(tmp_path)).lake.scan("bronze/crm").collect()["_extra"].drop_nulls()
    assert [s for e in extra if (s := orjson.loads(e)["score"])] == ["5"]


def test_nothing_there_is_a_package_of_nothing_or_none(crm: Any, land: Any) -> None:
    url = f"{crm.url}/v1/none"
    assert [p.sent for p in land(url, records="data", paginator=CURSOR).packages] == [0]
    assert land(url, records="data", paginator=CURSOR, cursor=SINCE).packages == ()


def test_tokens_expire_and_are_asked_for_again(
    crm: Any, land: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crm.token_uses = 2
    crm.token()
    monkeypatch.setenv("CRM_SECRET", "s3cret")
    monkeypatch.setenv("CRM_HOST", crm.url)
    auth = {
        "type": "oauth2_client_credentials", "token_url": "${CRM_HOST}/token", "client_id": "onefold",
        "client_secret": "${CRM_SECRET}",
    }  # fmt: skip
    landed = land(f"{crm.url}/v1/contacts", paginator=CURSOR, records="data", auth=auth, requests_per_second=50)
    assert (landed.errors, [p.landed for p in landed.packages]) == ((), [8])
    assert len(crm.tokens) == 3


def test_limits_are_waited_for_and_passing_faults_passed_over(crm: Any, land: Any) -> None:
    crm.moods = [(429, {"Retry-After": "1"}), (503, {})]
    landed = land(f"{crm.url}/v1/contacts", paginator=CURSOR, records="data")
    assert (landed.errors, [p.landed for p in landed.packages]) == ((), [8])


def _read(crm: Any, folder: Path, path: str = "/v1/contacts", **options: Any) -> None:
    contract = _contract(f"{crm.url}{path}", **({"paginator": CURSOR, "records": "data"} | options))
    for delivery in connectors.deliveries(contract, folder):
        list(delivery.batches)


@pytest.mark.parametrize(
    ("mood", "options", "kind", "said"),
    [
        ({"moods": [(503, {})] * 2}, {"attempts": 2}, Unavailable, "answered 503 after all attempts"),
        ({"moods": [(404, {})]}, {}, BadInput, "answered 404"),
        ({"moods": [(302, {"Location": "/x"})]}, {}, BadInput, "redirects"),
        ({"body": b"<html>"}, {}, BadInput, "expected JSON, found 6 bytes"),
        ({"body": b"[" * 100_000}, {}, BadInput, "expected JSON"),
        ({"body": b'{"data": [' + b"1," * 99 + b"1]}"}, {"max_page_bytes": 99}, BadInput, "larger than 99 bytes"),
        ({"paging": "elsewhere"}, {"paginator": {"type": "json_link", "next_url_path": "next"}}, BadInput, "host"),
        ({"stall_s": 5}, {"timeout_s": 0.3, "attempts": 1}, Unavailable, "does not answer|stalls"),
        ({"tokens": {"other": 9}}, {}, BadInput, r"refused the credentials \(401\)"),
        ({}, {"paginator": "pigeon"}, BadContract, "paginator"),
        ({}, {"auth": {"token": "written-out"}}, BadContract, "is a secret; expected its name"),
        ({}, {"auth": {"token": "${NO_SUCH_TOKEN}"}}, BadInput, "NO_SUCH_TOKEN is not set"),
        ({}, {"max_pages": 1}, BadInput, "more than 1 pages"),
    ],
)
def test_a_bad_server_is_one_clear_error(
    crm: Any, tmp_path: Path, mood: dict[str, Any], options: dict[str, Any], kind: type[OnefoldError], said: str
) -> None:
    for name, value in mood.items():
        setattr(crm, name, value)
    with pytest.raises(kind, match=said) as caught:
        _read(crm, tmp_path, **options)
    assert "\n" not in str(caught.value)
    assert "written-out" not in str(caught.value)


def test_a_secret_may_lie_in_a_file(crm: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{crm.token()}\n")
    _read(crm, tmp_path, auth={"token": f"${{file:{tmp_path / 'token'}}}"})
    with pytest.raises(BadInput, match="cannot be read as text"):
        _read(crm, tmp_path, auth={"token": "${file:/no/such/file}"})


def test_what_is_no_object_is_a_bad_row(crm: Any, land: Any) -> None:
    crm.body = b'{"data": [{"id": 1, "name": "A"}, 5, {"id": "x"}], "paging": {"next": null}}'
    (package,) = land(f"{crm.url}/v1/contacts", paginator=CURSOR, records="data").packages
    assert (package.sent, package.landed, package.failed) == (3, 1, 2)


def test_a_draft_reads_what_the_address_answers(crm: Any, tmp_path: Path) -> None:
    table, name, _ = connectors.sample(
        f"{crm.url}/v1/contacts", tmp_path, connector="rest", options={"paginator": CURSOR, "records": "data"}
    )
    assert (table.num_rows, name) == (8, "rest")
    assert {"id", "name", "owner", "updated"} == set(table.column_names)


def test_a_table_that_goes_back_to_what_it_was_is_news(crm: Any, land: Any, tmp_path: Path) -> None:
    url, options = f"{crm.url}/v1/contacts", {"paginator": CURSOR, "records": "data"}
    found = []
    for name in ("Person 3", "Person 3", "Other", "Person 3", "Other", "Other"):
        crm.tables["contacts"][3]["name"] = name
        (package,) = land(url, **options).packages
        found.append((package.landed, package.repeated))
    assert found == [(8, 0), (0, 8), (1, 7), (1, 7), (1, 7), (0, 8)]
    assert _names(tmp_path)[-3:] == ["Other", "Person 3", "Other"]
