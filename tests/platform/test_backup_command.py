"""`onefold backup` and `onefold restore` from the command line, in the smallest size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from onefold.cli import app
from onefold_storage.errors import BadInput, Conflict, NotFound
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_storage.wishes import Wish


def _run(*words: str) -> Any:
    return json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).stdout)


def _home(monkeypatch: pytest.MonkeyPatch, path: Path) -> Installation:
    monkeypatch.setenv("ONEFOLD_HOME", str(path))
    return Installation(StorageSettings())


def test_backed_up_listed_restored_and_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _home(monkeypatch, tmp_path / "one")
    wish = Wish("email", made.keyed_hash.of("email", "a@example.com"), "any", "any", "REVOKED")
    made.ledger.wishes.add([wish], "test")
    made.ledger.close()
    place = str(tmp_path / "backups")
    with pytest.raises(BadInput, match="where"):
        CliRunner().invoke(app, ["backup"], catch_exceptions=False)
    with pytest.raises(NotFound, match="there are none"):
        CliRunner().invoke(app, ["restore", place], catch_exceptions=False)
    first = _run("backup", place)
    monkeypatch.setenv("ONEFOLD_BACKUP_URL", place)
    second = _run("backup", "--keep", "1")
    assert second["pruned"] == [first["id"]]
    assert _run("backup", "--list") == {"backups": [second["id"]]}
    shown = CliRunner().invoke(app, ["backup"], catch_exceptions=False).stdout
    assert "guard its place" in shown
    other = _home(monkeypatch, tmp_path / "two")
    done = _run("restore", "--backup", second["id"])
    assert (done["id"], done["newer"]["wishes"]) == (second["id"], 0)
    assert [w.subject_hash for w in other.ledger.wishes.listed()] == [wish.subject_hash]
    other.ledger.close()
    with pytest.raises(Conflict, match="not empty"):
        CliRunner().invoke(app, ["restore"], catch_exceptions=False)
    for path in (tmp_path / "two").glob("ledger.db*"):
        path.unlink()
    with pytest.raises(Conflict, match="--ledger-from-lake"):
        CliRunner().invoke(app, ["key", "list"], catch_exceptions=False)
    with pytest.raises(BadInput, match="goes alone"):
        CliRunner().invoke(app, ["restore", place, "--ledger-from-lake"], catch_exceptions=False)
    assert _run("restore", "--ledger-from-lake")["wishes"] == 1
    told = CliRunner().invoke(app, ["restore", "--force"], catch_exceptions=False).stdout
    assert "no wish and no erasure" in told


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _home(monkeypatch, tmp_path / "one")
    wish = Wish("email", made.keyed_hash.of("email", "a@example.com"), "any", "any", "REVOKED")
    made.ledger.wishes.add([wish], "test")
    made.law.copy()
    made.ledger.close()
    (tmp_path / "file").touch()
    for place in ("/proc/nope", f"{tmp_path}/file/nope"):
        with pytest.raises(BadInput, match=f"^{place}: the place of the backups cannot be written: .*directory$"):
            CliRunner().invoke(app, ["backup", place], catch_exceptions=False)


def test_keys_are_called_lost_only_where_none_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _home(monkeypatch, tmp_path / "one")
    key, _ = made.ledger.keys.create("crm", ["read:scores"])
    rebuild = ["restore", "--ledger-from-lake"]
    assert "API key" not in CliRunner().invoke(app, rebuild, catch_exceptions=False).stdout
    made.ledger.keys.revoke(key.id)
    made.ledger.close()
    assert "no API key is left" in CliRunner().invoke(app, rebuild, catch_exceptions=False).stdout
