"""Bots, people who do not want to be tracked, and those who did not agree: counted, and kept as the contract says."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from onefold.api.bots import is_bot
from onefold_storage.contracts import parse
from onefold_storage.errors import BadContract
from onefold_storage.installation import Installation
from onefold_storage.spool import Spool, frames_of
from onefold_workers.drafting.tracking_contract import draft_tracking

made = runpy.run_path(str(Path(__file__).with_name("tracking_home.py")))
from_browser, from_server = made["from_browser"], made["from_server"]
CONSENT = "context.consent.categoryPreferences.Analytics"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Sources of every policy."""
    text = made["contract"]
    soft = {"bots": "without_person", "do_not_track": "without_person"}
    opened = made["installed"](
        tmp_path_factory.mktemp("privacy") / "home",
        strict=text("strict"),
        soft=text("soft", options=soft),
        open=text("open", options={"bots": "keep", "do_not_track": "keep"}),
        asks=text("asks", options={"consent": {"path": CONSENT}}),
        drafted=draft_tracking("drafted"),
    )
    yield opened
    opened.ledger.close()


@pytest.fixture(scope="module")
def client(installation: Installation) -> Iterator[TestClient]:
    with made["serving"](installation) as opened:
        yield opened


@pytest.fixture
def send(installation: Installation, client: TestClient) -> Any:
    """`send(source, event, **headers)`."""

    def sent(source: str, event: dict[str, Any], **headers: str) -> None:
        token = installation.ledger.keys.create(source, [f"ingest:{source}"])[1]
        named = {k.replace("_", "-"): v for k, v in headers.items()} | {"X-API-Key": token}
        answer = client.post("/v1/batch", json={"batch": [event]}, headers=named)
        assert answer.json() == {"success": True}

    return sent


def context(**facts: Any) -> dict[str, Any]:
    """A browser's context with these facts."""
    return {**from_browser("page")["context"], **facts}


def consent(value: Any) -> dict[str, Any]:
    return context(consent={"categoryPreferences": {"Analytics": value, "Advertising": False}})


def test_bots_and_browsers_that_ask_not_to_be_tracked(installation: Installation, send: Any) -> None:
    for source in ("strict", "soft", "open"):
        send(source, from_browser("page", userId="u-1"))
        send(source, from_browser("page", userId="u-1", context=context(userAgent=BOT)))
        send(source, from_browser("page", userId="u-1", context={}), User_Agent=BOT)
        send(source, from_browser("page", userId="u-1"), DNT="1")
        send(source, from_browser("page", userId="u-1"), Sec_GPC="1", DNT="1")
        send(source, from_browser("page", userId="u-1", context=context(doNotTrack="1")))
        send(source, from_browser("identify", userId="u-1", traits={"email": "a@example.org"}), Sec_GPC="1")
        # What does not mean it: a wish that is none, a server's own user agent, a make of telephones.
        send(source, from_browser("page", userId="u-1"), DNT="0", Sec_GPC="0")
        send(source, from_server("track", event="e"), User_Agent="python-requests/2.32")
        send(source, from_browser("page", context=context(userAgent="Mozilla/5.0 (Linux; Android 13; CUBOT X50)")))
    expected = {"strict": (4, 6), "soft": (9, 1), "open": (10, 0)}
    for source, (kept, suppressed) in expected.items():
        counted = made["counts"](installation, source)
        assert (counted["sent"], counted["landed"], counted["suppressed"]) == (10, kept, suppressed), source
    strict, soft, kept_all = (made["landed"](installation, s) for s in expected)
    assert strict["withheld"].null_count() == 4 and kept_all["withheld"].null_count() == 10
    anonymous = soft.filter(soft["withheld"].is_not_null())
    assert sorted(anonymous["withheld"]) == ["bot", "bot", "dnt", "dnt", "gpc"]
    known = {"message_id", "type", "kind", "at", "received_at", "interaction_id", "withheld"}
    told = {c for c in anonymous.columns if not c.startswith("_") and anonymous[c].null_count() < anonymous.height}
    assert told == known  # whose it was, and where, is nowhere


