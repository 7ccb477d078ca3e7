"""Settings of the storage floor: defaults below the home, the environment, and what secrets show."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from onefold_storage.clock import FixedClock, SystemClock
from onefold_storage.lake import Lake
from onefold_storage.settings import StorageSettings


def test_everything_has_its_place_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEFOLD_HOME")
    monkeypatch.chdir(tmp_path)
    settings = StorageSettings()
    assert settings.root == tmp_path / ".onefold"
    assert settings.lake == str(tmp_path / ".onefold/lake")
    assert settings.ledger == f"sqlite:///{tmp_path / '.onefold/ledger.db'}"
    assert settings.workspace_folder == tmp_path / ".onefold/workspace"
    assert settings.storage_options == {}
    assert isinstance(settings.clock(), SystemClock)


def test_the_environment_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "h"))
    monkeypatch.setenv("ONEFOLD_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.setenv("ONEFOLD_LEDGER_URL", "postgresql+psycopg://db/onefold")
    monkeypatch.setenv("ONEFOLD_NOW", "2018-01-01T00:00:00Z")
    monkeypatch.setenv("ONEFOLD_SOMETHING_ELSE", "1")
    settings = StorageSettings()
    assert settings.lake == str(tmp_path / "h/lake")
    assert settings.workspace_folder == tmp_path / "w"
    assert settings.ledger == "postgresql+psycopg://db/onefold"
    assert settings.clock() == FixedClock(datetime(2018, 1, 1, tzinfo=UTC))
    monkeypatch.setenv("ONEFOLD_NOW", "soon")
    with pytest.raises(ValidationError, match="now"):
        StorageSettings()


@pytest.mark.parametrize("given", ["file:///data/lake/", "/data/lake", "/data/lake//"])
def test_a_lake_on_disk(given: str) -> None:
    assert StorageSettings(lake_url=given).lake == "/data/lake"


def test_a_relative_lake_does_not_move_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Lake.open(StorageSettings(home=tmp_path / "h", lake_url="data/lake"))
    lake.objects.put("work/a.txt", b"a")
    monkeypatch.chdir("/")
    assert lake.objects.keys("work") == ["work/a.txt"]
    assert lake.objects.get("work/a.txt") == b"a"


def test_a_lake_in_a_bucket() -> None:
    settings = StorageSettings(
        lake_url="s3://lake/onefold/",
        s3_endpoint="http://127.0.0.1:9000",
        s3_access_key="app",
        s3_secret_key="hush",  # type: ignore[arg-type]
    )
    assert settings.lake == "s3://lake/onefold"
    assert settings.storage_options == {
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "app",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "conditional_put": "etag",
        "timeout": "30.0s",
        "connect_timeout": "5.0s",
        "max_retries": "50",
        "retry_timeout": "120.0s",
        "backoff_config.init_backoff": "50ms",
        "backoff_config.max_backoff": "5s",
    }
    assert "hush" not in repr(settings)
    secure = StorageSettings(lake_url="s3://lake", s3_endpoint="https://s3.example.com")
    assert "AWS_ALLOW_HTTP" not in secure.storage_options
