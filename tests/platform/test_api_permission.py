"""Permission is law: nobody who may not be contacted is in a ranked list, and an objection holds at once."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import orjson
import polars as pl
import pytest
from fastapi.testclient import TestClient

from onefold.api.shapes import RankedAnswer, Wishes

Ask = Callable[..., Any]
USES = [("marketing", "email"), ("marketing", "phone"), ("marketing", "post"), ("service", "email")]


def _list(ask: Ask, data_use: str = "marketing", channel: str = "email", model: str = "churn", **more: Any) -> Any:
    answer = ask(
        "GET", f"/v1/scores/{model}", params={"data_use": data_use, "channel": channel, "limit": 1000, **more}
    )
    assert answer.status_code == 200, answer.text
    RankedAnswer.model_validate(answer.json())
    return answer.json()


def _ids(listed: Any) -> list[str]:
    return [c["golden_id"] for c in listed["customers"]]


def _wish(
    ask: Ask, kind: str, value: str, state: str, use: str = "marketing", channel: str = "email", **more: str
) -> None:
    subject = {"kind": kind, "value": value, **more}
    body = {"subject": subject, "data_use": use, "channel": channel, "state": state}
    answer = ask("POST", "/v1/consents", json=body)
    assert answer.status_code == 201, answer.text
    Wishes.model_validate(answer.json())


def _may(ask: Ask, golden_id: str, use: str, channel: str) -> Any:
    rows = ask("GET", f"/v1/customers/{golden_id}").json()["may_contact"]
    return next(r for r in rows if (r["data_use"], r["channel"]) == (use, channel))


@pytest.mark.parametrize(("use", "channel"), USES)
def test_a_list_is_exactly_those_who_may_be_contacted(
    ask: Ask, made_up: ModuleType, use: str, channel: str
) -> None:
    gold = made_up.gold_frames()
    rows = gold.permissions.filter((pl.col("data_use") == use) & (pl.col("channel") == channel))
    allowed = set(rows.filter("allowed")["golden_id"])
    suppressed = Counter(rows.filter(~pl.col("allowed"))["reason"])
    listed = _list(ask, use, channel)
    assert set(_ids(listed)) == allowed and len(_ids(listed)) == len(allowed) == listed["allowed"]
    assert listed["suppressed"] == dict(suppressed)
    order = gold.scores.filter((pl.col("model") == "churn") & pl.col("golden_id").is_in(allowed)).sort("rank")
    assert _ids(listed) == order["golden_id"].to_list()
    assert all(c["lawful_basis"] for c in listed["customers"])


@pytest.mark.parametrize("limit", [1, 7, 160])
def test_pages_make_up_the_whole_list(ask: Ask, limit: int) -> None:
    whole, ids, cursor = _ids(_list(ask)), [], None
    while True:
        page = _list(ask, limit=limit, **({"cursor": cursor} if cursor else {}))
        ids += _ids(page)
        assert page["allowed"] == len(whole)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert ids == whole


def test_filters_count_those_they_leave(ask: Ask, made_up: ModuleType) -> None:
    scores = made_up.gold_frames().scores.filter((pl.col("model") == "churn") & (pl.col("score") >= 0.5))
    listed = _list(ask, min=0.5)
    assert all(c["score"] >= 0.5 for c in listed["customers"])
    assert listed["allowed"] + sum(listed["suppressed"].values()) == scores.height
    champions = _list(ask, segment="champions")
    assert champions["allowed"] + sum(champions["suppressed"].values()) == 20
    assert champions["suppressed"] == {"denied": 20} and champions["customers"] == []
    parts = [_list(ask, channel="post", segment=s, min=0.2) for s in ("champions", "regulars")]
    whole = _list(ask, channel="post", min=0.2)
    assert sorted(i for p in parts for i in _ids(p)) == sorted(_ids(whole))
    assert [c["rank"] for c in parts[0]["customers"]] == sorted(c["rank"] for c in parts[0]["customers"])
    assert sum(p["allowed"] for p in parts) == whole["allowed"]


def test_a_cursor_with_other_parameters_is_refused(ask: Ask) -> None:
    cursor = _list(ask, channel="post", limit=1)["next_cursor"]
    params = {"data_use": "marketing", "channel": "email", "cursor": cursor}
    answer = ask("GET", "/v1/scores/churn", params=params)
    assert answer.status_code == 422 and answer.json()["error"]["field"] == "cursor"


@pytest.mark.parametrize("place", [-1, 2**62, 1.5, "0", None, True])
def test_a_forged_cursor_opens_nothing(ask: Ask, place: Any) -> None:
    version = _list(ask)["publication"]
    said = orjson.dumps([version, "scores churn marketing email None None", place])
    params = {"data_use": "marketing", "channel": "email", "cursor": base64.urlsafe_b64encode(said).decode()}
    answer = ask("GET", "/v1/scores/churn", params=params)
    assert answer.status_code == 422 and answer.json()["error"]["field"] == "cursor"


@pytest.mark.parametrize("state", ["DENIED", "REVOKED"])
@pytest.mark.parametrize(
    ("kind", "value", "more"),
    [
        ("email", "Person3@Example.ORG", {}),
        ("phone", "+1 937 555 0003", {}),
        ("external_id", "3", {"scheme": "loyalty_card"}),
        ("golden_id", "g0000003", {}),
    ],
)
def test_an_objection_holds_from_the_next_request_on(
    ask: Ask, kind: str, value: str, more: dict[str, str], state: str
) -> None:
    before = _list(ask)
    assert "g0000003" in _ids(before)
    _wish(ask, kind, value, state, **more)
    after = _list(ask)
    assert set(_ids(before)) - set(_ids(after)) == {"g0000003"}
    assert after["allowed"] == before["allowed"] - 1
    reason = state.lower()
    assert after["suppressed"].get(reason, 0) == before["suppressed"].get(reason, 0) + 1
    now = _may(ask, "g0000003", "marketing", "email")
    assert (now["allowed"], now["reason"], now["live"]) == (False, reason, True)
    assert _may(ask, "g0000003", "marketing", "post")["allowed"]
    assert "g0000003" in _ids(_list(ask, "service", "email"))


def test_the_answer_names_the_contact_points_and_an_objection_takes_them_out(ask: Ask) -> None:
    before = ask("GET", "/v1/customers/g0000003").json()
    told = {(m["data_use"], m["channel"]): m["contact_points"] for m in before["may_contact"]}
    assert told == {
        ("marketing", "email"): ["person3@example.org"],
        ("marketing", "phone"): ["+19375550003"],
        ("marketing", "post"): None,
        ("service", "email"): ["person3@example.org"],
    }
    assert _may(ask, "g0000005", "marketing", "email")["contact_points"] == []
    _wish(ask, "email", "person3@example.org", "REVOKED")
    assert _may(ask, "g0000003", "marketing", "email")["contact_points"] == []
    assert _may(ask, "g0000003", "service", "email")["contact_points"] == ["person3@example.org"]
    _wish(ask, "email", "person3@example.org", "REVOKED", "any", "any")
    assert [bool(m["contact_points"]) for m in ask("GET", "/v1/customers/g0000003").json()["may_contact"]] == [
        False
    ] * 4


def test_never_again_closes_every_use_and_channel(ask: Ask) -> None:
    _wish(ask, "email", "person3@example.org", "DENIED", "any", "any")
    for use, channel in USES:
        assert "g0000003" not in _ids(_list(ask, use, channel))
        assert not _may(ask, "g0000003", use, channel)["allowed"]


def test_a_grant_lifts_an_objection_but_opens_nothing_by_itself(ask: Ask) -> None:
    _wish(ask, "email", "person3@example.org", "REVOKED")
    _wish(ask, "email", "person3@example.org", "GRANTED")
    assert "g0000003" in _ids(_list(ask))
    _wish(ask, "email", "person5@example.org", "GRANTED")
    assert "g0000005" not in _ids(_list(ask))
    assert _may(ask, "g0000005", "marketing", "email")["reason"] == "denied"


def test_a_grant_of_one_contact_point_does_not_lift_the_objection_of_another(ask: Ask) -> None:
    _wish(ask, "phone", "+19375550003", "DENIED")
    _wish(ask, "email", "person3@example.org", "GRANTED")
    assert "g0000003" not in _ids(_list(ask))


def test_a_phone_number_as_people_write_it_speaks_for_its_owner(ask: Ask, published: Any) -> None:
    """The workspace says whose numbers have no country code; what is ambiguous forbids, and allows nothing."""
    workspace = published.storage.workspace_folder
    workspace.mkdir(parents=True)
    (workspace / "onefold.yaml").write_text("country: US\n")
    time.sleep(1.1)  # a change is seen within a second
    national = "(937) 555-0003"
    found = ask("POST", "/v1/customers/search", json={"phone": national}).json()["customers"]
    assert [c["golden_id"] for c in found] == ["g0000003"]
    _wish(ask, "phone", national, "REVOKED")
    assert "g0000003" not in _ids(_list(ask))
    _wish(ask, "phone", national, "GRANTED")
    assert "g0000003" in _ids(_list(ask))
    contract = workspace / "contracts" / "people.yaml"
    contract.parent.mkdir()
    contract.write_text(_OF_GERMANY)
    time.sleep(1.1)
    _wish(ask, "phone", national, "REVOKED")
    assert "g0000003" not in _ids(_list(ask))
    body = {"kind": "phone", "value": national}
    wish = {"subject": body, "data_use": "marketing", "channel": "email", "state": "GRANTED"}
    refused = ask("POST", "/v1/consents", json=wish)
    assert refused.status_code == 422
    assert "country's code" in refused.text
    assert "g0000003" not in _ids(_list(ask))


_OF_GERMANY = """\
kind: DataContract
apiVersion: v3.1.0
id: people
version: 0.1.0
status: draft
schema:
  - name: people
    properties: [{name: id, logicalType: string, primaryKey: true}]
