"""An installation that takes tracking events, and payloads as SDKs send them; run by path."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from fastapi.testclient import TestClient

from onefold.api.app import create_app
from onefold.settings import PlatformSettings
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Spool
from onefold_workers.drafting.tracking_contract import draft_tracking

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
PAGE = "https://shop.example.org"


def contract(source: str, **rules: Any) -> str:
    """The drafted contract, with other rules; `options` replace the drafted ones."""
    document = yaml.safe_load(draft_tracking(source))
    document["customProperties"][0]["value"].update({"options": {}, **rules})
    return yaml.safe_dump(document)


def with_everything(source: str) -> str:
    """A contract with what the draft shows as remarks: a marketing consent out of identify's traits, and aliases."""
    document = yaml.safe_load(contract(source))
    document["schema"][0]["properties"].append({"name": "traits.marketing_consent", "logicalType": "string"})
    fields = {
        "subject_kind": {"constant": "record"}, "data_use": {"constant": "marketing"},
        "channel": {"constant": "email"}, "state": "traits.marketing_consent",
    }  # fmt: skip
    wish = {
        "table": "consents", "key": ["message_id", "traits.marketing_consent"], "effective_at": "at", "fields": fields,
    }  # fmt: skip
    ends = {
        "from_key": {"column": "previous_id", "prefix": f"{source}:"},
        "to_key": {"column": "user_id", "prefix": f"{source}:"}, "kind": {"constant": "alias"},
    }  # fmt: skip
    alias = {"table": "relations", "key": ["alias_id"], "effective_at": "at", "fields": ends}
    document["customProperties"][0]["value"]["maps"] += [wish, alias]
    return yaml.safe_dump(document)


def installed(folder: Path, **contracts: str) -> Installation:
    """An installation whose workspace has these contracts."""
    settings = StorageSettings(home=folder)
    workspace = settings.workspace_folder
    (workspace / "contracts").mkdir(parents=True, exist_ok=True)
    (workspace / "onefold.yaml").write_text("name: test\n")
    for source, text in contracts.items():
        (workspace / "contracts" / f"{source}.yaml").write_text(text)
    return Installation(settings)


@contextmanager
def serving(installation: Installation, **settings: Any) -> Iterator[TestClient]:
    """The API over it, without a key."""
    with TestClient(create_app(installation.settings, PlatformSettings(**settings))) as client:
        yield client


def landed(installation: Installation, source: str = "web") -> pl.DataFrame:
    """What has landed from a source, when nothing waits in the log any more."""
    spool = Spool(installation.settings.spool_folder)
    for _ in range(3_000):
        if not spool.depth().total:
            break
        time.sleep(0.02)
    else:
        raise AssertionError("the log is not drained")
    if not installation.lake.exists(f"bronze/{source}"):
        return pl.DataFrame()
    return installation.lake.scan(f"bronze/{source}").sort("_package_id", "_row_id").collect()


def counts(installation: Installation, source: str = "web") -> dict[str, int]:
    """What a source has sent and what became of it."""
    landed(installation, source)
    totals = installation.ledger.packages.totals()[source]
    found = {name: getattr(totals, name) for name in ("sent", "landed", "failed", "repeated", "suppressed")}
    assert found["sent"] == found["landed"] + found["failed"] + found["repeated"] + found["suppressed"]
    return found


def basic(token: str) -> dict[str, str]:
    """The header in which server SDKs send a write key."""
    return {"Authorization": "Basic " + base64.b64encode(f"{token}:".encode()).decode()}


def from_browser(kind: str, token: str | None = None, **fields: Any) -> dict[str, Any]:
    """An event as analytics.js (analytics-next) sends it, singly, as text/plain."""
    event: dict[str, Any] = {
        "timestamp": "2026-01-05T10:00:00.000Z",
        "integrations": {},
        "type": kind,
        "anonymousId": "5a1a8c4e-0a5c-4c6a-9f7e-4a3b1d1f0c01",
        "properties": {},
        "context": {
            "page": {
                "path": "/coffee", "referrer": "", "search": "?utm_source=mail", "title": "Coffee",
                "url": f"{PAGE}/coffee?utm_source=mail",
            },
            "userAgent": CHROME,
            "userAgentData": {"brands": [{"brand": "Chromium", "version": "130"}], "mobile": False, "platform": "Linux"},
            "locale": "en-US",
            "library": {"name": "analytics.js", "version": "next-1.76.0"},
            "timezone": "Europe/Berlin",
            "campaign": {"source": "mail"},
        },
        "messageId": f"ajs-next-1767607200000-{uuid.uuid4()}",
        "sentAt": "2026-01-05T10:00:00.250Z",
        "_metadata": {"bundled": ["Segment.io"], "unbundled": [], "bundledIds": []},
    }  # fmt: skip
    return {**event, **({"writeKey": token} if token else {}), **fields}


def from_server(kind: str, **fields: Any) -> dict[str, Any]:
    """An event as analytics-python puts it into a batch."""
    return {
        "integrations": {},
        "anonymousId": None,
        "timestamp": "2026-01-05T10:00:00.123+00:00",
        "context": {"library": {"name": "analytics-python", "version": "2.3.5"}},
        "type": kind,
        "userId": "u-1",
        "messageId": str(uuid.uuid4()),
        **fields,
    }


def batch(token: str, *events: Any) -> dict[str, Any]:
    """The body of analytics-python's request."""
    return {"batch": list(events), "sentAt": "2026-01-05T10:00:01.000000+00:00", "writeKey": token}
