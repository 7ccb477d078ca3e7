"""`onefold source draft|test|preview`: what a source would bring is shown, and nothing lands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from onefold import cli
from onefold_storage import contracts
from onefold_storage.errors import BadContract, BadInput, NotFound
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings

PEOPLE = "id,vorname,email,alter\n1,Ann,ann@example.org,30\n2,Ben,ben@example.org,x\n3,Cid,cid@example.org,\n"


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    data, file = tmp_path / "people.csv", tmp_path / "people.yaml"
    data.write_text(PEOPLE.replace(",x", ",31"))
    done = CliRunner().invoke(cli.app, ["source", "draft", str(data), "--out", str(file)])
    assert done.exit_code == 0, done.output
    return file


def test_the_first_rows_are_tried_and_nothing_lands(contract: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PEOPLE.replace("alter", "alter,neu").replace("30", "30,a"))
    tried = CliRunner().invoke(cli.app, ["source", "test", str(contract), "--json"])
    assert tried.exit_code == 0, tried.output
    found = json.loads(tried.output)
    assert (found["sent"], found["good"]) == (3, 1)
    assert {b["rule"] for b in found["bad"]} <= {"ragged", "type"}
    assert found["unknown"] == ["neu"]
    assert found["absent"] == []
    (tmp_path / "people.csv").write_text(PEOPLE)
    shown = json.loads(CliRunner().invoke(cli.app, ["source", "preview", str(contract), "--json"]).output)
    assert [r["email"] for r in shown["tables"]["silver/contact_records"]] == ["ann@example.org", "cid@example.org"]
    assert (
        "2 keep the contract, 1 would fail" in CliRunner().invoke(cli.app, ["source", "test", str(contract)]).output
    )
    assert Installation(StorageSettings()).lake.names() == []


@pytest.mark.parametrize("command", ["test", "preview", "check"])
def test_a_source_is_named_by_its_id_as_well(
    command: str, contract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "workspace"
    assert CliRunner().invoke(cli.app, ["init", str(workspace)]).exit_code == 0
    monkeypatch.setenv("ONEFOLD_WORKSPACE", str(workspace))
    monkeypatch.chdir(tmp_path)
    contract.rename(workspace / "contracts" / contract.name)
    by_id = CliRunner().invoke(cli.app, ["source", command, "people", "--json"])
    assert by_id.exit_code == 0, by_id.output
    unknown = CliRunner().invoke(cli.app, ["source", command, "kunden"])
    assert isinstance(unknown.exception, NotFound)
    assert "there are people" in str(unknown.exception)
    gone = CliRunner().invoke(cli.app, ["source", command, "kunden.yaml"])
    assert "cannot be read" in str(gone.exception)


def test_a_column_that_does_not_come_is_told(contract: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,alter\n1,30\n")
    for command in ("test", "preview"):
        said = CliRunner().invoke(cli.app, ["source", command, str(contract)]).output
        assert "of the contract, and did not come in these rows: " in said
        assert "email" in said.rpartition("these rows: ")[2]


def test_a_source_that_is_not_there_is_told(contract: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").unlink()
    done = CliRunner().invoke(cli.app, ["source", "test", str(contract)])
    assert isinstance(done.exception, BadInput)
    assert "no such file" in str(done.exception)


def test_a_draft_names_its_connector_and_options(contract: Path, tmp_path: Path) -> None:
    data = tmp_path / "export.txt"
    data.write_text(PEOPLE.replace(",", ";"))
    made = CliRunner().invoke(
        cli.app, ["source", "draft", str(data), "--option", "format=csv", "--option", "delimiter=;"]
    )
    assert made.exit_code == 0, made.output
    assert "delimiter" in made.output
    for given, kind in ((["--connector", "pigeon"], BadContract), (["--option", "x"], BadInput)):
        done = CliRunner().invoke(cli.app, ["source", "draft", str(data), *given])
        assert isinstance(done.exception, kind)
    del contract


def test_a_preview_says_how_values_are_read_and_which_could_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    (tmp_path / "orders.csv").write_text('id,paid,at\n1,"1.234,56",2017-07-01\n2,12.34,sometime\n3,free,\n')
    (tmp_path / "orders.yaml").write_text(f"""
