"""The ledger on SQLite and, where its server can be had, on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from onefold_storage.clock import FixedClock
from onefold_storage.errors import BadInput, Conflict, NotFound, Unavailable
from onefold_storage.ledger import Ledger, _engine
from onefold_storage.ledger_tables import metadata
from onefold_storage.migrations import HEAD
from onefold_storage.packages import Package
from onefold_storage.suppression import Suppressed

NOW = datetime(2018, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    address: str = request.getfixturevalue("postgres")
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))  # whatever other files of tests left
        connection.execute(text("CREATE SCHEMA public"))
        connection.execute(text("GRANT USAGE ON SCHEMA public TO public"))  # as it was
    engine.dispose()
    return address


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url, FixedClock(NOW)) as opened:
        yield opened


def _package(**changes: Any) -> Package:
    package = Package("pos", 1, "abc", "pos.csv", 10, 7, 1, 2, 0, NOW, NOW)
    return replace(package, **changes)


def test_migrations_give_the_declared_tables(url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    import onefold_storage.migrations as home

    Ledger.open(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), metadata
        )
    engine.dispose()
    assert differences == []
    assert ScriptDirectory(str(Path(home.__file__).parent)).get_current_head() == HEAD


def test_a_ledger_of_a_newer_release_is_refused(url: str) -> None:
    Ledger.open(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Conflict, match="newer release"):
        Ledger.open(url)


def test_many_openers_migrate_once(url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        ledgers = list(pool.map(lambda _: Ledger.open(url), range(6)))
    for one in ledgers:
        assert one.packages.list() == []
        one.close()


def test_opening_an_up_to_date_ledger_does_not_import_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger.open(url).close()
    code = (
        "import sys; from onefold_storage.ledger import Ledger; "
        f"Ledger.open({url!r}).close(); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("bad", ["not a url", "sqlite://", "nosuchdb://x/y"])
def test_a_url_that_is_none(bad: str) -> None:
    with pytest.raises(BadInput):
        Ledger.open(bad)


def test_a_server_that_does_not_answer_is_said_without_its_password() -> None:
    with pytest.raises(Unavailable) as caught:
        Ledger.open("postgresql+psycopg://u:hunter2@127.0.0.1:1/x?connect_timeout=2")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_package_is_kept_and_recorded_again(ledger: Ledger) -> None:
    ledger.packages.record(_package())
    ledger.packages.record(_package())
    assert ledger.packages.list() == [_package()]
    assert ledger.packages.find("pos", "abc") == _package()
    assert ledger.packages.find("pos", "other") is None
    assert ledger.packages.list(source="other") == []


def test_a_committed_package_must_account_for_every_row(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError, match="every_row_accounted"):
        ledger.packages.record(_package(landed=6))
    assert ledger.packages.list() == []


def test_a_held_package_lands_later(ledger: Ledger) -> None:
    held = _package(seq=None, status="held", landed=0, committed_at=None, message="column gone")
    ledger.packages.record(held)
    assert [p.message for p in ledger.packages.list()] == ["column gone"]
    assert ledger.packages.find("pos", "abc") is None
    ledger.packages.record(_package())
    assert [p.status for p in ledger.packages.list()] == ["committed"]


def test_totals_by_source(ledger: Ledger) -> None:
    ledger.packages.record(_package())
    later = NOW + timedelta(hours=1)
    ledger.packages.record(_package(seq=2, content="def", started_at=later, committed_at=later))
    ledger.packages.record(_package(seq=None, content="ghi", status="held", landed=0))
    ledger.packages.record(_package(source="s" * 63, seq=10**7))
    totals = ledger.packages.totals()
    assert list(totals) == ["pos", "s" * 63]
    pos = totals["pos"]
    assert (pos.packages, pos.held, pos.sent, pos.landed, pos.failed, pos.repeated) == (2, 1, 20, 14, 2, 4)
    assert pos.last_committed_at == later
    assert [p.seq for p in ledger.packages.list("pos", limit=1)] == [2]
    assert ledger.packages.last_seq("pos") == 2


def test_books_of_one_transaction_stand_or_fall_together(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.transaction() as books:
        books.packages.record(_package())
        books.audit.add("someone", "package.record", "p1")
        assert books.packages.list() == [_package()]
        raise RuntimeError("stop")
    assert ledger.packages.list() == []
    assert ledger.audit.list() == []


def test_writers_wait_for_each_other(ledger: Ledger) -> None:
    def write(n: int) -> None:
        with ledger.transaction() as books:
            found = books.bookmarks.get("count") or 0
            books.bookmarks.set("count", found + 1)
            books.packages.record(_package(seq=n + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert len(ledger.packages.list()) == 40


def test_bookmarks_runs_and_publications(ledger: Ledger) -> None:
    assert ledger.bookmarks.get("pos") is None
    ledger.bookmarks.set("pos", {"cursor": 7}, "p1")
    ledger.bookmarks.set("pos", {"cursor": 8}, "p2")
    assert ledger.bookmarks.get("pos") == {"cursor": 8}

    ledger.runs.start("r1", "land")
    assert ledger.runs.last("land") is None
    ledger.runs.finish("r1", "land", facts={"rows": 3})
    last = ledger.runs.last("land")
    assert last is not None and last.facts == {"rows": 3} and last.ended is not None
    with pytest.raises(NotFound):
        ledger.runs.finish("r1", "train")

    ledger.publications.record("v1", NOW, "published", {"customers": 2})
    ledger.publications.mark("v1", "withdrawn")
    assert [(p.version, p.status) for p in ledger.publications.list()] == [("v1", "withdrawn")]
    with pytest.raises(NotFound):
        ledger.publications.mark("v2", "withdrawn")


def test_the_suppression_list_takes_a_hash_once(ledger: Ledger) -> None:
    many = [Suppressed(f"{n:032x}", "email") for n in range(1200)]
    assert ledger.suppression.add(many, "erasure") == 1200
    assert ledger.suppression.add(many[:3], "erasure") == 0
    assert ledger.suppression.contains([many[0].hash, "absent"]) == {many[0].hash}
    assert len(ledger.suppression.hashes()) == 1200


def test_who_opens_a_new_ledger_at_the_same_moment_waits(tmp_path: Path) -> None:
    """SQLite itself does not wait where two switch a new database to a write-ahead log."""

    def opened(path: Path, together: Barrier) -> None:
        engine = _engine(f"sqlite:///{path}")
        together.wait()
        engine.connect().close()
        engine.dispose()

    with ThreadPoolExecutor(6) as pool:
        for n in range(60):
            together = Barrier(6)
            for done in [pool.submit(opened, tmp_path / f"{n}.db", together) for _ in range(6)]:
                done.result()
