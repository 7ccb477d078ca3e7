"""`onefold failed` from the command line: list, show, export, repair, replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from onefold.cli import app
from onefold_storage import contracts
from onefold_storage.deliveries import BadRow, Batch, Delivery
from onefold_storage.errors import HeldBack
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: {id}
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties: [{{name: id, logicalType: string, primaryKey: true}}, {{name: v, logicalType: {kind}}}]
customProperties:
  - {{property: onefold, value: {{location: x, lawful_basis: contract, data_use: [service]}}}}
"""
SENT = {"id": ["a", "b", "c"], "v": ["1", "2.5", "x"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The contracts' folder of an installation where two sources have two and three failed events."""
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    made = tmp_path / "home" / "workspace" / "contracts"
    made.mkdir(parents=True)
    (made.parent / "onefold.yaml").write_text("name: test\n")
    installation = Installation(StorageSettings())
    for source, bad in (("one", ()), ("two", (BadRow(3, "csv", "row 4: too many fields", b"1,2\x1b[2J"),))):
        text = CONTRACT.format(id=source, kind="integer")
        (made / f"{source}.yaml").write_text(text)
        batch = Batch(pa.table(SENT), pa.array([0, 1, 2], pa.int64()), bad)
        installation.lander.land(contracts.parse(text, source), Delivery(source, f"{source}.csv", iter([batch])))
    installation.ledger.close()
    return made


def _run(*words: str) -> Any:
    result = CliRunner().invoke(app, ["failed", *words, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


def test_events_are_listed_shown_amended_repaired_and_replayed(folder: Path, tmp_path: Path) -> None:
    found = _run("list")
    assert found["events"] == 5
    assert [(g["source"], g["rule"], g["field"], g["events"]) for g in found["groups"]] == [
        ("one", "type", "v", 2),
        ("two", "type", "v", 2),
        ("two", "csv", None, 1),
    ]
    assert len(_run("show", "two", "--limit", "2", "--offset", "1")["events"]) == 2
    shown = CliRunner().invoke(app, ["failed", "show", "two"], catch_exceptions=False).stdout
    assert "two.csv" in shown
    assert shown.endswith("Rows are counted from 1; a header line is none.\n")
    assert "\x1b" not in shown, "a terminal obeys what is in the data"
    nothing = CliRunner().invoke(app, ["failed", "show", "three"], catch_exceptions=False).stdout
    assert nothing == "no such failed events are open\n"
    (folder / "one.yaml").write_text(CONTRACT.format(id="one", kind="number"))
    result = _run("replay", "one")
    assert (result["tried"], result["landed"], result["sources"][0]["failing"]) == (2, 1, {"type v": 1})
    out = tmp_path / "failed.ndjson"
    assert _run("show", "--out", str(out))["events"] == 4
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    out.write_text("\n".join(json.dumps(line | {"row": {"id": "z", "v": 7}}) for line in lines))
    result = _run("replay", "--from", str(out))
    assert (result["tried"], result["landed"], result["unknown"], result["errors"]) == (4, 4, 0, [])
    assert _run("list") == {"events": 0, "groups": []}
    assert _run("replay", "--from", str(out))["unknown"] == 4
    people = CliRunner().invoke(app, ["failed", "list"], catch_exceptions=False).stdout
    assert "0 failed events are open" in people


def test_a_source_without_a_contract_stops_no_other(folder: Path) -> None:
    (folder / "one.yaml").unlink()
    (folder / "two.yaml").write_text(CONTRACT.format(id="two", kind="string"))
    with pytest.raises(HeldBack, match="one: no contract"):
        CliRunner().invoke(app, ["failed", "replay"], catch_exceptions=False)
    assert {g["source"] for g in _run("list")["groups"]} == {"one", "two"}
    assert _run("list", "two")["events"] == 1


def test_the_history_of_a_sources_columns_is_shown(folder: Path) -> None:
    result = CliRunner().invoke(app, ["source", "history", "one", "--json"], catch_exceptions=False)
    known = json.loads(result.stdout)
    assert known["columns"] == {"id": "string", "v": "integer"}
    assert [set(c) for c in known["changes"]] == [{"at", "package", "contract", "added"}]
    told = CliRunner().invoke(app, ["source", "history", "two"], catch_exceptions=False).stdout
    assert "contract 1.0.0: added id, v" in told
    assert folder.is_dir()
