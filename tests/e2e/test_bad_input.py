"""What a person gets for bad input: one line that names the file, the row or the key, and every good row landed.

All bad files land in one run, as on a bad day: what is held back stops nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.needs_prefect, pytest.mark.needs_dask, pytest.mark.timeout(900)]

ROWS = [(i, f"Person{i}", f"p{i}@example.org", i * 2) for i in range(50)]
GOOD = "id,name,email,age\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in ROWS)
HELD = {
    "missing.csv": r"^onefold: missing: onefold\.location: no such file: \S*missing\.csv",
    "empty.csv": r"^onefold: \S*empty\.csv: the file is empty",
    "cut.parquet": r"^onefold: \S*cut\.parquet: .*Parquet",
    "torn.json": r"^onefold: \S*torn\.json: is not JSON.*line 1",
    "lost_column.csv": r"^onefold: \S*lost_column\.csv: required column id of contract lost_column is absent; found name",
    "database": r"^onefold: database: onefold\.location: no such file: \S*nowhere\.db",
}
"""What cannot land at all, and how the line about it begins."""
PARTLY = {
    "good.csv": (50, 0),
    "header_only.csv": (0, 0),
    "utf16.csv": (50, 0),
    "latin1.csv": (48, 2),
    "ragged.csv": (48, 2),
    "other_type.csv": (49, 1),
    "broken.ndjson": (2, 3),
}
"""What lands as far as it is good: (landed, failed)."""
TOLD = len(HELD) + sum(failed > 0 for _, failed in PARTLY.values())
"""Lines on standard error: one for each file held back, one for each with bad rows."""


def write_files(folder: Path) -> None:
    """Files as they come on a bad day."""
    lines = GOOD.splitlines()
    (folder / "good.csv").write_text(GOOD)
    (folder / "empty.csv").write_text("")
    (folder / "header_only.csv").write_text(lines[0] + "\n")
    (folder / "utf16.csv").write_bytes(GOOD.encode("utf-16"))
    latin = GOOD.replace("Person7,", "José,").replace("Person9,", "Müller,")
    (folder / "latin1.csv").write_bytes(latin.encode("latin-1"))
    whole = folder / "whole.parquet"
    pl.read_csv(folder / "good.csv").write_parquet(whole)
    (folder / "cut.parquet").write_bytes(whole.read_bytes()[:-200])
    ragged = [*lines]
    ragged[5] += ",one,two"
    ragged[8] = "7,Person7"
    (folder / "ragged.csv").write_text("\n".join(ragged) + "\n")
    (folder / "other_type.csv").write_text(GOOD.replace("example.org,6\n", "example.org,six\n"))
    (folder / "lost_column.csv").write_text("".join(line.split(",", 1)[1] + "\n" for line in lines))
    row = {"id": 1, "name": "a", "email": "a@example.org", "age": 2}
    sent = [json.dumps(row), '{"id":2,"name":', "[1,2]", '"x"', json.dumps(row | {"id": 3})]
    (folder / "broken.ndjson").write_text("\n".join(sent) + "\n")
    (folder / "torn.json").write_text(f"[{json.dumps(row)}, {{")


@pytest.fixture(scope="module")
def day(new_home: Callable[..., Any]) -> tuple[Any, str, dict[str, Any]]:
    """A home after `onefold refresh --json` over all bad files: home, standard error, what was printed."""
    home = new_home()
    files = home.path / "files"
    files.mkdir()
    write_files(files)
    draft = home.run("source", "draft", str(files / "good.csv"))
    assert draft.returncode == 0, draft.stderr
    for name in (*HELD, *PARTLY):
        source = name.split(".")[0]
        text = re.sub(r"^(id|name): good$", rf"\1: {source}", draft.stdout, flags=re.M).replace("good.csv", name)
        if source == "database":
            place = f"sqlite:///{files / 'nowhere.db'}?table=people"
            text = re.sub(r"connector: files\n(\s+)location: .*", rf'connector: sql\n\1location: "{place}"', text)
        home.contract(source).write_text(text)
    done = home.run("refresh", "--json")
    assert done.returncode == 2, done.stderr
    return home, done.stderr, json.loads(done.stdout)


@pytest.mark.parametrize("name", HELD)
def test_one_line_names_what_was_held_back(day: Any, name: str) -> None:
    _, stderr, _ = day
    about = [line for line in stderr.splitlines() if re.search(HELD[name], line)]
    assert len(about) == 1, stderr


def test_nothing_else_is_said(day: Any, plain: Callable[[str], None]) -> None:
    _, stderr, _ = day
    plain(stderr)
    assert len([line for line in stderr.splitlines() if line.startswith("onefold: ")]) == TOLD


@pytest.mark.parametrize("name", [n for n, (_, failed) in PARTLY.items() if failed])
def test_one_line_names_the_first_bad_row(day: Any, name: str) -> None:
    _, stderr, _ = day
    (about,) = (line for line in stderr.splitlines() if f"{name}: " in line)
    assert re.search(
        rf"{PARTLY[name][1]} of \d+ rows are kept as failed events; the first is row \d+(?: \(line \d+\))?: ", about
    )
    assert about.count(name) == 1


def test_the_rest_went_the_whole_walk(day: Any) -> None:
    home, _, facts = day
    assert len(facts["land"]["errors"]) == TOLD
    good = sum(landed for landed, _ in PARTLY.values())
    assert facts["integrate"]["records"] == good
    assert home.table("silver/contact_records").height == good
    assert facts["publish"]["version"]


@pytest.mark.parametrize("name", PARTLY)
def test_every_good_row_lands_and_every_bad_row_is_kept(day: Any, name: str) -> None:
    home, _, facts = day
    source, (landed, failed) = name.split(".", maxsplit=1)[0], PARTLY[name]
    (package,) = (p for p in facts["land"]["packages"] if p["source"] == source)
    assert (package["landed"], package["failed"]) == (landed, failed)
    assert package["sent"] == landed + failed + package["repeated"] + package["suppressed"]
    assert home.table(f"bronze/{source}").height == landed
    kept = home.table("bronze/failed_events").filter(source=source)
    assert kept.height == failed
    assert kept["message"].str.len_chars().min() != 0
    assert kept["raw"].is_not_null().all()
    assert not kept["message"].str.contains("example.org|José|six").any(), "messages hold no customer's data"


def test_failed_rows_say_which_and_why(day: Any) -> None:
    home, _, _ = day
    kept = home.table("bronze/failed_events")
    other = kept.filter(source="other_type").row(0, named=True)
    assert (other["field"], other["row_id"]) == ("age", 3)
    assert "integer" in other["message"]
    assert sorted(kept.filter(source="ragged")["row_id"]) == [4, 7]
    assert sorted(kept.filter(source="latin1")["row_id"]) == [7, 9]


def test_sent_again_nothing_lands_twice(day: Any) -> None:
    home, _, _ = day
    done = home.run("land", "good", "ragged", "--json")
    assert done.returncode == 0, done.stderr
    for package in json.loads(done.stdout)["packages"]:
        assert package["sent"] == package["repeated"] == 50


def test_status_tells_of_all_of_it(day: Any) -> None:
    home, _, _ = day
    packages = {p["source"]: p for p in home.told("status")["packages"]}
    for name in HELD.keys() - {"missing.csv", "database"}:  # of these nothing came that could be a package
        held = packages[name.split(".")[0]]
        assert held["status"] == "held"
        assert held["message"]
    shown = home.run("status").stdout
    assert "48 landed, 2 failed" in shown
    assert "empty.csv: the file is empty" in shown


DRAFT = """\
kind: DataContract
apiVersion: v3.1.0
id: {id}
version: 0.1.0
status: draft
schema:
  - name: people
    properties: [{{name: id, logicalType: string, primaryKey: true}}]
