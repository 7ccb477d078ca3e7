"""Webhooks: let in by their signature alone, in the styles of big senders; replays change nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import runpy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from onefold.api.app import create_app
from onefold.api.shapes import Taken
from onefold.api.signatures import signed
from onefold.settings import PlatformSettings
from onefold_storage.contracts import parse
from onefold_storage.errors import BadContract
from onefold_storage.installation import Installation
from onefold_storage.sending import Signature

made = runpy.run_path(str(Path(__file__).with_name("tracking_home.py")))
SECRET, OLD = "a secret of 32 bytes or so, made up", "the one before"
NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
EVENT = b'{"id": "e-1", "amount": 12.50}'


def contract(source: str, signature: dict[str, Any], **rules: Any) -> str:
    """A contract of a webhook."""
    value = {
        "connector": "webhook", "lawful_basis": "contract", "data_use": ["service"],
        "options": {"signature": signature}, **rules,
    }  # fmt: skip
    properties = [
        {"name": "id", "logicalType": "string", "required": True},
        {"name": "amount", "logicalType": "number"},
    ]
    return yaml.safe_dump(
        {
            "kind": "DataContract", "apiVersion": "v3.1.0", "id": source, "version": "1.0.0", "status": "active",
            "schema": [{"name": source, "logicalType": "object", "properties": properties}],
            "customProperties": [{"property": "onefold", "value": value}],
        }
    )  # fmt: skip


def digest(message: bytes, secret: str = SECRET) -> hmac.HMAC:
    return hmac.new(secret.encode(), message, hashlib.sha256)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Sources of three styles, one whose secret is missing, and one that is no webhook."""
    folder = tmp_path_factory.mktemp("webhooks")
    (folder / "secret").write_text(f"{SECRET}\n")
    (folder / "old").write_text(OLD)
    named, old = f"${{file:{folder}/secret}}", f"${{file:{folder}/old}}"
    opened = made["installed"](
        folder / "home",
        code=contract("code", {"header": "X-Hub-Signature-256", "prefix": "sha256=", "secret": named}),
        shop=contract("shop", {"header": "X-Shopify-Hmac-Sha256", "style": "base64", "secret": [named, old]}),
        pay=contract("pay", {"header": "Stripe-Signature", "style": "timestamped", "secret": named}),
        waits=contract("waits", {"header": "X-Signature", "secret": named}, durability="storage"),
        unset=contract("unset", {"header": "X-Signature", "secret": "${ONEFOLD_TEST_NOWHERE}"}),
        visits=contract("visits", {}, connector="http", options={}),
        broken="id: broken\n",
    )
    yield opened
    opened.ledger.close()


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[TestClient]:
    with made["serving"](installation, ingest_max_body=20_000) as opened:
        yield opened


def test_each_style_lands_and_needs_no_key(installation: Installation, client: TestClient) -> None:
    at = str(int(datetime.now(UTC).timestamp()))
    sent = {
        "code": {"X-Hub-Signature-256": f"sha256={digest(EVENT).hexdigest()}"},
        "shop": {"X-Shopify-Hmac-Sha256": base64.b64encode(digest(EVENT, OLD).digest()).decode()},
        "pay": {
            "Stripe-Signature": f"t={at},v1={'0' * 64},v1={digest(at.encode() + b'.' + EVENT).hexdigest()},v0=x"
        },
    }
    for source, headers in sent.items():
        answer = client.post(f"/v1/webhooks/{source}", content=EVENT, headers=headers)
        assert answer.status_code == 202, answer.text
        Taken.model_validate(answer.json())
        assert made["landed"](installation, source)["id"].to_list() == ["e-1"]
        again = client.post(f"/v1/webhooks/{source}", content=EVENT, headers=headers)
        assert again.status_code == 202
        assert made["landed"](installation, source)["id"].to_list() == ["e-1"]  # sent again, nothing changes
        client.post(f"/v1/webhooks/{source}", content=b"[]", headers=headers)
    batch = b'[{"id": "w-1"}, {"amount": 1}]'
    told = client.post("/v1/webhooks/waits", content=batch, headers={"X-Signature": digest(batch).hexdigest()})
    assert told.status_code == 200 and (told.json()["landed"], told.json()["failed"]) == (1, 1)


