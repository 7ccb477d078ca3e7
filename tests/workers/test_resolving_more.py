"""A run with few new records builds on the last one, and comes to what a run over everything comes to."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from onefold_storage.installation import Installation
from onefold_storage.places import undeclared
from onefold_storage.schema import CONTACT_RECORDS, EDGES, LINKS, MARKS
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import cluster
from onefold_workers.stages.resolving_more import KEPT

pytestmark = pytest.mark.needs_dask
made = runpy.run_path(str(Path(__file__).with_name("decided_lake.py")))
NOW = made["NOW"]
ALL = made["contact_records"](1_500)
FEW = 40


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with cluster():
        yield


@pytest.fixture(scope="module")
def _pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = made["fill"](tmp_path_factory.mktemp("more") / "home", ALL.head(ALL.height - FEW))
    made["resolve"](home)
    home.ledger.close()
    return Path(home.settings.root)


@pytest.fixture
def home(_pattern: Path, tmp_path: Path) -> Iterator[Installation]:
    shutil.copytree(_pattern, tmp_path / "home")
    opened = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    yield opened
    opened.ledger.close()


def add(home: Installation, rows: pl.DataFrame, package: str) -> None:
    later = NOW + timedelta(days=1)
    made["add"](home, CONTACT_RECORDS, rows.with_columns(package_id=pl.lit(package), effective_at=later))


def groups(home: Installation) -> set[frozenset[str]]:
    found: dict[str, set[str]] = {}
    for key, owner in made["owners"](home).items():
        found.setdefault(owner, set()).add(key)
    return {frozenset(g) for g in found.values()}


def forget_links(home: Installation) -> None:
    """Links are made anew, whatever they were made from."""
    home.lake.replace(LINKS.name, home.lake.read(LINKS.name), inputs="another run")


def edges(home: Installation) -> pl.DataFrame:
    return home.lake.scan(EDGES.name).collect().sort("left_key", "right_key")


def test_new_changed_and_deleted_records_are_added_to_the_last_run(home: Installation) -> None:
    changed = ALL.head(5).with_columns(family_name=ALL["family_name"].slice(100, 5), email=pl.lit(None, pl.String))
    deleted = ALL.slice(20, 5).with_columns(deleted=pl.lit(True))
    add(home, pl.concat([ALL.tail(FEW), changed, deleted]), "q")
    done = made["resolve"](home)
    facts = done.report["since_last_run"]
    assert (facts["changed"], facts["gone"]) == (FEW + 5, 5)
    assert 0 < facts["looked_at"] < ALL.height / 2
    quickly = groups(home), edges(home)
    home.lake.objects.delete(KEPT)
    forget_links(home)
    assert "since_last_run" not in made["resolve"](home).report
    assert groups(home) == quickly[0]
    assert edges(home).equals(quickly[1])
    assert undeclared(home) == []


def test_one_run_after_another(home: Installation) -> None:
    for n in range(3):
        add(home, ALL.slice(ALL.height - FEW + 10 * n, 10), f"q{n}")
        assert made["resolve"](home).report["since_last_run"]["changed"] == 10
    assert not made["resolve"](home).changed


def test_missing_marks_are_met_by_a_run_over_everything(home: Installation) -> None:
    add(home, ALL.tail(FEW).head(5), "q")
    kept = home.lake.scan(MARKS.name).collect()
    home.lake.replace(MARKS.name, home.lake.frame_to_arrow(MARKS.name, kept.head(kept.height - 1)))
    assert "since_last_run" not in made["resolve"](home).report
    add(home, ALL.tail(FEW).tail(5), "r")
    assert made["resolve"](home).report["since_last_run"]["changed"] == 5


def test_a_run_that_died_between_its_commits_is_made_good(home: Installation) -> None:
    before = home.lake.read(EDGES.name)
    add(home, ALL.tail(FEW), "q")
    made["resolve"](home)
    whole = groups(home), edges(home)
    # As if it had died before its edges: marks are of this run, edges of the last.
    home.lake.replace(EDGES.name, before, inputs="another run")
    forget_links(home)
    assert "since_last_run" not in made["resolve"](home).report
    assert groups(home) == whole[0]
    assert edges(home).equals(whole[1])