customProperties:
  - property: onefold
    value: {{location: "people.csv", lawful_basis: consent, data_use: [analytics]{more}}}
"""


@pytest.mark.parametrize(
    ("contracts", "said"),
    [
        ({"a": DRAFT.format(id="a", more=", colour: red")}, r"a\.yaml: onefold\.colour: "),
        ({"a": DRAFT.format(id="a", more="") + "colour: red\n"}, r"a\.yaml: .*colour"),
        ({"a": "{: not yaml"}, r"a\.yaml: not valid YAML"),
        ({"a": "just text"}, r"a\.yaml: expected an ODCS data contract, found str"),
        ({"a": DRAFT.format(id="x", more=""), "b": DRAFT.format(id="x", more="")}, r"b\.yaml: id: 'x' .*another"),
        ({"a": DRAFT.format(id="a", more=", connector: pigeon")}, r"a: onefold\.connector: 'pigeon' is unknown"),
    ],
    ids=[
        "unknown key",
        "unknown key of the standard",
        "no YAML",
        "no mapping",
        "one id twice",
        "no such connector",
    ],
)
def test_a_contract_that_is_not_one(new_home: Callable[..., Any], contracts: dict[str, str], said: str) -> None:
    home = new_home()
    for name, text in contracts.items():
        home.contract(name).write_text(text)
    stderr = home.refused("land")
    assert re.search(said, stderr), stderr
    assert len([line for line in stderr.splitlines() if line.startswith("onefold: ")]) == 1


def test_a_contract_that_is_not_one_stops_no_other(new_home: Callable[..., Any]) -> None:
    home = new_home()
    (home.path / "files").mkdir()
    data = home.path / "files" / "people.csv"
    data.write_text(GOOD)
    assert home.run("source", "draft", str(data), "--out", str(home.contract("people"))).returncode == 0
    home.contract("broken").write_text("just text")
    done = home.run("refresh", "--json")
    assert (done.returncode, done.stderr.count("onefold: ")) == (2, 1), done.stderr
    assert "broken.yaml: expected an ODCS data contract, found str" in done.stderr
    assert json.loads(done.stdout)["land"]["landed"] == GOOD.count("\n") - 1
    status = home.told("status")
    assert {t["name"] for t in status["tables"]} == {"bronze/people", "registry/declarations"}  # no customers
    assert home.run("land", "people").returncode == 0
    home.contract("broken").unlink()
    assert home.run("integrate").returncode == 0


def test_commands_without_what_they_need(new_home: Callable[..., Any], tmp_path: Path) -> None:
    bare = new_home(init=False)
    for command in ("land", "integrate", "train", "score", "publish", "refresh"):
        assert "onefold init" in bare.refused(command)
    assert bare.told("status")["tables"] == []
    assert "nothing yet" in bare.run("status").stdout
    home = new_home()
    assert "NOPE: no contract" in home.refused("land", "NOPE")
    assert "NOPE" in home.refused("refresh", "NOPE")
    assert "is a workspace already" in home.refused("init")
    assert "no such file: nope.csv" in home.refused("source", "draft", "nope.csv")
    assert "nope.yaml: cannot be read" in home.refused("source", "check", "nope.yaml")
    assert "nope" in home.refused("key", "revoke", "nope")


def test_a_draft_does_not_overwrite_what_a_person_corrected(new_home: Callable[..., Any], tmp_path: Path) -> None:
    home, data = new_home(), tmp_path / "people.csv"
    data.write_text(GOOD)
    contract = home.contract("people")
    contract.write_text("corrected by hand")
    assert "exists already" in home.refused("source", "draft", str(data), "--out", str(contract))
    assert contract.read_text() == "corrected by hand"


def test_link_names_the_file_and_the_column(new_home: Callable[..., Any], tmp_path: Path) -> None:
    home, people = new_home(), tmp_path / "people.csv"
    people.write_text(GOOD)
    contract = home.contract("people")
    assert home.run("source", "draft", str(people), "--out", str(contract)).returncode == 0
    given = ("--contract", str(contract), "--out", str(tmp_path / "out.parquet"))
    assert "nope.csv: no such file" in home.refused("link", "nope.csv", *given)
    assert "column person named as truth" in home.refused("link", str(people), *given, "--truth", "person")
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    assert "other.csv: column id, name" in home.refused("link", str(other), *given)
    (tmp_path / "latin.csv").write_bytes(GOOD.replace("Person7,", "José,").encode("latin-1"))
    told = home.refused("link", str(tmp_path / "latin.csv"), *given)
    assert "latin.csv: row 8 (line 9): expected UTF-8 text" in told and "encoding: cp1252" in told
    assert not (tmp_path / "out.parquet").exists()


def test_settings_that_are_no_settings(new_home: Callable[..., Any]) -> None:
    home = new_home()
    for name, value, command in (
        ("ONEFOLD_NOW", "soon", ("status",)),
        ("ONEFOLD_API_PORT", "many", ("serve",)),
        ("ONEFOLD_SCHEDULES", "{", ("land",)),
        ("ONEFOLD_LEDGER_URL", "nosuch://x", ("status",)),
        ("ONEFOLD_HOME", "/proc/nowhere", ("init",)),
    ):
        broken = type(home)(home.path, {**home.environment, name: value})
        assert broken.refused(*command)


def test_a_place_that_is_none_is_told_in_one_line(new_home: Callable[..., Any]) -> None:
    home = new_home(init=False)
    server, place = "http(s)://HOST:PORT of an S3 server", "s3://BUCKET[/PREFIX], a path or file:///PATH"
    for name, value, expected, command in (
        ("ONEFOLD_S3_ENDPOINT", "127.77.2.1:9000", server, ("status",)),
        ("ONEFOLD_S3_ENDPOINT", "127.77.2.1:9000", server, ("storage", "heal")),
        ("ONEFOLD_LAKE_URL", "s3:/onefold/lake", place, ("storage", "status")),
        ("ONEFOLD_LAKE_URL", "gs://x/lake", place, ("init",)),
    ):
        done = type(home)(home.path, {**home.environment, name: value}).run(*command)
        assert done.returncode == 2
        assert done.stderr == f"onefold: {name}: expected {expected}, found {value}\n"


def test_serve_without_a_publication_says_so(
    new_home: Callable[..., Any], serving: Callable[..., AbstractContextManager[Any]]
) -> None:
    home = new_home(init=False)
    with serving(home) as api:
        assert api.ask("/health")[0] == 503
        status, answer = api.ask("/v1/sources")
        assert status == 503
        assert "nothing is published yet" in answer["error"]["message"]
        taken = home.refused("serve", "--port", api.base.rsplit(":", 1)[1])
        assert "is taken by another program" in taken
    assert "Traceback" not in (home.path / "serve.log").read_text()