def test_without_the_signature_nothing_opens_and_nothing_is_told(
    installation: Installation, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    right = digest(EVENT).hexdigest()
    admin = {"X-API-Key": installation.ledger.keys.create("admin", ["admin"])[1]}
    wrong: list[tuple[str, bytes, dict[str, Any]]] = [
        ("code", EVENT, {}),
        ("code", EVENT, admin),  # a key is no signature
        ("code", EVENT, {"X-Hub-Signature-256": ""}),
        ("code", EVENT, {"X-Hub-Signature-256": "sha256="}),
        ("code", EVENT, {"X-Hub-Signature-256": right}),  # without its prefix
        ("code", EVENT, {"X-Hub-Signature-256": f"sha256={right[:-2]}"}),
        ("code", EVENT, {"X-Hub-Signature-256": f"sha256={digest(EVENT, 'guess').hexdigest()}"}),
        ("code", EVENT, {"X-Hub-Signature-256": b"sha256=\xc3\xa9"}),
        ("code", EVENT + b" ", {"X-Hub-Signature-256": f"sha256={right}"}),
        ("code", EVENT, {"X-Signature": f"sha256={right}"}),  # another header
        ("pay", EVENT, {"Stripe-Signature": f"v1={right}"}),
        ("visits", EVENT, {"X-Signature": right}),
        ("nobody", EVENT, {"X-Signature": right}),
        ("unset", EVENT, {"X-Signature": right}),
        ("unset", EVENT, {"X-Signature": digest(EVENT, "").hexdigest()}),
        ("broken", EVENT, {"X-Signature": right}),
    ]
    before = client.app.state.context.events.figures.events  # type: ignore[attr-defined]
    said = set()
    for source, body, headers in wrong:
        answer = client.post(f"/v1/webhooks/{source}", content=body, headers=headers)
        assert answer.status_code == 401, (source, headers)
        said.add(answer.text)
    assert len(said) == 1  # nor whether the source exists
    assert client.app.state.context.events.figures.events == before  # type: ignore[attr-defined]
    assert "unset: onefold.options.signature.secret: the environment variable ONEFOLD_TEST_NOWHERE" in caplog.text
    assert "webhooks are refused: broken: its contract is not valid" in caplog.text  # the operator is told
    assert SECRET not in caplog.text and OLD not in caplog.text
    for source in ("code", "unset", "nobody"):  # without its length, so that it is read before it is refused
        assert client.post(f"/v1/webhooks/{source}", content=iter([b"x" * 20_001])).status_code == 413
    token = installation.ledger.keys.create("code", ["ingest:code"])[1]
    answer = client.post("/v1/ingest/code", content=EVENT, headers={"X-API-Key": token})
    assert answer.status_code == 409  # by a key it takes nothing


def test_a_signed_body_that_is_none_is_told(client: TestClient) -> None:
    for body, status in ((b"", 422), (b"5", 422), (b'{"id":', 422), (b"x" * 20_001, 413)):
        headers = {"X-Hub-Signature-256": f"sha256={digest(body).hexdigest()}"}
        answer = client.post("/v1/webhooks/code", content=body, headers=headers)
        assert answer.status_code == status, answer.text


STRIPE = Signature(header="Stripe-Signature", style="timestamped", secret="${S}", tolerance_s=300)


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (299, True), (-299, True), (301, False), (-301, False)])
def test_an_old_signature_is_refused(seconds: int, good: bool) -> None:
    at = str(int((NOW - timedelta(seconds=seconds)).timestamp()))
    given = f"t={at},v1={digest(f'{at}.'.encode() + EVENT).hexdigest()}"
    assert signed(given, EVENT, STRIPE, [SECRET.encode()], NOW) is good
    assert not signed(given, EVENT, STRIPE, [b"guess"], NOW)


def test_the_age_of_a_signature_is_told_by_the_machines_clock(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is fixed is the time that the data is looked at from, as in the demo; not when somebody sends."""
    then = datetime(2017, 9, 30, tzinfo=UTC)
    monkeypatch.setenv("ONEFOLD_NOW", then.isoformat())
    settings = installation.settings.model_copy(update={"now": then})
    with TestClient(create_app(settings, PlatformSettings())) as opened:
        for moment, status in ((datetime.now(UTC), 202), (then, 401)):
            at = str(int(moment.timestamp()))
            given = f"t={at},v1={digest(f'{at}.'.encode() + EVENT).hexdigest()}"
            answer = opened.post("/v1/webhooks/pay", content=EVENT, headers={"Stripe-Signature": given})
            assert answer.status_code == status, answer.text


def test_a_time_cannot_be_swapped() -> None:
    at = str(int(NOW.timestamp()))
    mac = digest(f"{int(at) - 9_999}.".encode() + EVENT).hexdigest()
    for given in (f"t={at},v1={mac}", f"t={int(at) - 9_999},t={at},v1={mac}", f"t=-1,v1={mac}", f"t=,v1={mac}",
                  f"t=\u0661,v1={mac}", "t", ",,,", f"t={at}", f"t={at},v1=", "v1=" + "x" * 5_000):  # fmt: skip
        assert not signed(given, EVENT, STRIPE, [SECRET.encode()], NOW), given


def test_an_empty_secret_signs_nothing() -> None:
    rule = Signature(header="X-Signature", secret="${S}")
    assert not signed(digest(EVENT, "").hexdigest(), EVENT, rule, [b""], NOW)


@pytest.mark.parametrize(("signature", "said"), [
    ({"header": "X-Signature", "secret": SECRET}, "expected its name"),
    ({"header": "X-Signature"}, "signature.secret"),
    ({"header": "X Signature", "secret": "${S}"}, "signature.header"),
    ({"header": "X-Signature", "secret": "${S}", "style": "md5"}, "signature.style"),
    ({"header": "X-Signature", "secret": []}, "signature.secret"),
    (None, "signature"),
])  # fmt: skip
def test_a_contract_names_its_secret_and_never_holds_it(signature: Any, said: str) -> None:
    with pytest.raises(BadContract, match=said) as error:
        text = contract("hook", signature) if signature else contract("hook", {}, options={})
        parse(text, "hook.yaml")
    assert SECRET not in str(error.value)
    assert "signature" in json.dumps(str(error.value))
