"""Maintenance: small files become few with the same rows; old ones go, and never what somebody is writing."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from onefold_storage import compaction, sweeping
from onefold_storage.clock import SystemClock
from onefold_storage.contents import content_of
from onefold_storage.deliveries import BadRow
from onefold_storage.erasure import erase
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.maintenance import maintain
from onefold_storage.places import undeclared
from onefold_storage.schema import CONTACT_RECORDS, INTERACTIONS, LINKS

Make = Callable[..., Any]
NOW = timedelta(0)
PROGRAM = Path(__file__).with_name("wait_program.py")
on_disk = pytest.mark.parametrize("stored", ["file"], indirect=True)
LOG = runpy.run_path(str(PROGRAM))
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", "onefold_storage.installation", "alembic.command"])


def _stream(installation: Installation, make_contract: Make, make_delivery: Make, packages: int = 20) -> Any:
    """As many small packages of `log`, each with a bad row."""
    contract = make_contract("log", {"id": "integer", "value": "number"})
    for n in range(packages):
        bad = BadRow(1, "csv", "too many fields", b"%d,1,1" % n)
        sent = {"id": [str(n)], "value": [f"{n}.5"]}
        installation.lander.land(contract, make_delivery(sent, bad=[bad], content=f"c{n}"))
    return contract


def _rows(lake: Lake, name: str) -> pl.DataFrame:
    rows = lake.scan(name).collect()
    return rows.sort([c for c in rows.columns if rows.schema[c] not in (pl.List, pl.Struct)])


def _objects(lake: Lake, name: str) -> list[str]:
    return [k for k in lake.objects.keys(name) if k.endswith(".parquet") and "_delta_log" not in k]


def test_small_files_become_one_with_the_same_rows_and_then_nothing_is_to_do(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract, lake = _stream(installation, make_contract, make_delivery, packages=12), installation.lake
    names = ["bronze/log", "bronze/failed_events"]
    before = {n: _rows(lake, n) for n in names}
    held = {n: content_of(lake, n) for n in names}
    versions = {n: lake.version(n) for n in names}
    would = maintain(installation, dry_run=True)
    assert {t.table: (t.compacted, t.into) for t in would.tables} == dict.fromkeys(names, (12, 1)) | {
        "bronze/failed_events": (12, 1)
    }
    assert {n: lake.version(n) for n in names} == versions, "a dry run changed something"
    done = maintain(installation)
    assert {t.table: (t.compacted, t.into) for t in done.tables} == dict.fromkeys(names, (12, 1))
    for name in names:
        assert len(lake.files(name)) == 1
        assert len(_objects(lake, name)) == 13, "what may still be read stays for a day"
        assert _rows(lake, name).equals(before[name])
        assert content_of(lake, name) == held[name]
        old = lake.scan(name, versions[name]).collect()
        assert old.height == 12, "a reader of the version before is not disturbed"
        assert lake.transaction(name, "land" if name == "bronze/log" else "land:log") == 12
    assert maintain(installation).line() == "nothing to do"
    cleared = maintain(installation, retention=NOW)
    assert sum(t.removed for t in cleared.tables) == 24
    assert [len(_objects(lake, n)) for n in names] == [1, 1]
    assert cleared.freed > 0
    assert undeclared(installation) == []
    again = installation.lander.land(contract, make_delivery({"id": ["3"], "value": ["3"]}, content="c3"))
    assert again.status == "repeated"
    installation.lander.land(contract, make_delivery({"id": ["99"], "value": ["1"]}))
    assert content_of(lake, "bronze/log") != held["bronze/log"], "what changed is seen"
    assert sorted(_rows(lake, "bronze/log")["id"]) == [*range(12), 99]


@on_disk
def test_columns_added_meanwhile_and_statistics_come_through(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    mail = {"logicalType": "string", "onefold": {"kind": "email"}}
    narrow = make_contract("log", {"id": "integer"})
    wide = make_contract("log", {"id": "integer", "mail": mail})
    for n in range(10):
        contract = narrow if n < 5 else wide
        sent = {"id": [str(n)]} | ({"mail": [f"p{n}@example.com"]} if n >= 5 else {})
        installation.lander.land(contract, make_delivery(sent, content=f"c{n}"))
    lake = installation.lake
    before = _rows(lake, "bronze/log")
    maintain(installation)
    assert _rows(lake, "bronze/log").equals(before)
    assert before["mail"].null_count() == 5
    (action,) = pa.table(lake.handle("bronze/log").get_add_actions()).to_pylist()
    assert action["num_records"] == 10
    assert action["min"]["_package_id"] < action["max"]["_package_id"]
    assert "mail" not in action["min"]
    log = b"".join(lake.objects.get(k) or b"" for k in lake.objects.keys("bronze/log/_delta_log"))
    assert b"example.com" not in log


def _environment() -> dict[str, str]:
    """Where the lake lies, for a process that was forked before this test."""
    return {name: value for name, value in os.environ.items() if name.startswith("ONEFOLD_")}


def _held_by(process: Any, at: Path) -> None:
    end = time.monotonic() + 60
    while not at.exists():
        assert process.is_alive(), "the lander ended early"
        assert time.monotonic() < end, "the lander did not come to its middle"
        time.sleep(0.01)


def test_who_is_landing_loses_nothing(
    installation: Installation,
    make_contract: Make,
    make_delivery: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "PATIENCE", 0.2)
    _stream(installation, make_contract, make_delivery, packages=9)
    lake, go, at = installation.lake, tmp_path / "go", tmp_path / "at"
    given = {"home": str(installation.settings.root), "go": str(go), "at": str(at), "env": _environment()}
    process = _context.Process(target=runpy.run_path, args=(str(PROGRAM),), kwargs={"init_globals": given})
    process.start()
    try:
        _held_by(process, at)
        standing = {n: len(lake.files(n)) for n in ("bronze/log", "bronze/failed_events")}
        assert len(_objects(lake, "bronze/log")) > standing["bronze/log"], "a part lies uncommitted"
        assert len(_objects(lake, "bronze/failed_events")) > standing["bronze/failed_events"]
        done = maintain(installation, retention=NOW)
        assert set(done.busy) >= {"bronze/log", "bronze/failed_events"}
        assert sum(t.compacted for t in done.tables) == 18, "compaction goes on beside a lander"
    finally:
        go.touch()
        process.join(60)
    assert process.exitcode == 0
    assert lake.rows("bronze/log") == 9 + LOG["ROWS"]
    assert lake.scan("bronze/failed_events").select(pl.len()).collect().item() == 9 + 1
    assert maintain(installation, retention=NOW).busy == ()
    assert lake.scan("bronze/log").select("id").collect().height == 9 + LOG["ROWS"]


@on_disk
def test_a_compaction_that_was_killed_leaves_the_table_as_it_was(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    _stream(installation, make_contract, make_delivery, packages=9)
    lake = installation.lake
    before, held = _rows(lake, "bronze/log"), content_of(lake, "bronze/log")
    given = {"home": str(installation.settings.root), "env": {}, "kill": True}
    process = _context.Process(target=runpy.run_path, args=(str(PROGRAM),), kwargs={"init_globals": given})
    process.start()
    process.join(60)
    assert process.exitcode == -9
    assert len(_objects(lake, "bronze/log")) == 10
    assert content_of(lake, "bronze/log") == held
    assert _rows(lake, "bronze/log").equals(before)
    maintain(installation, retention=NOW)
    assert len(_objects(lake, "bronze/log")) == 1
    assert _rows(lake, "bronze/log").equals(before)
    assert content_of(lake, "bronze/log") == held


@on_disk
def test_what_dead_writers_left_goes_when_it_is_old(installation: Installation) -> None:
    lake = installation.lake
    for key in ("bronze/never/part-1.parquet", "bronze/never/x.parquet.1.tmp", "work/customers/old/1.parquet"):
        lake.objects.put(key, b"x")
    lake.objects.put("work/customers/current.json", b'{"version": "new"}')
    lake.objects.put("work/customers/new/1.parquet", b"x")
    lake.objects.put("work/publication/shares/customers/0", b"x")
    assert maintain(installation, dry_run=True).areas == 2
    first = maintain(installation)
    assert (first.leftovers, first.areas) == (0, 2), "a young part may be somebody's"
    old = SystemClock().now().timestamp() - 2 * 86_400
    for key in lake.objects.keys("bronze", unfinished=True):
        os.utime(lake.objects.path(key), (old, old))
    assert maintain(installation).leftovers == 2
    left = [k for k in lake.objects.keys("", unfinished=True) if not k.startswith("law/")]
    assert left == ["work/customers/current.json", "work/customers/new/1.parquet"]


@on_disk
def test_a_long_log_gets_a_checkpoint(installation: Installation, make_contract: Make, make_delivery: Make) -> None:
    _stream(installation, make_contract, make_delivery, packages=32)
    lake = installation.lake
    written = [k for k in lake.objects.keys("bronze/log/_delta_log") if ".checkpoint." in k]
    assert len(written) == 1, "one by itself, after twenty commits"
    done = {t.table: t.checkpoint for t in maintain(installation).tables}
    assert done["bronze/log"]
    assert any(".checkpoint." in k for k in lake.objects.keys("bronze/log/_delta_log") if k not in written)
    assert lake.rows("bronze/log") == 32
    assert lake.transaction("bronze/log", "land") == 32
    assert maintain(installation).line() == "nothing to do"


@on_disk
def test_a_result_is_still_that_of_its_inputs_and_a_person_is_still_found(
    filled: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "FEWEST", 2)
    lake = filled.lake
    rows = lake.read(INTERACTIONS.name)
    lake.append(INTERACTIONS.name, rows.slice(0, 1), inputs="from these")
    lake.append(CONTACT_RECORDS.name, lake.read(CONTACT_RECORDS.name).slice(0, 0))
    links = lake.version(LINKS.name)
    before = {n: (_rows(lake, n), content_of(lake, n)) for n in lake.names()}
    done = maintain(filled, retention=NOW)
    assert INTERACTIONS.name in {t.table for t in done.tables if t.compacted}
    assert {n: content_of(lake, n) for n in lake.names()} == {n: c for n, (_, c) in before.items()}
    assert all(_rows(lake, n).equals(r) for n, (r, _) in before.items())
    assert lake.inputs(INTERACTIONS.name) == "from these"
    assert lake.version(LINKS.name) == links
    receipt = erase(filled, "g-ann", filled.clock.now())
    assert receipt.complete
