"""`onefold erase` from the command line: what is asked, what is told, and that it publishes again after a cut."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from onefold.cli import app
from onefold.commands import erase as command
from onefold_storage import erasure
from onefold_storage.errors import BadInput, Conflict, NotFound
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings

SMALL = Path(__file__).parents[1] / "storage/small_lake.py"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The small lake of three people; publishing is only counted."""
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")
    made = Installation(StorageSettings())
    runpy.run_path(str(SMALL))["fill"](made)
    made.ledger.close()
    monkeypatch.setattr(command, "_published", lambda: "000001-again")
    return Installation(StorageSettings())


def _erase(*words: str) -> Result:
    return CliRunner().invoke(app, ["erase", *words], catch_exceptions=False)


def test_one_pass_one_receipt_each_and_a_merged_id_is_its_survivor(home: Installation) -> None:
    with pytest.raises(BadInput, match="give --yes"):
        _erase("g-ann")
    with pytest.raises(NotFound, match="g-nobody"):
        _erase("g-cyril", "g-nobody", "--yes")
    told = json.loads(_erase("g-ann", "g-bob", "g-old", "--yes", "--by", "officer", "--json").stdout)
    assert [r["golden_id"] for r in told["receipts"]] == ["g-ann", "g-bob"]
    assert all(r["complete"] and r["together"] == 2 for r in told["receipts"])
    assert told["publication"] == "000001-again"
    shown = CliRunner().invoke(app, ["receipts"], catch_exceptions=False).stdout
    assert shown.count("2 customers went in one pass") == 2
    assert "nothing was known of them any more" in _erase("g-ann", "--yes").stdout


def test_a_no_at_the_terminal_erases_nothing_and_says_so(
    home: Installation, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    before = home.lake.rows("silver/contact_records")
    with pytest.raises(typer.Exit) as ended:
        command.erase(["g-ann"])
    assert ended.value.exit_code == 1
    assert capfd.readouterr().err.splitlines()[-1] == "nothing was erased"
    assert home.lake.rows("silver/contact_records") == before


def test_after_a_cut_status_says_so_and_the_next_one_ends_it_and_publishes(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object, **__: object) -> None:
        raise Conflict("somebody has been landing")

    with monkeypatch.context() as patch, pytest.raises(Conflict):
        patch.setattr(erasure, "sweep", cut)
        _erase("g-ann", "--yes", "--json")
    shown = CliRunner().invoke(app, ["status"], catch_exceptions=False).stdout
    assert "none any more: run onefold publish" in shown
    assert "run onefold erase g-ann again" in shown
    ended = _erase("g-ann", "--yes").stdout
    assert "goes on with an erasure that had not ended" in ended
    assert "publication 000001-again is served without them" in ended
    assert "erasure not ended" not in CliRunner().invoke(app, ["status"], catch_exceptions=False).stdout


def test_what_is_left_is_told_with_an_exit_code(home: Installation) -> None:
    home.lake.objects.put("packages/stray.json", b"annabel@example.com")
    with pytest.raises(Conflict, match="something is left of g-ann"):
        _erase("g-ann", "--yes", "--no-publish", "--json")
    (receipt,) = json.loads(CliRunner().invoke(app, ["receipts", "--json"]).stdout)["receipts"]
    assert (receipt["left"], receipt["complete"]) == (["packages/stray.json"], False)


def test_where_nothing_was_ever_published_nothing_is_now(home: Installation) -> None:
    home.lake.objects.delete_below("publications")
    home.ledger.publications.mark(home.ledger.publications.list()[0].version, "refused")
    told: dict[str, Any] = json.loads(_erase("g-ann", "--yes", "--json").stdout)
    assert told["publication"] is None
