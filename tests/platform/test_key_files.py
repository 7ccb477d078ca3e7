"""`onefold key create --into`: a key for a program, in a file of its own, made once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from onefold.cli import app
from onefold_storage.installation import Installation
from onefold_storage.scopes import SCOPES, USUAL
from onefold_storage.settings import StorageSettings


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    return Installation(StorageSettings()).ledger.keys


def create(path: Path, *scopes: str) -> str:
    arguments = ["key", "create", "prometheus", "--into", str(path)]
    done = CliRunner().invoke(app, [*arguments, *(word for scope in scopes for word in ("--scope", scope))])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_key_is_in_the_file_alone_and_a_valid_one_is_kept(book, tmp_path: Path) -> None:
    path = tmp_path / "api.key"
    said = create(path, "read:metrics")
    token = path.read_text().strip()
    assert token not in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = book.verify(token)
    assert key.scopes == {"read:metrics"}
    assert key.id in create(path, "read:metrics")
    assert path.read_text().strip() == token
    assert len(book.list()) == 1


def test_a_key_that_is_revoked_too_narrow_or_none_is_replaced(book, tmp_path: Path) -> None:
    path = tmp_path / "api.key"
    path.write_bytes(b"\xff no key")
    create(path, "read:metrics")
    first = path.read_text()
    create(path, "read:metrics", "ingest")
    assert path.read_text() != first
    book.revoke(book.verify(path.read_text().strip()).id)
    create(path, "read:metrics")
    assert book.verify(path.read_text().strip()).scopes == {"read:metrics"}


def test_a_place_that_cannot_be_written_is_told(book, tmp_path: Path) -> None:
    from onefold_storage.errors import BadInput

    done = CliRunner().invoke(app, ["key", "create", "x", "--into", str(tmp_path / "none" / "api.key")])
    assert isinstance(done.exception, BadInput)
    assert "cannot be written" in str(done.exception)


def test_help_lists_what_a_key_may_do_and_does_without_scopes(book) -> None:
    told = " ".join(CliRunner().invoke(app, ["key", "create", "--help"]).output.split())
    assert all(scope in told for scope in (*SCOPES, "ingest:SOURCE"))
    assert f"Without any: {', '.join(USUAL)}." in told
    assert CliRunner().invoke(app, ["key", "create", "crm"]).exit_code == 0
    assert book.list()[0].scopes == set(USUAL)
