"""The daily forecast as a flow: a sample kept, an artifact written, an event when a threshold is crossed and after."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from onefold_flows.deployments import FLOWS
from onefold_flows.server import PrefectServer
from onefold_flows.settings import FlowsSettings
from onefold_storage.capacity_samples import STORAGE, history
from onefold_storage.installation import Installation
from onefold_storage.packages import Package
from onefold_storage.settings import StorageSettings

pytestmark = [pytest.mark.needs_prefect, pytest.mark.slow]
NOW = datetime(2018, 3, 1, 4, tzinfo=UTC)


@pytest.fixture
def home(prefect_server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path))
    monkeypatch.setenv("ONEFOLD_NOW", NOW.isoformat())
    yield tmp_path


def events(name: str) -> list[dict[str, Any]]:
    """Events of that name that the server has, the newest first; those of this process arrive within a moment."""
    import httpx
    from prefect.settings import PREFECT_API_URL

    url = f"{PREFECT_API_URL.value()}/events/filter"
    asked = {"filter": {"event": {"name": [name]}}, "limit": 50}
    found: list[dict[str, Any]] = httpx.post(url, json=asked, timeout=30).json()["events"]
    return found


def wait_for_events(name: str, count: int) -> list[dict[str, Any]]:
    end = time.monotonic() + 60
    while len(found := events(name)) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} {name}"
        time.sleep(0.2)
    return found


def test_a_sample_an_artifact_and_an_event_on_each_crossing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from onefold_flows.forecast import CROSSED, RECOVERED, forecast

    crossed, recovered = len(events(CROSSED)), len(events(RECOVERED))
    monkeypatch.setenv("ONEFOLD_STORAGE_WARNING_USED", "1")
    monkeypatch.setenv("ONEFOLD_STORAGE_CRITICAL_USED", "1")
    calm = forecast()
    assert (calm["level"], calm["event"], calm["state"]) == ("ok", None, "unknown")
    monkeypatch.setenv("ONEFOLD_STORAGE_WARNING_USED", "0.000001")
    assert [(f["level"], f["event"]) for f in (forecast(), forecast())] == [("warning", CROSSED), ("warning", None)]
    monkeypatch.setenv("ONEFOLD_STORAGE_CRITICAL_USED", "0.000001")
    worse = forecast()
    assert (worse["level"], worse["event"]) == ("critical", CROSSED)
    for name in ("WARNING", "CRITICAL"):
        monkeypatch.setenv(f"ONEFOLD_STORAGE_{name}_USED", "1")
    assert forecast()["event"] == RECOVERED

    newest = wait_for_events(CROSSED, crossed + 2)[0]
    assert newest["resource"]["prefect.resource.id"] == "onefold.storage"
    assert newest["payload"]["level"] == "critical"
    assert newest["payload"]["before"] == "warning"
    assert newest["payload"]["alerts"][0]["what"] == "share_used"
    wait_for_events(RECOVERED, recovered + 1)
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["onefold-forecast"]))
        pages = client.read_artifacts(artifact_filter=wanted)
    assert any("of room" in str(page.data) for page in pages)
    assert not any("over ten years" in str(page.data) for page in pages), "what is not known is not far away"
    samples = Installation(StorageSettings()).lake.read("registry/capacity").to_pylist()
    assert sum(s["subject"] == STORAGE for s in samples) == 5


def test_days_to_full_rest_on_what_landed_until_there_are_samples_enough(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onefold_flows.forecast import forecast

    installation = Installation(StorageSettings())
    fill(installation, days=40, rows=1000)
    told = forecast()
    assert (told["basis"], told["state"], told["history_days"]) == ("landed", "sound", 40)
    (source,) = told["sources"]
    assert source["rows_per_day"] == pytest.approx(1000)
    assert source["share"] == 1
    per_day = told["bytes_per_day"]["expected"]
    assert told["days_to_full"]["expected"] in (None, pytest.approx(told["room_bytes"] / per_day, rel=0.05))
    for day in range(1, 17):
        monkeypatch.setenv("ONEFOLD_NOW", (NOW + timedelta(days=day)).isoformat())
        last = forecast() if day in (1, 16) else sample()
    assert last["basis"] == "samples"
    kept = history(installation.lake, STORAGE)
    assert kept is not None
    assert len(kept.daily) == 15


def sample() -> Any:
    from onefold_storage.capacity_samples import record
    from onefold_storage.outlook import outlook

    installation = Installation(StorageSettings())
    found = outlook(installation)
    record(installation.lake, found.at, found.capacity, found.growth.tables)
    return None


def fill(installation: Installation, days: int, rows: int) -> None:
    """A bronze table, and the ledger's packages of so many days until yesterday."""
    import pyarrow as pa

    from onefold_storage.shapes import TableShape

    table = pa.table({"id": pa.array(range(days * rows), pa.int64())})
    with installation.lake.lock("bronze/shop"):
        shape = TableShape(table.schema)
        parts = installation.lake.parts("bronze/shop", table, shape=shape)
        installation.lake.commit("bronze/shop", parts, shape=shape)
    for n in range(days):
        at = NOW - timedelta(days=days - n)
        installation.ledger.packages.record(
            Package("shop", n + 1, f"c{n}", f"{n}.csv", rows, rows, 0, 0, 0, at, at)
        )


def test_it_is_deployed_and_scheduled_daily() -> None:
    assert FLOWS["forecast"] == "onefold_flows.forecast"
    assert FlowsSettings().schedules["forecast"].endswith("* * *")