kind: DataContract
apiVersion: v3.1.0
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {{name: id, logicalType: string, primaryKey: true}}
      - {{name: paid, logicalType: string}}
      - {{name: at, logicalType: string}}
customProperties:
  - property: onefold
    value:
      location: {tmp_path / "orders.csv"}
      lawful_basis: contract
      data_use: [service]
      timezone: Europe/Berlin
      locale: de_DE
      currency: EUR
      maps:
        - {{table: interactions, effective_at: at, fields: {{kind: {{constant: purchase}}, amount: paid}}}}
""")
    asked = ["source", "preview", str(tmp_path / "orders.yaml")]
    found = json.loads(CliRunner().invoke(cli.app, [*asked, "--json"]).output)
    assert found["read_as"]["time zone"] == "Europe/Berlin"
    assert (found["read_as"]["locale"], found["read_as"]["currency"]) == ("de_DE", "EUR")
    assert found["lost"] == {"interactions.amount": 2, "interactions.effective_at": 2}
    assert [r.get("amount") for r in found["tables"]["silver/interactions"]] == ["1234.5600"]
    told = " ".join(CliRunner().invoke(cli.app, asked).output.split())
    assert "read as: time zone Europe/Berlin, locale de_DE, currency EUR, country not named" in told
    assert "interactions.amount: 2 rows hold a value that could not be read, and nothing became of it" in told
    assert "interactions.effective_at: 2 rows hold no time that can be read, and are left out" in told
    assert Installation(StorageSettings()).lake.names() == []


def test_what_can_be_read_two_ways_is_told_by_draft_and_preview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    data, file = tmp_path / "orders.csv", tmp_path / "orders.yaml"
    lines = [f"{i},{i % 12 + 1:02}/{i % 9 + 1:02}/2026,C{i % 7},{1 + i % 9}.{100 + i}" for i in range(60)]
    data.write_text("\n".join(["order_id,order_date,customer_id,amount", *lines]))
    said = CliRunner().invoke(cli.app, ["source", "draft", str(data), "--out", str(file)])
    told = " ".join(said.output.split())
    assert "check: `amount`: nothing tells whether 1.234 is more than a thousand or one and a bit" in told
    assert "check: `order_date`: nothing tells day and month apart" in told
    shown = " ".join(CliRunner().invoke(cli.app, ["source", "preview", str(file)]).output.split())
    assert "check: interactions.amount: numbers such as 1.234 are read as one and a bit" in shown
    assert "check: order_date: read by %d/%m/%Y; every day is at most 12" in shown
    file.write_text(file.read_text().replace("timezone: UTC", "timezone: UTC\n      locale: de_DE"))
    shown = CliRunner().invoke(cli.app, ["source", "preview", str(file)]).output
    assert "interactions.amount: numbers" not in shown


def test_a_drafted_source_is_called_as_its_file_is(tmp_path: Path) -> None:
    """So that `/v1/ingest/web_visits` is what a person who wrote web_visits.yaml expects it to be."""
    events, written = tmp_path / "events.ndjson", tmp_path / "web_visits.yaml"
    events.write_text('{"visit": "v-1", "page": "/coffee"}\n')
    done = CliRunner().invoke(cli.app, ["source", "draft", str(events), "--http", "--out", str(written)])
    assert done.exit_code == 0, done.output
    assert contracts.read(written).id == "web_visits"
    named = ["source", "draft", str(events), "--name", "tills", "--out", str(tmp_path / "x.yaml")]
    assert CliRunner().invoke(cli.app, named).exit_code == 0
    assert contracts.read(tmp_path / "x.yaml").id == "tills"