customProperties:
  - property: onefold
    value: {location: people.csv, lawful_basis: consent, data_use: [analytics], country: DE}
"""


def test_counts_with_filters_follow_objections(ask: Ask) -> None:
    top = _list(ask, channel="post", limit=1)["customers"][0]
    before = _list(ask, channel="post", min=0.5)
    _wish(ask, "golden_id", top["golden_id"], "DENIED", "marketing", "post")
    after = _list(ask, channel="post", min=0.5)
    assert after["allowed"] == before["allowed"] - 1
    assert sum(after["suppressed"].values()) == sum(before["suppressed"].values()) + 1
    assert top["golden_id"] not in _ids(after)


def test_an_objection_follows_the_person_through_a_merge(
    ask: Ask, published: Any, made_up: ModuleType, client: TestClient
) -> None:
    _wish(ask, "email", "person3@example.org", "DENIED")
    gold = made_up.gold_frames()
    rest = gold.customers.filter(pl.col("golden_id") != "g0000003")
    history = pl.concat(
        [
            gold.history,
            gold.history[:1].with_columns(golden_id=pl.lit("g0000003"), other_id=pl.lit("g0000004")),
        ]
    )
    keep = pl.col("golden_id") != "g0000003"
    merged = replace(
        gold,
        customers=rest,
        permissions=gold.permissions.filter(keep),
        scores=gold.scores.filter(keep),
        offers=gold.offers.filter(keep),
        history=history,
    )
    version = published.publish(merged, made_up.facts()).version
    _until(lambda: client.get("/health").json()["publication"] == version)
    body = ask("GET", "/v1/customers/g0000003").json()
    assert (body["golden_id"], body["merged_from"]) == ("g0000004", "g0000003")
    assert "g0000004" not in _ids(_list(ask))
    assert not _may(ask, "g0000004", "marketing", "email")["allowed"]


def test_an_objection_of_someone_yet_unknown_holds_when_they_appear(
    ask: Ask, published: Any, made_up: ModuleType, client: TestClient
) -> None:
    _wish(ask, "email", "person203@example.org", "DENIED")
    version = published.publish(made_up.gold_frames(300), made_up.facts()).version
    _until(lambda: client.get("/health").json()["publication"] == version)
    ids = _ids(_list(ask))
    assert "g0000203" not in ids and "g0000204" in ids


def test_a_list_begun_on_an_older_publication_is_not_continued(
    ask: Ask, published: Any, made_up: ModuleType, client: TestClient
) -> None:
    cursor = _list(ask, limit=2)["next_cursor"]
    version = published.publish(made_up.gold_frames(199), made_up.facts()).version
    _until(lambda: client.get("/health").json()["publication"] == version)
    params = {"data_use": "marketing", "channel": "email", "cursor": cursor}
    answer = ask("GET", "/v1/scores/churn", params=params)
    assert answer.status_code == 409 and answer.json()["error"]["code"] == "conflict"


def test_whoever_a_frame_forgets_is_suppressed(
    ask: Ask, published: Any, made_up: ModuleType, client: TestClient
) -> None:
    gold = made_up.gold_frames()
    forgetful = replace(gold, permissions=gold.permissions.filter(pl.col("golden_id") != "g0000003"))
    version = published.publish(forgetful, made_up.facts()).version
    _until(lambda: client.get("/health").json()["publication"] == version)
    listed = _list(ask)
    assert "g0000003" not in _ids(listed) and listed["suppressed"]["not_stated"] == 1
    assert not _may(ask, "g0000003", "marketing", "email")["allowed"]


def test_the_answer_does_not_tell_who_is_known(ask: Ask) -> None:
    answers = []
    for email in ("person3@example.org", "stranger@example.org"):
        body = {
            "subject": {"kind": "email", "value": email},
            "data_use": "marketing",
            "channel": "email",
            "state": "DENIED",
        }
        answers.append(ask("POST", "/v1/consents", json=body).json())
    assert answers[0] == answers[1]


def test_the_ledger_and_the_trail_hold_no_contact_point(ask: Ask, published: Any) -> None:
    _wish(ask, "email", "person3@example.org", "DENIED")
    published.ledger.audit.add("test", "checkpoint")
    for file in published.storage.root.glob("ledger.db*"):
        assert b"person3" not in file.read_bytes()
    assert published.ledger.audit.list("consent.record")[0].detail == {
        "data_use": "marketing", "channel": "email", "state": "DENIED", "subjects": 1,
    }  # fmt: skip


def test_when_the_ledger_does_not_answer_nothing_is_listed(ask: Ask, published: Any, client: TestClient) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(published.storage.ledger)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE wishes RENAME TO hidden"))
    answer = ask("GET", "/v1/scores/churn", params={"data_use": "marketing", "channel": "email"})
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "unavailable"
    assert client.get("/health").status_code == 503
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE hidden RENAME TO wishes"))
    engine.dispose()
    assert _ids(_list(ask))


def _until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/scores/churn?channel=email&data_use=marketing&segmant=loyal", "segmant: no such query parameter"),
        ("/v1/customers/g0000003?limit=1", "limit: no such query parameter"),
        ("/v1/segments?a%20b=1", "?: no such query parameter; there are none"),
    ],
)
def test_a_filter_that_is_misspelt_is_refused(ask: Ask, path: str, told: str) -> None:
    """It would be no filter, and the list longer than was asked for."""
    answer = ask("GET", path)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith(told)


def test_a_list_says_whether_its_model_beats_the_baseline(ask: Any) -> None:
    said = {}
    for name in ("churn", "value"):
        params = {"data_use": "marketing", "channel": "email", "limit": 1}
        said[name] = ask("GET", f"/v1/scores/{name}", params=params).json()["beats_baseline"]
    assert said == {"churn": True, "value": False}
