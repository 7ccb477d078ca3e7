"""Files that no contract reads are told by folder and kind, never by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from onefold_storage.errors import Unavailable
from onefold_storage.objects import Objects
from onefold_storage.settings import StorageSettings
from onefold_storage.unmanaged import told_of, unmanaged


def test_what_no_contract_reads_is_told(tmp_path: Path, make_contract: Callable[..., Any]) -> None:
    inbox = tmp_path / "inbox"
    for name in ("crm/a.csv", "crm/b.csv.gz", "till/x.json", "till/deep/y.json", "readme"):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text("1234")
    workspace = tmp_path / "workspace"
    settings = StorageSettings(home=tmp_path / "home", landing_url=f"file://{inbox}/", workspace=workspace)
    everything = {(u.folder, u.kind, u.objects, u.bytes) for u in unmanaged(settings, [])}
    assert everything == {
        ("crm", "csv", 2, 8),
        ("till", "json", 1, 4),
        ("till/deep", "json", 1, 4),
        (".", "no extension", 1, 4),
    }
    crm = make_contract(location=str(inbox / "crm/*.csv*"))
    till = make_contract(location="../inbox/till/**/*.json")
    left = unmanaged(settings, [crm, till])
    assert [(u.folder, u.kind) for u in left] == [(".", "no extension")]
    assert left[0].newest is not None
    assert unmanaged(StorageSettings(home=tmp_path), [crm]) == []
    with pytest.raises(Unavailable, match="nowhere: is not there; create it, or correct ONEFOLD_LANDING_URL"):
        unmanaged(StorageSettings(home=tmp_path, landing_url=str(tmp_path / "nowhere")), [])


def test_a_bucket_is_looked_at_like_a_folder(
    tmp_path: Path, make_contract: Callable[..., Any], bucket: dict[str, Any]
) -> None:
    root = bucket["lake_url"] + "/inbox"
    settings = StorageSettings(home=tmp_path, **bucket | {"landing_url": root})
    assert unmanaged(settings, []) == [], "a prefix without objects may stand"
    drop = Objects(root, settings.options_for(root))
    for name in ("crm/2018/a.csv", "crm/2018/b.csv.gz", "till/x.json", "crmx/z.csv"):
        drop.put(name, b"1234")
    assert {(u.folder, u.kind, u.objects, u.bytes) for u in unmanaged(settings, [])} == {
        ("crm/2018", "csv", 2, 8),
        ("till", "json", 1, 4),
        ("crmx", "csv", 1, 4),
    }
    crm = make_contract(location=f"{root}/crm/**/*.csv*")
    till = make_contract(location=f"{root}/${{TILL}}/*.json")  # a name of the environment: may be anything
    left = unmanaged(settings, [crm, till])
    assert [(u.folder, u.kind) for u in left] == [("crmx", "csv")]
    assert left[0].newest is not None
    gone = settings.model_copy(update={"landing_url": "s3://no-such-bucket/inbox"})
    found, problem = told_of(gone, [])
    assert found == []
    assert "no-such-bucket" in str(problem)


def test_contracts_are_matched_once_and_not_for_each_file(
    tmp_path: Path, make_contract: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(50):
        (tmp_path / f"{n}.csv").write_text("x")
    asked: list[str] = []
    glob = LocalFileSystem.glob
    monkeypatch.setattr(
        LocalFileSystem, "glob", lambda s, path, **more: asked.append(path) or glob(s, path, **more)
    )
    settings = StorageSettings(home=tmp_path / "home", landing_url=str(tmp_path))
    assert unmanaged(settings, [make_contract(location=str(tmp_path / "*.csv"))]) == []
    assert len(asked) == 1
