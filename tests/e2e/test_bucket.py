"""The whole walk on a real MinIO: the same tables as in a folder, nothing beside the bucket, and an API that serves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from onefold_storage.lake import Lake
from onefold_storage.settings import StorageSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_prefect,
    pytest.mark.needs_dask,
    pytest.mark.needs_minio,
    pytest.mark.timeout(600),
]

RUN_OF_ITS_OWN = {"_landed_at", "landed_at", "registered_at", "computed_at", "run_id"}
"""Columns that tell when or by which run a row was written, not what is true."""


@pytest.fixture(scope="module")
def homes(
    stranger: ModuleType, new_home: Callable[..., Any], minio: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Any, Any]]:
    """A home in a folder, as far as golden records, and one on a bucket that went the whole walk, and what it told.

    Both have the same data, clock and secret.
    """
    files = stranger.build(tmp_path_factory.mktemp("stranger"), members=120, customers=160)
    first = new_home(now="1998-07-01T00:00:00Z")
    for path in (files.orders, files.members):
        assert first.run("source", "draft", str(path), "--out", str(first.contract(path.stem))).returncode == 0
    (first.path / "secret").write_bytes(os.urandom(32).hex().encode())
    (first.path / "secret").chmod(0o600)
    folder = tmp_path_factory.mktemp("bucket") / "home"
    shutil.copytree(first.path, folder)
    settings = {**minio.settings("walk"), **minio.root(), "home": folder}
    on_bucket = {f"ONEFOLD_{k.upper()}": str(v) for k, v in settings.items()}
    second = type(first)(folder, {**first.environment, **on_bucket})
    assert second.told("storage", "init")["changed"]
    for stage in ("land", "integrate"):
        first.told(stage)
    return {"file": (first, None), "s3": (second, second.told("refresh"))}


def _tables(home: Any) -> dict[str, pl.DataFrame]:
    given = {k.removeprefix("ONEFOLD_").lower(): v for k, v in home.environment.items() if k.startswith("ONEFOLD_")}
    lake = Lake.open(StorageSettings.model_validate(given))
    found = {}
    for name in lake.names():
        frame = lake.scan(name).collect()
        found[name] = frame.select(sorted(set(frame.columns) - RUN_OF_ITS_OWN))
    return found


def test_laptop_and_bucket_agree(homes: dict[str, tuple[Any, Any]]) -> None:
    ours, theirs = _tables(homes["s3"][0]), _tables(homes["file"][0])
    assert ours.keys() >= theirs.keys()
    assert theirs.keys() >= {"bronze/orders", "silver/interactions", "identity/links", "gold/customers"}
    for name, frame in ((n, f) for n, f in ours.items() if n in theirs):
        key = [c for c in ("record_key", "golden_id", "model", "_package_id", "_row_id") if c in frame.columns]
        by = [*key, *(c for c in frame.columns if c not in key and not frame.schema[c].is_nested())]
        # Keys, texts and decimals are the same; only floats have a tolerance.
        assert_frame_equal(frame.sort(by), theirs[name].sort(by), check_exact=False, rel_tol=1e-9)


def test_nothing_of_the_lake_lies_in_the_home(homes: dict[str, tuple[Any, Any]]) -> None:
    home, _ = homes["s3"]
    assert not (home.path / "lake").exists()
    assert not list(home.path.rglob("*.parquet"))


def test_a_second_run_changes_nothing_and_the_api_serves_from_the_bucket(
    homes: dict[str, tuple[Any, Any]], serving: Callable[[Any], AbstractContextManager[Any]]
) -> None:
    home, first = homes["s3"]
    again = home.told("refresh")
    assert again["publish"]["version"] == first["publish"]["version"]
    with serving(home) as api:
        found = api.found("/v1/customers/search", {"external_id": {"scheme": "member_no", "value": "1"}})
    assert found
    log = (home.path / "serve.log").read_text()
    for output in (log, *(p.read_text() for p in Path(home.path).rglob("*.log"))):
        assert "secret-of-walk" not in output
