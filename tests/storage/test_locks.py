"""Locks between processes: files on one machine, advisory locks where the ledger is PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from onefold_storage.errors import Conflict, Unavailable
from onefold_storage.locks import AdvisoryLocks, FileLocks, locks_for

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
