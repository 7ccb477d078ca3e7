"""Who is who in people's hands: the command line and the API over one lake; scopes, audit, no value in a URL or log."""

from __future__ import annotations

import logging
import runpy
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from onefold.api import identity_examples, identity_shapes
from onefold.api.app import create_app
from onefold.api.shapes import Customer, Shape
from onefold.cli import app as cli
from onefold.notebook import Notebook
from onefold.settings import PlatformSettings
from onefold_storage.errors import BadInput, OnefoldError
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_storage.wishes import Wish
from onefold_workers.cluster import cluster
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.profiling import build_profiles
from onefold_workers.stages.publishing import publish_snapshot
from onefold_workers.stages.rolling_back import roll_back

pytestmark = pytest.mark.needs_dask
made = runpy.run_path(str(Path(__file__).parents[1] / "workers" / "decided_lake.py"))
NOW = made["NOW"]
READ, WRITE = "read:identity", "write:identity"
ROUTES = {
    ("POST", "/v1/identity/explain"): READ,
    ("POST", "/v1/identity/review"): READ,
    ("POST", "/v1/identity/what-if"): READ,
    ("POST", "/v1/identity/as-of"): READ,
    ("GET", "/v1/identity/report"): READ,
    ("POST", "/v1/identity/decisions"): WRITE,
    ("POST", "/v1/identity/overrides"): WRITE,
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """200 records, integrated; tests decide, and no test depends on what another decided."""
    home = made["fill"](tmp_path_factory.mktemp("identity") / "home", made["contact_records"](200, seed=8))
    with cluster():
        made["integrate"](home)
        yield home
    home.ledger.close()


@pytest.fixture
def home(lake: Installation, tmp_path: Path) -> Iterator[Installation]:
    """A copy of it."""
    shutil.copytree(lake.settings.root, tmp_path / "home")
    opened = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    yield opened
    opened.ledger.close()


@pytest.fixture
def run(home: Installation, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`run("explain", a, b)`: the command's JSON."""
    monkeypatch.setenv("ONEFOLD_HOME", str(home.settings.root))
    monkeypatch.setenv("ONEFOLD_NOW", NOW.isoformat())

    def ran(*words: str) -> Any:
        done = CliRunner().invoke(cli, ["identity", *words, "--json"])
        if isinstance(done.exception, OnefoldError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return orjson.loads(done.stdout)

    return ran


@pytest.fixture
def client(home: Installation) -> Iterator[TestClient]:
    """The API over it, without a publication."""
    app = create_app(home.settings, PlatformSettings(api_poll_seconds=30))
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def several(home: Installation, count: int = 2) -> list[str]:
    """Golden IDs of customers with two records or more."""
    owned = list(made["owners"](home).values())
    return sorted({g for g in owned if owned.count(g) > 1})[:count]


def test_every_route_wants_its_scope_and_answers_in_its_shape(home: Installation, client: TestClient) -> None:
    a, b = several(home)
    key = made["keys_of"](home, a)[0]
    bodies: dict[str, Any] = {
        "explain": {"left": a, "right": b},
        "review": {"limit": 3},
        "what-if": {"threshold": 3},
        "as-of": {"named": [key, a], "as_of": "2018-06-30"},
        "report": None,
        "decisions": {"decision": "merge", "named": [a, b]},
        "overrides": {"named": a, "field": "city", "value": "Ham"},
    }
    shapes: dict[str, type[Shape]] = {
        "explain": identity_shapes.Explained,
        "review": identity_shapes.ReviewAnswer,
        "what-if": identity_shapes.WhatIfAnswer,
        "as-of": identity_shapes.AsOfAnswer,
        "report": identity_shapes.ReportAnswer,
        "decisions": identity_shapes.DecidedAnswer,
        "overrides": identity_shapes.DecidedAnswer,
    }
    described = client.get("/openapi.json").json()["paths"]
    assert {(m.upper(), p) for p, ms in described.items() for m in ms if p.startswith("/v1/identity")} == set(
        ROUTES
    )
    for (method, path), scope in ROUTES.items():
        name = path.rsplit("/", 1)[-1]
        other = {"X-API-Key": home.ledger.keys.create("x", [WRITE if scope == READ else READ, "search"])[1]}
        assert client.request(method, path, json=bodies[name]).status_code == 401
        assert client.request(method, path, json=bodies[name], headers=other).status_code == 403
        right = {"X-API-Key": home.ledger.keys.create("x", [scope])[1]}
        answer = client.request(method, path, json=bodies[name], headers=right)
        assert answer.status_code in (200, 201), answer.text
        shapes[name].model_validate_json(answer.text)
    identity_shapes.Explained.model_validate(identity_examples.EXPLAINED)
    part = identity_examples.EXPLAINED["pair"]
    bits = sum(f["weight"] + f["frequency"] for f in part["fields"])
    assert round(part["prior"] + bits + part["attributes"] + part["households"], 2) == part["total"]


def test_a_decision_over_the_api_has_its_line_in_the_audit_trail(
    home: Installation, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = several(home)
    name, token = home.ledger.keys.create("steward", [WRITE, READ])
    headers, key = {"X-API-Key": token}, made["keys_of"](home, a)[0]
    with caplog.at_level(logging.INFO):
        body = {"decision": "merge", "named": [key, b], "reason": "one person"}
        answer = client.post("/v1/identity/decisions", json=body, headers=headers).json()
        explained = client.post("/v1/identity/explain", json={"left": key, "right": b}, headers=headers).json()
    assert answer["golden_ids"] == [a, b]
    assert explained["decisions"][0]["decided_by"] == f"key {name.id}"
    entry = home.ledger.audit.list("identity.merge")[0]
    assert (entry.actor, entry.target) == (f"key {name.id}", a)
    assert key not in str(entry.detail) + caplog.text
    other = made["keys_of"](home, b)[0]
    made["integrate"](home)
    assert made["owners"](home)[key] == made["owners"](home)[other]
    wrong = client.post("/v1/identity/decisions", json={**body, "named": [key]}, headers=headers)
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "named")
    for named in ("someone@example.org", "crm:nobody@example.org"):
        missing = client.post("/v1/identity/explain", json={"left": named, "right": b}, headers=headers)
        assert missing.status_code == 404
        assert "example.org" not in missing.text


def test_commands_decide_and_what_they_decide_is_taken_back(home: Installation, run: Callable[..., Any]) -> None:
    a, b = several(home)
    assert run("merge", a, b, "--reason", "told us", "--by", "ann")["decision"] == "merge"
    assert [d["decided_by"] for d in run("decisions")["decisions"]][:1] == ["ann"]
    assert run("explain", a, b)["decisions"]
    run("withdraw", a, b)
    assert run("explain", a, b)["decisions"] == []
    pairs = run("review", "--limit", "4")["pairs"]
    assert 0 < len(pairs) <= 4
    first = pairs[0]
    run("accept", first["left"]["record"], first["right"]["record"])
    run("reject", first["left"]["record"], first["right"]["record"])
    with pytest.raises(BadInput, match="expected record keys"):
        run("accept", a, b)
    found = run("as-of", "2018-01-31", first["left"]["record"])["found"][0]
    assert found["golden_id"] == first["left"]["golden_id"]
    assert run("report")["report"]["records"] == 200
    assert run("what-if", "--threshold", "30")["splits"] > 0


def test_words_for_people_say_the_same(home: Installation, run: Callable[..., Any]) -> None:
    a, b = several(home)
    said = CliRunner().invoke(cli, ["identity", "explain", a, b]).stdout
    assert "two customers" in said
    assert "match weight" in said
    assert "one from -1.00 on" in said
    assert "records are" in CliRunner().invoke(cli, ["identity", "report"]).stdout
    assert "1 of 2" in CliRunner().invoke(cli, ["identity", "review", "--limit", "2"]).stdout
    assert "splits" in CliRunner().invoke(cli, ["identity", "what-if", "--threshold", "30"]).stdout


def test_an_override_stands_in_the_profile_until_it_is_taken_back(
    home: Installation, run: Callable[..., Any]
) -> None:
    (a,) = several(home, 1)
    before = Notebook(home).customer(a).profile
    run("override", a, "birth_date", "1980-02-03", "--reason", "passport")
    run("override", a, "email", "New@Example.org ")
    with pytest.raises(BadInput, match="no birth date") as refused:
        run("override", a, "birth_date", "someday")
    assert "someday" not in str(refused.value)
    made["integrate"](home)
    now = Notebook(home).customer(a).profile
    assert (str(now["birth_date"]), now["email"]) == ("1980-02-03", "new@example.org")
    assert now["overridden"] == ["birth_date", "email"]
    later = Installation(StorageSettings(home=home.settings.root, now=NOW + timedelta(days=9)))
    assert Notebook(later).customer(a, as_of=NOW + timedelta(days=1)).profile["overridden"] == now["overridden"]
    run("override", a, "birth_date", "--withdraw")
    run("override", a, "email", "--withdraw")
    made["integrate"](home)
    assert Notebook(home).customer(a).profile == before
    assert home.lake.scan("identity/overrides").select(pl.len()).collect().item() == 4
    later.ledger.close()


def test_a_customer_as_of_a_date_over_the_api(home: Installation, client: TestClient) -> None:
    (a,) = several(home, 1)
    headers = {"X-API-Key": home.ledger.keys.create("x", ["read:customers"])[1]}
    found = client.get(f"/v1/customers/{a}?as_of=2018-01-31", headers=headers)
    assert found.status_code == 200, found.text
    Customer.model_validate_json(found.text)
    assert found.json()["records"] == len(made["keys_of"](home, a))
    assert found.json()["may_contact"]
    assert found.json()["publication"] == "as of 2018-01-31T23:59:59.999999+00:00"
    early = client.get(f"/v1/customers/{a}?as_of=2017-01-31", headers=headers)
    said = early.json()["error"]["message"]
    assert early.status_code == 404 and said.endswith("was not there yet at 2017-01-31 23:59:59 UTC")
    never = client.get("/v1/customers/nobody?as_of=2018-01-31", headers=headers)
    assert never.status_code == 404 and "no customer has or had this golden ID" in never.text
    assert client.get(f"/v1/customers/{a}?as_of=SECRET", headers=headers).status_code == 422
    assert client.get(f"/v1/customers/{a}", headers=headers).status_code == 503  # nothing is published here


def test_an_opt_out_over_the_api_holds_in_every_view_of_a_customer(home: Installation, client: TestClient) -> None:
    """Wishes stand in the ledger: what is read from the lake, now or as of a date, has them laid over it."""
    email = home.lake.scan("silver/contact_records").select("record_key", "email").collect()
    known = dict(email.drop_nulls().iter_rows())
    allowed = home.lake.scan("gold/permissions").filter("allowed", data_use="marketing", channel="email").collect()
    someone, point = next(
        (g, known[k]) for g in allowed["golden_id"].sort() for k in made["keys_of"](home, g) if k in known
    )
    before, after = NOW + timedelta(days=-1), NOW + timedelta(days=1)

    def then() -> Any:
        headers = {"X-API-Key": home.ledger.keys.create("x", ["read:customers"])[1]}
        body = client.get(f"/v1/customers/{someone}", params={"as_of": after.isoformat()}, headers=headers).json()
        return next(m for m in body["may_contact"] if (m["data_use"], m["channel"]) == ("marketing", "email"))

    def noted(at: Any = None) -> Any:
        found = Notebook(home).customer(someone, as_of=at).permissions
        return found.row(
            by_predicate=(pl.col("data_use") == "marketing") & (pl.col("channel") == "email"), named=True
        )

    assert (then()["allowed"], then()["live"]) == (True, False)
    assert noted()["allowed"] and noted(after)["allowed"]
    wish = {"subject": {"kind": "email", "value": point}, "data_use": "marketing", "channel": "any"}
    headers = {"X-API-Key": home.ledger.keys.create("x", ["write:consents"])[1]}
    assert client.post("/v1/consents", json=wish | {"state": "REVOKED"}, headers=headers).status_code == 201
    for row in (then(), noted(), noted(after)):
        assert (row["allowed"], row["reason"], row["live"]) == (False, "revoked", True)
    assert noted().keys() == noted(after).keys()
    assert home.ledger.wishes.standing(before).by_subject == {}
    assert client.post("/v1/consents", json=wish | {"state": "GRANTED"}, headers=headers).status_code == 201
    assert then()["allowed"] and noted()["allowed"] and noted(after)["allowed"]


def test_what_was_rolled_back_is_not_published_again_until_something_changes(home: Installation) -> None:
    point = home.lake.scan("silver/contact_records").select(pl.col("email").drop_nulls().first()).collect().item()
    first = publish_snapshot(home, gather(home)).publication
    _wish(home, point, "GRANTED")
    second = publish_snapshot(home, gather(home)).publication
    assert second.version != first.version
    done = roll_back(home)
    assert (done.of, done.instead_of) == (first.version, second.version)
    assert publish_snapshot(home, gather(home)).publication == done.publication
    _wish(home, point, "REVOKED")
    third = publish_snapshot(home, gather(home))
    assert third.changed and third.publication.facts.get("declined") is None


def _wish(home: Installation, email: str, state: Any) -> None:
    home.ledger.wishes.add([Wish("email", home.keyed_hash.of("email", email), "marketing", "email", state)], "test")
    build_profiles(home, [], gather(home))
