"""Locks between processes: files on one machine, advisory locks where the ledger is PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import create_engine, text

from onefold_storage.errors import Conflict, Unavailable
from onefold_storage.heads import FileHeads
from onefold_storage.lake import Lake
from onefold_storage.locks import AdvisoryLocks, FileLocks, locks_for
from onefold_storage.rewriting import rewrite, vacuum
from onefold_storage.schema import ITEMS

HOLDER = """
import sys, time
from pathlib import Path
from onefold_storage.locks import locks_for
with locks_for(sys.argv[1], Path(sys.argv[2])).hold("silver/items"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["files", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "files":
        return "sqlite:///ledger.db"
    address: str = request.getfixturevalue("postgres")
    return address


def test_a_lock_ends_with_the_process_that_holds_it(url: str, tmp_path: Path) -> None:
    locks = locks_for(url, tmp_path)
    assert isinstance(locks, FileLocks if url.startswith("sqlite") else AdvisoryLocks)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, url, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with locks.hold("silver/cases", timeout=0.1):
            pass  # another name is free
        with (
            pytest.raises(Conflict, match="silver/items: another process"),
            locks.hold("silver/items", timeout=0.1),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    start = time.monotonic()
    with locks.hold("silver/items", timeout=20):
        assert time.monotonic() - start < 20


def test_a_lock_is_given_back_after_an_error(url: str, tmp_path: Path) -> None:
    locks = locks_for(url, tmp_path)
    with pytest.raises(ZeroDivisionError), locks.hold("a"):
        _ = 1 / 0
    for _ in range(3):
        with locks.hold("a", timeout=0.5), locks.hold("b", timeout=0.5):
            pass


def test_no_server_is_not_another_writer(free_port) -> None:
    locks = AdvisoryLocks(f"postgresql+psycopg://onefold@127.0.0.1:{free_port()}/postgres")
    with pytest.raises(Unavailable, match="silver/items: cannot be locked"), locks.hold("silver/items"):
        pass


def test_a_lock_that_is_held_says_so(url: str, tmp_path: Path) -> None:
    with locks_for(url, tmp_path).hold("silver/items") as still_held:
        still_held()
        still_held()


def cut(url: str) -> int:
    """End every session that holds an advisory lock, as a restart would; gives how many there were."""
    ending = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    engine = create_engine(url)
    with engine.connect() as connection:
        ended: int = connection.execute(text(ending)).scalar_one()
    engine.dispose()
    return ended


@pytest.fixture
def lake(postgres: str, tmp_path: Path) -> Lake:
    (tmp_path / "lake").mkdir()
    lake = Lake(str(tmp_path / "lake"), {}, AdvisoryLocks(postgres), FileHeads(tmp_path))
    lake.append(ITEMS.name, ITEMS.arrow.empty_table())
    return lake


@pytest.mark.parametrize("lost", [ITEMS.name, "land:crm"])
def test_whoever_lost_a_lock_on_the_way_commits_nothing(
    lost: str, lake: Lake, postgres: str, tmp_path: Path
) -> None:
    version = lake.version(ITEMS.name)
    told = pytest.raises(Unavailable, match=f"{lost}: its lock was lost")
    with told, lake.lock(lost):
        parts = lake.parts(ITEMS.name, ITEMS.arrow.empty_table())
        assert cut(postgres) == 1
        program = [sys.executable, "-c", HOLDER.replace("silver/items", lost), postgres, str(tmp_path)]
        other = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"  # and is free to commit
            if lost == ITEMS.name:
                for change in (
                    lambda: lake.commit(ITEMS.name, parts),
                    lambda: rewrite(lake, ITEMS.name, lambda frame: frame["deleted"]),
                    lambda: vacuum(lake, ITEMS.name),
                ):
                    with pytest.raises(Unavailable, match=f"{lost}: its lock was lost"):
                        change()
            else:  # the table's own lock is new; the one around it is not held any more
                with lake.lock(ITEMS.name):
                    lake.commit(ITEMS.name, parts)
        finally:
            other.kill()
            other.wait()
    assert lake.version(ITEMS.name) == version
    lake.append(ITEMS.name, pa.Table.from_pylist([], ITEMS.arrow))  # a new lock is taken for new work


def test_a_lock_lost_between_the_checks_and_the_commit_is_noticed(
    lake: Lake, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, opened = lake.version(ITEMS.name), lake.handle

    def slowly(name: str, version: int | None = None) -> object:
        assert cut(postgres) == 1
        return opened(name, version)

    with pytest.raises(Unavailable, match="its lock was lost"), lake.lock(ITEMS.name):
        monkeypatch.setattr(lake, "handle", slowly)
        lake.commit(ITEMS.name, [])
    monkeypatch.undo()
    assert lake.version(ITEMS.name) == version


def test_work_that_ends_after_its_lock_was_lost_is_told(postgres: str) -> None:
    locks = AdvisoryLocks(postgres)
    with pytest.raises(Unavailable, match="publications: its lock was lost"), locks.hold("publications"):
        cut(postgres)
    with pytest.raises(ZeroDivisionError), locks.hold("publications"):
        cut(postgres)
        _ = 1 / 0
    with locks.hold("publications", timeout=1):
        pass
