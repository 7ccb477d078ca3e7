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


@pytest.mark.parametrize(
    "given", ["s3://lake", "s3://lake/", "s3://lake/a b/c:d", "lake", "./s3:/x", "~/lake", "/a:b", ""]
)
def test_a_place(given: str) -> None:
    assert StorageSettings(lake_url=given, backup_url=given, landing_url=given).lake_url == given


@pytest.mark.parametrize("name", ["lake_url", "backup_url", "landing_url"])
@pytest.mark.parametrize(
    "given",
    [
        "s3:/onefold/lake",
        "s3:onefold",
        "s3://",
        "s3:///lake",
        "S3://lake",
        "gs://x/lake",
        "file://x",
        "file:///",
        "file:/x",
    ],
)
def test_what_is_no_place(name: str, given: str) -> None:
    with pytest.raises(ValidationError) as told:
        StorageSettings(**{name: given})  # type: ignore[arg-type]
    (error,) = told.value.errors()
    assert (error["loc"], error["msg"]) == (
        (name,),
        f"expected s3://BUCKET[/PREFIX], a path or file:///PATH, found {given}",
    )


@pytest.mark.parametrize("given", ["http://minio:9000", "https://s3.example.com/", "http://[::1]:9000", ""])
def test_an_s3_server(given: str) -> None:
    assert StorageSettings(s3_endpoint=given, backup_s3_endpoint=given).s3_endpoint == given


@pytest.mark.parametrize("name", ["s3_endpoint", "backup_s3_endpoint"])
@pytest.mark.parametrize(
    "given",
    ["127.77.2.1:9000", "minio:9000", "minio", "http:/minio", "http://", "http://m:port", "http://[::1", "ftp://minio",
     "http://minio/lake", "http://minio?x", "http://min io"],
)  # fmt: skip
def test_what_is_no_s3_server(name: str, given: str) -> None:
    with pytest.raises(ValidationError) as told:
        StorageSettings(**{name: given})  # type: ignore[arg-type]
    (error,) = told.value.errors()
    assert (error["loc"], error["msg"]) == ((name,), f"expected http(s)://HOST:PORT of an S3 server, found {given}")


def test_a_wrong_setting_shows_no_password() -> None:
    for name, given in (("s3_endpoint", "ftp://me:hush@minio"), ("lake_url", "s3://me:hush@lake/x")):
        with pytest.raises(ValidationError) as told:
            StorageSettings(**{name: given})  # type: ignore[arg-type]
        assert "hush" not in str(told.value)
