"""Files that no contract reads are told by folder and kind, never by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from onefold_storage.settings import StorageSettings
from onefold_storage.unmanaged import unmanaged


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
    assert unmanaged(StorageSettings(home=tmp_path, landing_url=str(tmp_path / "nowhere")), []) == []
