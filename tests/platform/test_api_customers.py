"""Customers through HTTP: profiles, interactions and search, held to the shapes that the documentation shows."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from onefold.api import examples
from onefold.api.shapes import Customer, Interactions, RankedAnswer, SearchAnswer, Segments
from onefold_storage.schema import ADDRESS, HOUSEHOLDS

Ask = Callable[..., Any]


def test_the_examples_of_the_documentation_have_its_shapes() -> None:
    Customer.model_validate(examples.CUSTOMER)
    SearchAnswer.model_validate(examples.FOUND)
    Interactions.model_validate(examples.INTERACTIONS)
    RankedAnswer.model_validate(examples.RANKED)


def test_a_customer_with_everything_known(ask: Ask) -> None:
    body = ask("GET", "/v1/customers/g0000003").json()
    found = Customer.model_validate(body)
    assert found.golden_id == "g0000003" and found.merged_from is None
    assert found.profile["given_name"] == "Dora" and found.currency == "USD"
    assert {s.model for s in found.scores} == {"churn", "value"} and all(s.reasons for s in found.scores)
    assert [o.rank for o in found.offers] == [1, 2, 3]
    assert {(m.data_use, m.channel) for m in found.may_contact} == {
        ("marketing", "email"), ("marketing", "phone"), ("marketing", "post"), ("service", "email"),
    }  # fmt: skip
    assert found.consents[0].state == "GRANTED" and found.consents[0].subject_kind == "email"


def test_a_profile_shows_who_lives_there_every_address_and_what_a_person_set(
    home: Any, made_up: ModuleType
) -> None:
    gold = made_up.gold_frames(20)
    place = dict.fromkeys(ADDRESS) | {"street": "Elm Street", "city": "Dayton"}
    customers = gold.customers.with_columns(
        addresses=pl.lit([place], dtype=gold.customers.schema["addresses"]), overridden=pl.lit(["city"])
    )
    ids = ["g0000003", "g0000001"]
    held = {"golden_id": ids, "household_id": ["h1", "h1"], "valid_from": [made_up.NOW] * 2}
    households = made_up.frame(HOUSEHOLDS, held)
    home.publish(made_up.without(gold, customers=customers, households=households), made_up.facts())
    with TestClient(home.app()) as client:
        headers = {"X-API-Key": home.token("read:customers")}
        found, alone = (
            Customer.model_validate(client.get(f"/v1/customers/{i}", headers=headers).json())
            for i in ("g0000003", "g0000002")
        )
    assert found.household is not None and found.household.members == sorted(ids)
    assert found.addresses is not None and found.addresses[0].street == "Elm Street"
    assert found.overridden == ["city"]
    assert alone.household is None


@pytest.mark.parametrize("merged", ["old1", "old2"])
def test_a_merged_id_answers_with_its_survivor(ask: Ask, merged: str) -> None:
    found = Customer.model_validate(ask("GET", f"/v1/customers/{merged}").json())
    assert (found.golden_id, found.merged_from) == ("g0000000", merged)
    page = Interactions.model_validate(ask("GET", f"/v1/customers/{merged}/interactions").json())
    assert page.golden_id == "g0000000"


def test_an_id_whose_survivor_is_unknown_is_nobody(ask: Ask) -> None:
    assert ask("GET", "/v1/customers/gone").status_code == 404


@pytest.mark.parametrize("limit", [1, 5, 12, 200])
def test_interactions_page_by_page_are_all_and_each_once(ask: Ask, limit: int) -> None:
    whole = ask("GET", "/v1/customers/g0000003/interactions", params={"limit": 200}).json()
    assert whole["total"] == 12 and whole["next_cursor"] is None
    rows, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        answer = ask(
            "GET",
            "/v1/customers/g0000003/interactions",
            params={"limit": limit} | ({"cursor": cursor} if cursor else {}),
        )
        page = Interactions.model_validate(answer.json())
        rows += answer.json()["interactions"]
        cursor, pages = page.next_cursor, pages + 1
    assert rows == whole["interactions"] and pages == -(-12 // limit)
    assert [r["at"] for r in rows] == sorted((r["at"] for r in rows), reverse=True)


def test_a_cursor_of_another_customer_is_refused(ask: Ask) -> None:
    cursor = ask("GET", "/v1/customers/g0000003/interactions", params={"limit": 1}).json()["next_cursor"]
    answer = ask("GET", "/v1/customers/g0000004/interactions", params={"cursor": cursor})
    assert answer.status_code == 422 and answer.json()["error"]["field"] == "cursor"


@pytest.mark.parametrize(
    "query",
    [
        {"email": "person3@example.org"},
        {"email": "  Person3@EXAMPLE.org "},
        {"phone": "+1 (937) 555-0003"},
        {"external_id": {"scheme": "loyalty_card", "value": "3"}},
        {"external_id": {"scheme": "loyalty_card", "value": " 3 "}},
    ],
)
def test_an_identifier_finds_exactly_one(ask: Ask, query: dict[str, Any]) -> None:
    found = SearchAnswer.model_validate(ask("POST", "/v1/customers/search", json=query).json())
    assert [c.golden_id for c in found.customers] == ["g0000003"]
    assert found.customers[0].name == "Dora Adler" and not found.more


@pytest.mark.parametrize(
    "query",
    [
        {"email": "person@example.org"},
        {"email": "erson3@example.org"},
        {"external_id": {"scheme": "loyalty_card", "value": "33333"}},
        {"external_id": {"scheme": "crm_contact", "value": "3"}},
        {"external_id": {"scheme": "email", "value": "nobody@example.org"}},
        {"name": "Zacharias"},
        {"name": '" OR name:* NEAR('},
        {"name": "-- ; DROP"},
        {"name": "'' ''"},
    ],
)
def test_what_finds_nobody(ask: Ask, query: dict[str, Any]) -> None:
    answer = ask("POST", "/v1/customers/search", json=query)
    assert answer.status_code == 200 and answer.json() == {"customers": [], "more": False}


def test_an_address_that_is_nobodys_own_is_told_so(ask: Ask) -> None:
    for written in ("test@test.com", " NoReply@example.org"):
        answer = ask("POST", "/v1/customers/search", json={"email": written})
        assert answer.status_code == 422
        assert "nobody's own" in answer.text
        assert "test.com" not in answer.text
    assert "expected an email address" in ask("POST", "/v1/customers/search", json={"email": "test@"}).text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("dora adler", "Dora Adler"),
        ("ADLER, Dora", "Dora Adler"),
        ("dor adl", "Dora Adler"),
        ("celik brandt", "Çelik Brandt"),
        ("Émile dvor", "Émile Dvořák"),
        ("jurgen grunwald", "Jürgen Grünwald"),
    ],
)
def test_names_are_found_by_their_words_without_regard_to_accents(ask: Ask, text: str, name: str) -> None:
    found = ask("POST", "/v1/customers/search", json={"name": text}).json()
    assert found["customers"] and {c["name"] for c in found["customers"]} == {name}


def test_a_wide_search_is_bounded_and_says_so(ask: Ask) -> None:
    found = ask("POST", "/v1/customers/search", json={"name": "an", "limit": 5}).json()
    assert len(found["customers"]) == 5 and found["more"]
    seen = [c["last_seen"] for c in found["customers"]]
    assert seen == sorted(seen, reverse=True)


def test_segments_models_and_sources(ask: Ask) -> None:
    segments = Segments.model_validate(ask("GET", "/v1/segments").json())
    assert {s.segment: s.customers for s in segments.segments} == {"champions": 20, "regulars": 180}
    models = {m["name"]: m for m in ask("GET", "/v1/models").json()["models"]}
    assert models["churn"]["value"] == 0.876 and models["churn"]["baseline"] == 0.825
    assert (models["churn"]["scored"], models["next_best_offer"]["scored"]) == (200, 200)
    told = ask("GET", "/v1/sources").json()
    assert [(u["folder"], u["kind"], u["objects"]) for u in told["unmanaged"]] == [("till/2016", "csv", 12)]
    sources = {s["source"]: s for s in told["sources"]}
    assert sources["pos_transactions"]["fresh"] and not sources["crm_contacts"]["fresh"]
    assert sources["crm_contacts"]["failed_events"] == 17 and sources["crm_contacts"]["generated"]


def test_sources_follow_the_ledger(ask: Ask, published: Any) -> None:
    from onefold_storage.packages import Package

    now = published.storage.now
    published.ledger.packages.record(Package("crm_contacts", 1, "c", "crm.db", 10, 7, 1, 2, 0, now, now))
    crm = next(s for s in ask("GET", "/v1/sources").json()["sources"] if s["source"] == "crm_contacts")
    assert crm["fresh"] and crm["age_s"] == 0
    assert crm["sent"] == crm["landed"] + crm["failed"] + crm["repeated"] + crm["suppressed"] == 10


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_a_body_that_is_not_sent_as_json_says_how(
    published: Any, client: TestClient, content_type: str | None
) -> None:
    headers = {"X-API-Key": published.token("search")} | ({"Content-Type": content_type} if content_type else {})
    answer = client.post("/v1/customers/search", content=b'{"name": "anna"}', headers=headers)
    message = answer.json()["error"]["message"]
    assert (answer.status_code, message) == (
        422,
        "body: expected a JSON object, sent with the header Content-Type: application/json",
    )


def test_a_list_is_no_object(ask: Ask) -> None:
    assert ask("POST", "/v1/customers/search", json=[]).json()["error"]["message"] == "body: expected a JSON object"


def test_an_external_id_alone_is_no_object(ask: Ask) -> None:
    error = ask("POST", "/v1/customers/search", json={"external_id": "208"}).json()["error"]
    assert (error["field"], error["message"]) == ("external_id", "external_id: expected a JSON object")


def test_a_model_of_offers_has_no_list_and_says_where_they_stand(ask: Ask) -> None:
    assert "next_best_offer" in {m["name"] for m in ask("GET", "/v1/models").json()["models"]}
    answer = ask("GET", "/v1/scores/next_best_offer?data_use=marketing&channel=email")
    assert answer.status_code == 404 and "stand with each customer" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("kind", "said"), [("email", "an email address"), ("phone", "a phone number")])
def test_a_subject_that_is_not_of_its_kind_says_what_it_should_be(ask: Ask, kind: str, said: str) -> None:
    wish = {
        "data_use": "marketing",
        "channel": "email",
        "state": "DENIED",
        "subject": {"kind": kind, "value": "ann"},
    }
    error = ask("POST", "/v1/consents", json=wish).json()["error"]
    assert error["field"] == "subject.value" and f"expected {said}" in error["message"]
