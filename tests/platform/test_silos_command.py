"""`onefold sources` for people: narrow enough for a terminal, and it says what is wrong and what nobody reads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from onefold import cli
from onefold_storage.installation import Installation
from onefold_storage.packages import Package
from onefold_storage.settings import StorageSettings
from onefold_storage.status import _per_day, sources
from onefold_workers.stages.landing import land_source

NOW = datetime(2018, 1, 1, tzinfo=UTC)
Told = Callable[..., str]


def _contract(source: str, freshness: str) -> str:
    columns = [{"name": n, "logicalType": "string", "primaryKey": n == "id"} for n in ("id", "city")]
    rules = {
        "location": f"../inbox/{source}/*.csv", "lawful_basis": "contract", "data_use": ["service"],
        "freshness": freshness,
    }  # fmt: skip
    return yaml.safe_dump(
        {
            "apiVersion": "v3.1.0", "kind": "DataContract", "id": source, "version": "1.0.0", "status": "active",
            "schema": [{"name": source, "properties": columns}],
            "customProperties": [{"property": "onefold", "value": rules}],
        }
    )  # fmt: skip


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Two sources have landed, one of them long ago; there are files beside them. Runs `onefold sources …`."""
    home, inbox = tmp_path / "home", tmp_path / "home" / "inbox"
    monkeypatch.setenv("ONEFOLD_HOME", str(home))
    monkeypatch.setenv("ONEFOLD_NOW", NOW.isoformat())
    monkeypatch.setenv("ONEFOLD_LANDING_URL", str(inbox))
    monkeypatch.setenv("COLUMNS", "100")
    assert CliRunner().invoke(cli.app, ["init"]).exit_code == 0
    for source, freshness in (("till", "PT1H"), ("club_with_a_long_name", "P30D")):
        (inbox / source).mkdir(parents=True)
        (inbox / source / "a.csv").write_text("id,city\n1,Here\n2,There\n")
        (home / f"workspace/contracts/{source}.yaml").write_text(_contract(source, freshness))
        long_ago = StorageSettings(home=home, now=NOW - timedelta(days=3 if source == "till" else 0))
        landed = land_source(long_ago, Installation(long_ago).workspace.contract(source), home / "workspace")
        assert [p.landed for p in landed.packages] == [2]
    (inbox / "desk").mkdir()
    (inbox / "desk" / "jane.doe.xlsx").write_bytes(b"x" * 1500)
    os.utime(inbox / "desk" / "jane.doe.xlsx", (NOW.timestamp(), NOW.timestamp()))

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli.app, ["sources", *arguments])
        assert done.exit_code == 0, done.exception
        return done.stdout

    return run


def _publish(home: Path) -> None:
    from onefold_storage.publications import SERVING_FILE, Publications

    installation = Installation(StorageSettings(home=home))
    facts: list[dict[str, Any]] = sources(installation)
    added = {"customers": 1, "fields": 12, "interactions": 1234567, "cases": 3}
    for one, other in zip(facts, reversed(facts), strict=True):
        one |= {"customers": 40, "only_here": 1, "orphans": 2, "shared": {other["source"]: 10}, "added": added}
    (home / "draft").write_bytes(b"nothing is served here")
    Publications(installation.lake.objects).publish({SERVING_FILE: home / "draft"}, NOW, {"sources": facts})


def test_the_report_says_what_is_stale_and_what_nobody_reads(told: Told) -> None:
    report = told()
    till = next(line for line in report.splitlines() if line.startswith("till "))
    assert "NO, 3 d of 1 h" in till
    assert "yes, 0 s of 30 d" in report
    assert "desk: 1 file (xlsx), 1.5 kB, newest of 2018-01-01" in report
    assert "jane" not in report, "a file's name may be a person's"
    assert "counted when results are published" in report


def test_every_line_fits_a_terminal_of_a_hundred_columns(told: Told, tmp_path: Path) -> None:
    _publish(tmp_path / "home")
    report = told()
    assert "1,234,567" in report
    assert "10 club_with_a_long_name" in report
    assert max(map(len, report.splitlines())) <= 100


def test_one_source_is_shown_with_every_overlap(told: Told, tmp_path: Path) -> None:
    _publish(tmp_path / "home")
    report = told("till")
    assert "40, of whom 1 are known only here" in report
    assert "1 customers, 12 fields, 1,234,567 interactions, 3 cases" in report
    assert [line.split() for line in report.splitlines()][-1] == ["club_with_a_long_name", "10", "25%"]
    assert json.loads(told("till", "--json"))["shared"] == {"club_with_a_long_name": 10}
    wrong = CliRunner().invoke(cli.app, ["sources", "tilt"])
    assert "tilt: no such source; there are club_with_a_long_name, till" in str(wrong.exception)


def test_a_landing_that_is_not_there_spoils_no_report(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ONEFOLD_LANDING_URL", str(tmp_path / "nowhere"))
    assert "nowhere: is not there; create it, or correct ONEFOLD_LANDING_URL" in told()
    assert "is not there" in json.loads(told("--json"))["landing_problem"]


def test_the_first_load_is_no_growth() -> None:
    today = date(2018, 1, 1)
    assert _per_day({today: 1_000}, today) is None
    assert _per_day({today - timedelta(days=2): 1_000, today: 10}, today) == 5.0
    assert _per_day({today - timedelta(days=2): 1_000}, today) == 0.0
    assert _per_day({today - timedelta(days=400): 1_000, today - timedelta(days=1): 56}, today) == 2.0


def test_a_package_that_failed_in_part_is_told_as_a_share(told: Told, tmp_path: Path) -> None:
    installation = Installation(StorageSettings(home=tmp_path / "home"))
    installation.ledger.packages.record(Package("till", 2, "c", "x", 8, 6, 2, 0, 0, NOW, NOW))
    assert next(line for line in told().splitlines() if line.startswith("till ")).split()[-4] == "20.00%"
