"""Deny by default: every route wants a key with its scope; errors have one shape and echo no value."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from onefold.api.answers import ProblemAnswer

ROUTES = {
    ("GET", "/v1/customers/g0000003"): "read:customers",
    ("GET", "/v1/customers/g0000003/interactions"): "read:customers",
    ("GET", "/v1/customers/g0000003/documents"): "read:documents",
    ("POST", "/v1/customers/search"): "search",
    ("GET", "/v1/scores/churn?data_use=marketing&channel=email"): "read:scores",
    ("GET", "/v1/segments"): "read:scores",
    ("GET", "/v1/models"): "read:scores",
    ("GET", "/v1/sources"): "read:sources",
    ("POST", "/v1/consents"): "write:consents",
    ("GET", "/metrics"): "read:metrics",
}
TRACKING = ("track", "identify", "page", "screen", "group", "alias", "batch")
BODIES = {
    "/v1/customers/search": {"email": "person3@example.org"},
    "/v1/consents": {
        "subject": {"kind": "email", "value": "person3@example.org"},
        "data_use": "marketing",
        "channel": "email",
        "state": "DENIED",
    },
}


def _problem(response: Any, status: int, code: str) -> Any:
    assert response.status_code == status, response.text
    error = ProblemAnswer.model_validate_json(response.text).error
    assert error.code == code
    return error


def test_the_table_of_routes_is_complete(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]
    known = {(m, p.split("?")[0].replace("g0000003", "{golden_id}").replace("churn", "{model}")) for m, p in ROUTES}
    known |= {
        ("POST", "/v1/ingest/{source}"),
        ("GET", "/v1/ingest/{source}/receipts/{receipt}"),
    }  # test_api_ingest.py
    known |= {("GET", "/v1/customers/{golden_id}/documents/{document}")}  # test_documents.py
    known |= {("POST", f"/v1/{call}") for call in TRACKING}  # test_tracking.py
    known |= {("POST", "/v1/webhooks/{source}")}  # test_webhooks.py
    described = {p: m for p, m in described.items() if not p.startswith("/v1/identity")}  # test_identity.py
    assert {(m.upper(), p) for p, methods in described.items() for m in methods} == known | {("GET", "/health")}
    for path, methods in described.items():
        for operation in methods.values():
            assert ("security" in operation) == (path != "/health")


@pytest.mark.parametrize(
    "path", [f"/v1/{call}" for call in (*TRACKING, "t", "b", "import")] + ["/v1/webhooks/web", "/v1/ingest/web"]
)
def test_no_event_is_taken_of_who_shows_nothing(client: TestClient, path: str) -> None:
    for headers in ({}, {"X-API-Key": "of_x_y"}, {"Authorization": "Basic YTpi"}, {"X-Signature": "0" * 64}):
        response = client.post(path, headers=headers, json={"userId": "u", "event": "e", "batch": [{}]})
        assert response.status_code == 401 and response.json()["error"]["code"] == "unauthorised"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_nothing_opens(client: TestClient, method: str, path: str) -> None:
    for headers in (
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "of_x_y"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
    ):
        response = client.request(method, path, headers=headers, json=BODIES.get(path))
        _problem(response, 401, "unauthorised")
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_only_the_right_scope_opens(published: Any, client: TestClient, method: str, path: str) -> None:
    scope = ROUTES[method, path]
    others = sorted(set(ROUTES.values()) - {scope} | {"ingest"})
    body = BODIES.get(path)
    refused = client.request(method, path, headers={"X-API-Key": published.token(*others)}, json=body)
    assert scope in _problem(refused, 403, "forbidden").message
    for token in (published.token(scope), published.token("admin")):
        for headers in ({"X-API-Key": token}, {"Authorization": f"Bearer {token}"}):
            assert client.request(method, path, headers=headers, json=body).status_code in (200, 201)


def test_two_different_keys_are_none(published: Any, client: TestClient) -> None:
    one, two = published.token("admin"), published.token("admin")
    response = client.get("/v1/segments", headers={"X-API-Key": one, "Authorization": f"Bearer {two}"})
    _problem(response, 401, "unauthorised")


def test_a_revoked_key_ends_within_two_seconds(published: Any, client: TestClient) -> None:
    key, token = published.ledger.keys.create("crm", ["read:scores"])
    assert client.get("/v1/segments", headers={"X-API-Key": token}).status_code == 200
    published.ledger.keys.revoke(key.id)
    time.sleep(1.1)
    _problem(client.get("/v1/segments", headers={"X-API-Key": token}), 401, "unauthorised")


def test_a_browsers_session_does_not_open_the_api(published: Any, client: TestClient) -> None:
    client.post("/sign-in", data={"api_key": published.token("admin")})
    assert client.cookies.get("onefold_session")
    _problem(client.get("/v1/segments"), 401, "unauthorised")


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/docs", "/", "/static/onefold.css"])
def test_what_is_open_tells_nothing_of_customers(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert not any(word in response.text for word in ("g0000", "Adler", "person3", "1469307"))


def _of(subject: dict[str, str]) -> dict[str, Any]:
    return {**BODIES["/v1/consents"], "subject": subject}


BAD = [
    ("GET", "/v1/scores/churn", None, "data_use"),
    ("GET", "/v1/scores/churn?data_use=marketing", None, "channel"),
    ("GET", "/v1/scores/churn?data_use=SECRET&channel=email", None, "data_use"),
    ("GET", "/v1/scores/churn?data_use=SE%20CRET&channel=email", None, "data_use"),
    ("GET", "/v1/scores/churn?data_use=marketing&channel=SECRET", None, "channel"),
    ("GET", "/v1/scores/churn?data_use=service&channel=post", None, "channel"),
    ("GET", "/v1/scores/churn?data_use=marketing&channel=email&min=SECRET", None, "min"),
    ("GET", "/v1/scores/churn?data_use=marketing&channel=email&min=nan", None, "min"),
    ("GET", "/v1/scores/churn?data_use=marketing&channel=email&limit=0", None, "limit"),
    ("GET", "/v1/scores/churn?data_use=marketing&channel=email&limit=1001", None, "limit"),
    ("GET", "/v1/scores/churn?data_use=marketing&channel=email&segment=SECRET", None, "segment"),
    ("GET", "/v1/scores/churn?data_use=marketing&channel=email&cursor=SECRET", None, "cursor"),
    ("GET", "/v1/customers/g0000003/interactions?limit=201", None, "limit"),
    ("GET", "/v1/customers/g0000003/interactions?cursor=W10", None, "cursor"),
    ("POST", "/v1/customers/search", {}, "body"),
    ("POST", "/v1/customers/search", {"email": "SECRET@example.org", "name": "SECRET"}, "body"),
    ("POST", "/v1/customers/search", {"email": "SECRET"}, "email"),
    ("POST", "/v1/customers/search", {"phone": "SECRET"}, "phone"),
    ("POST", "/v1/customers/search", {"name": "S"}, "name"),
    ("POST", "/v1/customers/search", {"name": "SECRET" * 60}, "name"),
    ("POST", "/v1/customers/search", {"name": {"first": "SECRET"}}, "name"),
    ("POST", "/v1/customers/search", {"name": "SECRET", "limit": 51}, "limit"),
    ("POST", "/v1/customers/search", {"nickname": "SECRET"}, "nickname"),
    ("POST", "/v1/customers/search", {"SECRET@example.org": 1}, "?"),
    ("POST", "/v1/customers/search", {"external_id": {"scheme": "SECRET", "value": "1"}}, "external_id.scheme"),
    ("POST", "/v1/customers/search", ["SECRET"], "body"),
    ("POST", "/v1/consents", {**BODIES["/v1/consents"], "state": "SECRET"}, "state"),
    ("POST", "/v1/consents", {**BODIES["/v1/consents"], "data_use": "SECRET"}, "data_use"),
    ("POST", "/v1/consents", {**BODIES["/v1/consents"], "data_use": "gossip"}, "data_use"),
    ("POST", "/v1/consents", {**BODIES["/v1/consents"], "channel": "pigeon"}, "channel"),
    ("POST", "/v1/consents", _of({"kind": "email", "value": "SECRET"}), "subject.value"),
    ("POST", "/v1/consents", _of({"kind": "name", "value": "SECRET"}), "subject.kind"),
    ("POST", "/v1/consents", _of({"kind": "external_id", "value": "1"}), "subject.scheme"),
    ("POST", "/v1/consents", {**BODIES["/v1/consents"], "evidence": "SECRET" * 100}, "evidence"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "field"), BAD)
def test_bad_input_is_refused_by_field_and_never_echoed(
    ask: Callable[..., Any], caplog: pytest.LogCaptureFixture, method: str, path: str, body: Any, field: str
) -> None:
    with caplog.at_level(logging.DEBUG, "onefold"):
        response = ask(method, path, json=body) if body is not None else ask(method, path)
    assert _problem(response, 422, "bad_input").field == field
    assert "SECRET" not in response.text and "SECRET" not in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b'{"email": "SECRET', b"\xff\xfe", b"null", b"[" * 20_000])
def test_a_body_that_is_no_json(ask: Callable[..., Any], content: bytes) -> None:
    response = ask("POST", "/v1/customers/search", content=content)
    assert response.status_code in (400, 422) and "SECRET" not in response.text
    ProblemAnswer.model_validate_json(response.text)


def test_a_body_beyond_the_bound_is_refused(ask: Callable[..., Any]) -> None:
    big = b'{"name": "' + b"x" * 70_000 + b'"}'
    _problem(ask("POST", "/v1/customers/search", content=big), 413, "too_large")

    def stream() -> Any:
        for _ in range(100):
            yield b" " * 1_000

    _problem(ask("POST", "/v1/customers/search", content=stream()), 413, "too_large")


def test_every_answer_to_a_bad_body_is_described(published: Any, client: TestClient) -> None:
    headers = {"X-API-Key": published.token("admin"), "Content-Type": "application/json"}
    missing = []
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for body in (b"\xff\xfe", b"{", b"[]", b" " * 70_000) if "post" in operations else ():
            status = client.post(path.replace("{source}", "nobody"), content=body, headers=headers).status_code
            if str(status) not in operations["post"]["responses"]:
                missing.append((path, status))
    assert missing == []


def test_unknown_paths_and_methods(ask: Callable[..., Any]) -> None:
    _problem(ask("GET", "/v1/nothing"), 404, "not_found")
    _problem(ask("DELETE", "/v1/segments"), 405, "method_not_allowed")
    _problem(ask("GET", "/v1/customers/nobody"), 404, "not_found")
    _problem(ask("GET", "/v1/customers/" + "x" * 65), 422, "bad_input")
    _problem(ask("GET", "/v1/scores/nothing?data_use=marketing&channel=email"), 404, "not_found")


def test_headers_that_keep_browsers_safe(ask: Callable[..., Any]) -> None:
    headers = ask("GET", "/v1/segments").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_figures_for_monitoring_name_no_customer(ask: Callable[..., Any]) -> None:
    ask("GET", "/v1/customers/g0000003")
    text = ask("GET", "/metrics").text
    assert 'route="/v1/customers/{golden_id}",status="200"' in text
    assert "onefold_publication_customers 200.0" in text
    assert "g0000003" not in text