def test_of_what_is_suppressed_nothing_is_written(tmp_path: Path) -> None:
    """Not even to the log, which is looked at here while nothing drains it."""
    opened = made["installed"](tmp_path / "home", strict=made["contract"]("strict"))
    token = opened.ledger.keys.create("strict", ["ingest:strict"])[1]
    Path(opened.settings.lake).write_text("no folder: storage is away")
    with made["serving"](opened) as client:
        secret, seen = from_browser("page", userId="SECRET-1"), from_browser("page", userId="u-2")
        headers = {"X-API-Key": token, "DNT": "1"}
        assert client.post("/v1/batch", json={"batch": [secret, secret]}, headers=headers).status_code == 200
        assert client.post("/v1/batch", json={"batch": [seen]}, headers={"X-API-Key": token}).status_code == 200
        waiting = [f for p in Spool(opened.settings.spool_folder).waiting() for f in frames_of(p)]
        assert [(f.events, f.body.count(b"#suppressed")) for f in waiting] == [(2, 2), (1, 0)]
        assert not any(b"SECRET" in f.body or secret["messageId"].encode() in f.body for f in waiting)
        Path(opened.settings.lake).unlink()
        assert made["counts"](opened, "strict")["suppressed"] == 2
        reader = opened.ledger.keys.create("metrics", ["read:metrics"])[1]
        figures = client.get("/metrics", headers={"X-API-Key": reader}).text
        assert 'onefold_tracking_suppressed_total{reason="dnt"} 2.0' in figures
    opened.ledger.close()


def test_consent_that_is_missing_or_refused(installation: Installation, send: Any) -> None:
    for value in (True, "granted", "yes"):
        send("asks", from_browser("page", context=consent(value)))
    for value in (False, "no", 0, 1.5, {"x": 1}):  # what is not understood is no consent
        send("asks", from_browser("page", context=consent(value)))
    send("asks", from_browser("page", context=consent(None)))
    send("asks", from_browser("page"))
    send("asks", from_browser("identify", userId="u-1", traits={"email": "b@example.org"}))
    counted = made["counts"](installation, "asks")
    assert (counted["landed"], counted["suppressed"]) == (5, 6)
    rows = made["landed"](installation, "asks")
    assert sorted(rows["withheld"].fill_null("-")) == ["-", "-", "-", "no_consent", "no_consent"]
    assert rows.filter(rows["withheld"] == "no_consent")["person_id"].null_count() == 2


def test_the_drafted_contract_keeps_nobody_who_has_not_agreed(installation: Installation, send: Any) -> None:
    send("drafted", from_browser("page", userId="u-1"))
    send("drafted", from_browser("page", userId="u-1", context=consent(True)))
    send("drafted", from_browser("page", userId="u-1", context=consent(False)))
    rows = made["landed"](installation, "drafted")
    assert rows["user_id"].to_list() == [None, "u-1"]
    assert made["counts"](installation, "drafted")["suppressed"] == 1


@pytest.mark.parametrize(("options", "said"), [
    ({"bot": "keep"}, r"tracking knows \w+, bots"),
    ({"bots": "drop"}, "bots"),
    ({"consent": {"path": "consent"}}, "consent.path"),
    ({"consent": {}}, "consent.path"),
    ({"origins": []}, "origins"),
])  # fmt: skip
def test_a_policy_that_is_misspelt_is_no_contract(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadContract, match=said):
        parse(made["contract"]("web", options=options), "web.yaml")


def test_a_source_that_is_tracked_has_no_location_and_appends() -> None:
    for rules, said in (
        ({"location": "a.csv"}, "location"), ({"delivery": "snapshot"}, "appended"), ({"durability": "storage"}, "log"),
    ):  # fmt: skip
        with pytest.raises(BadContract, match=said):
            parse(made["contract"]("web", **rules), "web.yaml")


@pytest.mark.parametrize(("agent", "bot"), [
    (made["CHROME"], False),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile Safari/604.1", False),
    ("Mozilla/5.0 (Linux; Android 13; CUBOT X50) Chrome/120 Mobile", False),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0 Robotics/1", False),
    (BOT, True),
    ("Mozilla/5.0 AppleWebKit/537.36 (compatible; bingbot/2.0)", True),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/130.0.0.0 Safari/537.36", True),
    ("facebookexternalhit/1.1", True),
    ("Mozilla/5.0 (compatible; AhrefsBot/7.0)", True),
    ("curl/8.4.0", True),
    ("Mozilla/5.0 (compatible; Baiduspider/2.0)", True),
    ("", False),
])  # fmt: skip
def test_who_is_a_bot(agent: str, bot: bool) -> None:
    assert is_bot(agent) is bot


def test_an_event_of_a_server_is_judged_by_its_context_alone(installation: Installation, send: Any) -> None:
    before = made["counts"](installation, "strict")["landed"] if installation.lake.exists("bronze/strict") else 0
    send("strict", json.loads(json.dumps(from_server("track", event="relayed"))), User_Agent="Go-http-client/2.0")
    assert made["counts"](installation, "strict")["landed"] == before + 1
