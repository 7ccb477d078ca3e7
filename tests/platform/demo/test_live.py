"""The demo's live sources: the scanners' stream over MQTT and over HTTP, and the loyalty app's REST API."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from onefold.commands.demo import workspace
from onefold.demo import broker, live
from onefold.demo.data import EVENTS, MEMBERS, generate
from onefold.demo.doorplate import named_secret, remember, remembered_port
from onefold.demo.loyalty_server import serving
from onefold.demo.scanners import FIRST, LIVE
from onefold.demo.stream import SOURCE, landed
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.stages.landing import Landed, land_source


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("demo")).folder


@pytest.fixture
def home(tmp_path: Path, written: Path) -> Installation:
    """A home with the demo's workspace and the files that its live sources send."""
    settings = StorageSettings(home=tmp_path)
    (tmp_path / "demo").mkdir()
    for name in (MEMBERS, EVENTS):
        (tmp_path / "demo" / name).symlink_to(written / name)
    workspace(settings, full=False)
    return Installation(settings)


def _land(installation: Installation, source: str) -> Landed:
    settings = installation.settings
    return land_source(settings, installation.workspace.contract(source), settings.workspace_folder)


def _rows(installation: Installation) -> pl.DataFrame:
    return installation.lake.scan(f"bronze/{SOURCE}").collect()


def _eventually(holds: object, seconds: float = 60) -> None:
    assert callable(holds)
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.2)


@contextmanager
def _demo_api(installation: Installation) -> Iterator[str]:
    with live._api(installation) as base:
        yield base


def test_events_are_of_the_demos_year_and_say_that_they_are_generated(written: Path) -> None:
    events = pl.read_ndjson(written / EVENTS)
    at = events["at"].str.to_datetime(time_zone="UTC")
    assert events.height == FIRST + LIVE
    assert events["event_id"].is_unique().all()
    assert events["generated"].all()
    assert at.is_sorted()
    assert at.min() > datetime(2017, 12, 28, tzinfo=UTC)
    assert at.max() < datetime(2018, 1, 1, 5, tzinfo=UTC)
    assert 0.01 < events["card"].is_null().mean() < 0.15  # guests


@pytest.mark.parametrize("transport", [pytest.param("MQTT", marks=pytest.mark.needs_services), "HTTP"])
def test_the_stream_lands_once_goes_on_and_is_not_sent_again(
    tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch, transport: str, request: pytest.FixtureRequest
) -> None:
    if transport == "HTTP":
        monkeypatch.setattr(broker, "programs", lambda: None)
    home: Installation = request.getfixturevalue("home")
    monkeypatch.setenv("ONEFOLD_HOME", str(home.settings.root))
    with live.live(home) as sources:
        assert sources.transport == transport
        assert sources.send_first() == FIRST
        if transport == "MQTT":
            assert sum(p.landed for p in _land(home, SOURCE).packages) == FIRST
        assert len(landed(home)) == _rows(home).height == FIRST
        version = home.lake.version(f"bronze/{SOURCE}")
        assert sources.send_first() == 0
        assert _land(home, SOURCE).packages == ()
        assert home.lake.version(f"bronze/{SOURCE}") == version
        with _demo_api(home) as base, sources.going_on(base) as flowing:
            _eventually(lambda: flowing.sent >= 4)
            if transport == "MQTT":
                _eventually(lambda: len(landed(home)) >= FIRST + 4)
    rows = _rows(home)
    assert FIRST + 4 <= rows.height <= FIRST + LIVE
    assert rows["event_id"].is_unique().all()
    with live.live(home) as sources:
        assert sources.send_first() == 0
    if transport == "MQTT":
        away = _land(home, SOURCE)
        assert away.errors == ()
        assert "store_scanners is away: 127.0.0.1" in str(away.away)


def test_the_loyalty_app_lands_all_members_then_what_changed(home: Installation) -> None:
    folder = home.settings.root / "demo"
    members = [json.loads(line) for line in (folder / MEMBERS).read_text().splitlines()]
    with serving(folder / MEMBERS, folder / "loyalty_app"):
        first = _land(home, "loyalty_app")
        assert first.errors == ()
        assert [p.landed for p in first.packages] == [len(members)]
        version = home.lake.version("bronze/loyalty_app")
        again = _land(home, "loyalty_app")
        assert sum(p.landed for p in again.packages) == 0
        assert home.lake.version("bronze/loyalty_app") == version
    changed = members[3] | {"points": 12, "updated_at": "2017-12-31T23:59:59Z"}
    (folder / MEMBERS).unlink()
    lines = [json.dumps(m) for m in [*members[:3], *members[4:], changed]]
    (folder / MEMBERS).write_text("\n".join(lines) + "\n")
    with serving(folder / MEMBERS, folder / "loyalty_app"):
        assert sum(p.landed for p in _land(home, "loyalty_app").packages) == 1
    away = _land(home, "loyalty_app")
    assert (away.errors, away.packages) == ((), ())
    assert "loyalty_app is away" in str(away.away)


def test_the_loyalty_app_tells_nothing_without_a_token(written: Path, tmp_path: Path) -> None:
    with serving(written / MEMBERS, tmp_path) as base:
        for path, data in (("/v2/members", None), ("/oauth/token", b"client_id=onefold&client_secret=wrong")):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(base + path, data, timeout=20)
            assert refused.value.code == 401
        secret = (tmp_path / "client_secret").read_text()
        form = f"client_id=onefold&client_secret={secret}".encode()
        token = json.load(urllib.request.urlopen(f"{base}/oauth/token", form, timeout=20))["access_token"]
        for query, status in (("?limit=2", 200), ("?limit=x", 400)):
            asked = urllib.request.Request(
                f"{base}/v2/members{query}", headers={"Authorization": f"Bearer {token}"}
            )
            if status == 200:
                page = json.load(urllib.request.urlopen(asked, timeout=20))
                assert (len(page["members"]), page["paging"]) == (2, {"next": "2"})
                continue
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(asked, timeout=20)
            assert refused.value.code == status


def test_secrets_are_for_their_owner_and_the_port_stays(tmp_path: Path) -> None:
    secret = named_secret(tmp_path / "x" / "secret")
    assert named_secret(tmp_path / "x" / "secret") == secret
    assert (tmp_path / "x" / "secret").stat().st_mode & 0o777 == 0o600
    port = remembered_port(tmp_path)
    remember(tmp_path, port)
    assert remembered_port(tmp_path) == port
    assert os.environ.get("PREFECT_API_KEY") is None
