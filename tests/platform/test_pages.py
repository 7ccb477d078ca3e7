"""The pages through HTTP: sign-in, what a key's scopes show, and what no other site may do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from onefold.web import sessions
from onefold_storage.errors import Unauthorised
from onefold_storage.keyed_hash import KeyedHash

EVERYTHING = ("read:customers", "read:scores", "read:sources", "search")


def _signed_in(client: TestClient, token: str) -> TestClient:
    answer = client.post("/sign-in", data={"api_key": token}, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    return client


@pytest.fixture
def browser(published: Any, client: TestClient) -> Iterator[TestClient]:
    yield _signed_in(client, published.token(*EVERYTHING))


def test_a_stranger_sees_the_sign_in_and_nothing_else(client: TestClient) -> None:
    assert "API key" in client.get("/").text
    for method, path in (("GET", "/customers/g0000003"), ("POST", "/search")):
        answer = client.request(method, path, data={"by": "name", "text": "anna"} if method == "POST" else None)
        assert answer.status_code == 401 and "Sign in" in answer.text and "Adler" not in answer.text


def test_a_wrong_key_is_refused_without_being_shown(client: TestClient) -> None:
    for wrong in ("", "of_secret", "x" * 200):
        answer = client.post("/sign-in", data={"api_key": wrong})
        assert answer.status_code == 401 and "not valid" in answer.text
        assert not wrong or wrong not in answer.text
        assert not client.cookies.get(sessions.COOKIE)
    assert client.post("/sign-in", data={"api_key": "x" * 201}).status_code == 422


def test_the_cookie_is_closed_to_scripts_and_other_sites(published: Any, client: TestClient) -> None:
    token = published.token("search")
    cookie = client.post("/sign-in", data={"api_key": token}, follow_redirects=False).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert token.rsplit("_", 1)[1] not in cookie
    with TestClient(published.app(api_secure_cookies=True)) as secure:
        answer = secure.post("/sign-in", data={"api_key": token}, follow_redirects=False)
        assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_can_send_no_form(browser: TestClient, published: Any, headers: dict[str, str]) -> None:
    for path, data in (
        ("/sign-in", {"api_key": published.token("search")}),
        ("/sign-out", {}),
        ("/search", {"by": "name", "text": "anna"}),
    ):
        answer = browser.post(path, data=data, headers=headers, follow_redirects=False)
        assert answer.status_code == 403 and "another site" in answer.text
    assert "Sources" in browser.get("/").text


def test_the_overview_shows_sources_models_and_the_lake(browser: TestClient) -> None:
    text = browser.get("/").text
    for word in (
        "pos_transactions",
        "generated",
        "stale",
        "0.876",
        "0.825",
        "champions",
        "silver/interactions",
        "0.984",
        "Unmanaged silos",
        "till/2016",
    ):
        assert word in text
    assert "https://" not in text and "<script" not in text


def test_a_key_sees_only_what_its_scopes_allow(published: Any, client: TestClient) -> None:
    _signed_in(client, published.token("read:sources"))
    text = client.get("/").text
    assert "pos_transactions" in text and "0.876" not in text and "/search" not in text
    for answer in (client.get("/customers/g0000003"), client.post("/search", data={"by": "name", "text": "anna"})):
        assert answer.status_code == 403 and "no scope" in answer.text and "Adler" not in answer.text


def test_a_search_shows_a_single_customer_at_once(browser: TestClient) -> None:
    for by, text in (
        ("email", "PERSON5@example.org"),
        ("external_id", "loyalty_card: 5"),
        ("phone", "+1 937 555 0005"),
        ("name", "person5@example.org"),
        ("name", "loyalty_card: 5"),
        ("name", "+1 937 555 0005"),
    ):
        answer = browser.post("/search", data={"by": by, "text": text}, follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/customers/g0000005"
    page = browser.get("/customers/g0000005").text
    for word in (
        "Fatima Adler",
        "denied",
        "40 days since the last purchase",
        "COFFEE",
        "made up, for demonstration",
        "When (UTC)",
        "crm_contacts",
    ):
        assert word in page


def test_a_customer_page_tells_which_contact_points_may_be_used(browser: TestClient) -> None:
    point = '<div class="point">{}@example.org</div>'
    allowed, denied = (browser.get(f"/customers/g000000{n}").text for n in (3, 5))
    assert allowed.count(point.format("person3")) == 2, "marketing and service by email"
    assert denied.count(point.format("person5")) == 1, "service alone"


def test_a_search_for_a_name_lists_and_one_for_nothing_says_so(browser: TestClient) -> None:
    assert browser.post("/search", data={"by": "name", "text": "anna"}).text.count("/customers/g") == 20
    assert "Nobody was found" in browser.post("/search", data={"by": "name", "text": "zzz"}).text
    for by, text in (("email", "nonsense"), ("external_id", "208"), ("name", "a"), ("what", "x: <b>")):
        answer = browser.post("/search", data={"by": by, "text": text})
        assert answer.status_code == 200 and "<b>" not in answer.text
    for by in ("name", "external_id"):
        assert "such as loyalty_card: 208." in browser.post("/search", data={"by": by, "text": "1100"}).text
    assert "Expected an email address" in browser.post("/search", data={"by": "email", "text": "nonsense"}).text


def test_a_merged_customer_says_so_and_an_unknown_one_too(browser: TestClient) -> None:
    assert "was merged into this customer" in browser.get("/customers/old1").text
    missing = browser.get("/customers/nobody")
    assert missing.status_code == 404 and "did not work" in missing.text and "Sign out" in missing.text


def test_what_sources_say_is_never_markup(published: Any, made_up: ModuleType) -> None:
    gold = made_up.gold_frames()
    nasty = "<script>alert(1)</script>\"'&{{7*7}}"
    customers = gold.customers.with_columns(family_name=pl.lit(nasty), city=pl.lit(nasty))
    published.publish(replace(gold, customers=customers), made_up.facts())
    with TestClient(published.app()) as client:
        text = _signed_in(client, published.token(*EVERYTHING)).get("/customers/g0000003").text
    assert "<script" not in text and "&lt;script&gt;" in text and "{{7*7}}" in text


def test_signing_out_and_revoking_end_a_session(published: Any, client: TestClient) -> None:
    key, token = published.ledger.keys.create("page", EVERYTHING)
    _signed_in(client, token)
    cookie = client.cookies[sessions.COOKIE]
    assert "API key" in client.post("/sign-out").text
    client.cookies.set(sessions.COOKIE, cookie)
    assert "Sources" in client.get("/").text
    published.ledger.keys.revoke(key.id)
    answer = client.get("/")
    assert answer.status_code == 401 and "Sources" not in answer.text


def test_a_cookie_is_signed_and_ends() -> None:
    ours, theirs = KeyedHash(b"0" * 32), KeyedHash(b"1" * 32)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    value = sessions.issue(ours, "abc", now + timedelta(hours=1))
    assert sessions.read(ours, value, now) == "abc"
    later = value.replace(str(int((now + timedelta(hours=1)).timestamp())), str(int(now.timestamp()) + 10**6))
    for wrong in ("", ".", "a.b.c.d", value + "0", value[1:], later, "é.1.1.é"):
        with pytest.raises(Unauthorised):
            sessions.read(ours, wrong, now)
    with pytest.raises(Unauthorised):
        sessions.read(theirs, value, now)
    with pytest.raises(Unauthorised):
        sessions.read(ours, value, now + timedelta(hours=1))


def test_the_documentation_page_shows_every_route(client: TestClient) -> None:
    text = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in text
    assert "https://" not in text and "<script" not in text


def test_before_the_first_publication_the_page_says_what_to_do(home: Any) -> None:
    with TestClient(home.app()) as client:
        answer = client.post("/sign-in", data={"api_key": home.token("admin")})
        assert answer.status_code == 503 and "onefold refresh" in answer.text
