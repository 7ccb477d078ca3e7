"""`onefold status`: a line a source, however many load packages it sent; and what `storage status` says of growth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from onefold import cli
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.stages.landing import land_source


def _contract(source: str) -> str:
    columns = [{"name": n, "logicalType": "string"} for n in ("id", "city")]
    rules = {"location": f"../inbox/{source}/*.csv", "lawful_basis": "contract", "data_use": ["service"]}
    return yaml.safe_dump(
        {
            "apiVersion": "v3.1.0", "kind": "DataContract", "id": source, "version": "1.0.0", "status": "active",
            "schema": [{"name": source, "properties": columns}],
            "customProperties": [{"property": "onefold", "value": rules}],
        }
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sources have landed: one brought three files, of the other's two files one is held."""
    home, inbox = tmp_path / "home", tmp_path / "home" / "inbox"
    monkeypatch.setenv("ONEFOLD_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "160")
    assert CliRunner().invoke(cli.app, ["init"]).exit_code == 0
    files = {
        "till": {"a": "id,city\n1,Here\n", "b": "id,city\n2,Here\n3,There\n4,x,y\n", "c": "id,city\n5,There\n"},
        "club": {"a": "id,city\n1,Here\n", "b": ""},
    }
    for source, held in files.items():
        (inbox / source).mkdir(parents=True)
        for name, text in held.items():
            (inbox / source / f"{name}.csv").write_text(text)
        (home / f"workspace/contracts/{source}.yaml").write_text(_contract(source))
        settings = StorageSettings(home=home)
        land_source(settings, Installation(settings).workspace.contract(source), home / "workspace")
    return home


def test_a_line_a_source_sorted(home: Path) -> None:
    lines = CliRunner().invoke(cli.app, ["status"]).stdout.splitlines()
    club, till = lines[lines.index("Landed") + 1 : lines.index("Tables")]
    assert club.split()[:5] == ["club", "1", "sent:", "1", "landed;"]
    assert "the file is empty" in club
    assert till.split() == ["till", "5", "sent:", "4", "landed,", "1", "failed"]


def test_machines_get_an_object_a_source(home: Path) -> None:
    club, till = json.loads(CliRunner().invoke(cli.app, ["status", "--json"]).stdout)["packages"]
    assert "the file is empty" in club.pop("message")
    assert club == {
        "source": "club", "packages": 1, "held": 1, "status": "held",
        "sent": 1, "landed": 1, "failed": 0, "repeated": 0, "suppressed": 0,
    }  # fmt: skip
    assert till == {
        "source": "till", "packages": 3, "held": 0, "status": "committed", "message": None,
        "sent": 5, "landed": 4, "failed": 1, "repeated": 0, "suppressed": 0,
    }  # fmt: skip


def test_growth_of_a_first_day_is_not_known_yet(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = CliRunner().invoke(cli.app, ["storage", "status"]).stdout
    assert "Growth per day not known yet: it needs two days of landing" in told
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "empty"))
    assert CliRunner().invoke(cli.app, ["init"]).exit_code == 0
    assert "Growth per day nothing landed yet" in CliRunner().invoke(cli.app, ["storage", "status"]).stdout
