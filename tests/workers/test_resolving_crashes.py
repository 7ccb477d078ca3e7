"""Resolving killed between its commits: the next run comes to what one run would have come to, and tells it once."""

from __future__ import annotations

import multiprocessing
import runpy
import shutil
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from onefold_storage.decisions import Decisions
from onefold_storage.installation import Installation
from onefold_storage.schema import CONTACT_RECORDS, EDGES, HISTORY, HISTORY_EDGES, LINKS, MARKS
from onefold_storage.settings import StorageSettings
from onefold_storage.survivors import survivor
from onefold_workers.stages import resolving

made = runpy.run_path(str(Path(__file__).with_name("decided_lake.py")))
PROGRAM = Path(__file__).with_name("resolve_program.py")
NOW = made["NOW"]
POINTS = [
    pytest.param("identity/model.json", marks=pytest.mark.chaos),
    pytest.param("identity/report.json", marks=pytest.mark.chaos),
    pytest.param(MARKS.name, marks=pytest.mark.chaos),
    pytest.param("identity/kept.json", marks=pytest.mark.chaos),
    EDGES.name,
    HISTORY.name,
    HISTORY_EDGES.name,
    LINKS.name,
]
"""What a run writes, in its order: it dies before each."""
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", "onefold_workers.stages.resolving", "alembic.command"])


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shared out: no workers are needed."""
    monkeypatch.setattr(resolving, "shared_folder", lambda _: nullcontext(None))


@pytest.fixture(scope="module")
def _pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = made["fill"](tmp_path_factory.mktemp("crashes") / "home", made["contact_records"](200))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolving, "shared_folder", lambda _: nullcontext(None))
        made["resolve"](home)
    home.ledger.close()
    return Path(home.settings.root)


@pytest.fixture
def home(_pattern: Path, tmp_path: Path) -> Iterator[Installation]:
    """200 records, resolved once."""
    yield from _copy(_pattern, tmp_path / "home")


@pytest.fixture
def undisturbed(_pattern: Path, tmp_path: Path) -> Iterator[Installation]:
    """The same again."""
    yield from _copy(_pattern, tmp_path / "undisturbed")


def _copy(pattern: Path, to: Path) -> Iterator[Installation]:
    shutil.copytree(pattern, to)
    opened = Installation(StorageSettings(home=to, now=NOW))
    yield opened
    opened.ledger.close()


def killed(home: Installation, at: str) -> None:
    """A run that is killed before it writes `at`."""
    given = {"settings": StorageSettings(home=home.settings.root, now=NOW), "die_at": at}
    process = _context.Process(target=runpy.run_path, args=(str(PROGRAM),), kwargs={"init_globals": given})
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def several(home: Installation) -> list[str]:
    """Golden IDs of customers with several records."""
    owners = list(made["owners"](home).values())
    return sorted({g for g in owners if owners.count(g) > 1})


def told(home: Installation, name: str) -> list[tuple[object, ...]]:
    """What a table of history holds, without the time, sorted."""
    return sorted(home.lake.scan(name).drop("happened_at").collect().rows(), key=str)


@pytest.mark.parametrize("at", POINTS)
def test_what_is_decided_after_a_kill_is_told_beside_what_was_before(
    home: Installation, undisturbed: Installation, at: str
) -> None:
    a, b, c, d = several(home)[:4]
    for installation in (undisturbed, home):
        Decisions(installation, "test").merge(a, b)
        if installation is home:
            killed(home, at)
        Decisions(installation, "test").merge(c, d)
        made["resolve"](installation)
    assert made["owners"](home) == made["owners"](undisturbed)
    for name in (HISTORY.name, HISTORY_EDGES.name):
        assert told(home, name) == told(undisturbed, name)
    living = set(made["owners"](home).values())
    gone = {a, b, c, d} - living
    assert len(gone) == 2
    assert {survivor(home.lake, g)[0] for g in gone} == {a, b, c, d} & living
    assert not made["resolve"](home).changed


@pytest.mark.parametrize("at", [EDGES.name, HISTORY_EDGES.name, LINKS.name])
def test_what_is_taken_back_after_a_kill_never_happened(home: Installation, at: str) -> None:
    owned, before = made["owners"](home), {n: told(home, n) for n in (HISTORY.name, HISTORY_EDGES.name)}
    a, b = several(home)[:2]
    book = Decisions(home, "test")
    book.merge(a, b)
    killed(home, at)
    book.withdraw(a, b)
    made["resolve"](home)
    assert made["owners"](home) == owned
    assert {n: told(home, n) for n in before} == before


def test_a_first_run_that_is_killed_tells_nothing(tmp_path: Path) -> None:
    records = made["contact_records"](80)
    home = made["fill"](tmp_path / "home", records.head(60))
    killed(home, LINKS.name)
    made["add"](home, CONTACT_RECORDS, records.tail(-60))
    made["resolve"](home)
    created = home.lake.scan(HISTORY.name).filter(event="created").collect()
    assert sorted(created["golden_id"]) == sorted(set(made["owners"](home).values()))
    home.ledger.close()


def test_links_that_know_no_moment_keep_all_that_was_told(home: Installation) -> None:
    """As versions before this one wrote them."""
    before = told(home, HISTORY.name)
    links = home.lake.read(LINKS.name)
    shutil.rmtree(Path(home.settings.root) / "lake" / LINKS.name)
    home.lake.replace(LINKS.name, links)
    a, b = several(home)[:2]
    Decisions(home, "test").merge(a, b)
    made["resolve"](home)
    after = told(home, HISTORY.name)
    assert set(before) < set(after) and len(after) == len(before) + 1


def test_no_two_runs_have_one_moment(home: Installation) -> None:
    """The clock stands still here."""
    ids = several(home)
    for n in range(3):
        Decisions(home, "test").merge(ids[2 * n], ids[2 * n + 1])
        made["resolve"](home)
    times = home.lake.scan(HISTORY.name).select("happened_at").unique().sort("happened_at").collect()["happened_at"]
    assert times.to_list() == [NOW + n * timedelta(microseconds=1) for n in range(4)]
