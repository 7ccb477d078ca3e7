"""`onefold erase` at a terminal: who says no is told that nothing was done. `onefold receipts` for machines."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer

from onefold.commands import erase
from onefold_storage import person


def test_a_no_erases_nothing_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        person, "find_person", lambda _, golden_id: SimpleNamespace(golden_id=golden_id, record_keys=["crm:1"])
    )
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    with pytest.raises(typer.Exit) as ended:
        erase._agreed(cast("Any", None), ["g1"], yes=False)
    assert ended.value.exit_code == 1
    assert capfd.readouterr().err.splitlines()[-1] == "nothing was erased"


def test_receipts_say_whether_an_erasure_was_complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [
        SimpleNamespace(actor="privacy", detail={"golden_id": "g1", "left": left}) for left in ([], ["silver/x"])
    ]
    audit = SimpleNamespace(list=lambda *_: kept)
    monkeypatch.setattr(erase, "_installation", lambda: SimpleNamespace(ledger=SimpleNamespace(audit=audit)))
    erase.receipts(json=True)
    told = json.loads(capsys.readouterr().out)["receipts"]
    assert [(r["by"], r["complete"]) for r in told] == [("privacy", True), ("privacy", False)]
