"""Landing killed without a word, at chosen points and at random moments: the next run completes it exactly."""

from __future__ import annotations

import multiprocessing
import random
import runpy
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings

PROGRAM = Path(__file__).with_name("land_program.py")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", "onefold_storage.installation", "alembic.command"])


def _settings(home: Path) -> StorageSettings:
    return StorageSettings(home=home, now=datetime(2018, 1, 1, tzinfo=UTC))


def _start(home: Path, die_at: tuple[str, int] | None = None) -> Any:
    given = {"settings": _settings(home), "die_at": die_at}  # the environment of the fork server is an older one
    process = _context.Process(target=runpy.run_path, args=(str(PROGRAM),), kwargs={"init_globals": given})
    process.start()
    return process


def _finish(home: Path) -> None:
    process = _start(home)
    process.join(60)
    assert process.exitcode == 0


def _facts(home: Path) -> dict[str, Any]:
    """Everything that must be the same whether or not a run was killed: rows, failed events, the book, the lake."""
    installation = Installation(_settings(home))
    lake = installation.lake
    books = installation.ledger.packages.list()
    installation.ledger.close()
    found: dict[str, Any] = {"names": lake.names()}
    for name in found["names"]:
        rows = lake.scan(name).drop("_landed_at", "failed_at", strict=False).collect()
        keys = ["_package_id", "_row_id"] if "_row_id" in rows.columns else ["source", "package_id", "row_id"]
        assert not rows.select(pl.struct(keys).is_duplicated().any()).item(), f"{name} holds a row twice"
        found[name] = rows.sort(keys).to_dicts()
    found["book"] = sorted(
        (p.package_id, p.sent, p.landed, p.failed, p.repeated, p.suppressed, p.status) for p in books
    )
    assert all(p.sent == p.landed + p.failed + p.repeated + p.suppressed for p in books)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("undisturbed")
    _finish(home)
    facts = _facts(home)
    assert len(facts["bronze/log"]) == 4 * 15
    assert len(facts["bronze/failed_events"]) == 4 * 6
    assert len(facts["book"]) == 8
    # 20 rows; then each snapshot brings a key, sets a mark, takes the last mark away (from the third), loses one.
    assert sum(not r["_deleted"] for r in facts["bronze/table"]) == 20 + 2 + 2 * 3
    assert sum(r["_deleted"] for r in facts["bronze/table"]) == 3
    return facts


POINTS = {
    "before the first manifest": ("manifest", 1),
    "between the manifest and the failed events": ("bronze/failed_events", 2),
    "between failed events and bronze, at the first package": ("bronze/log", 1),
    "between failed events and bronze, later": ("bronze/log", 3),
    "between bronze and the ledger": ("record", 2),
    "between bronze and the ledger, of a snapshot": ("record", 6),
    "before a snapshot's bronze": ("bronze/table", 3),
}


ON_A_BUCKET = ("between failed events and bronze, later", "between bronze and the ledger, of a snapshot")


@pytest.mark.parametrize(
    ("stored", "point"), [*(("file", p) for p in POINTS), *(("s3", p) for p in ON_A_BUCKET)], indirect=["stored"]
)
def test_killed_at_a_chosen_point(point: str, stored: str, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    process = _start(tmp_path, POINTS[point])
    process.join(60)
    assert process.exitcode == -9, "the program did not come to the point"
    _finish(tmp_path)
    assert _facts(tmp_path) == undisturbed


def test_killed_at_random_moments(stored: str, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    chance = random.Random(20180101)
    kills = 0
    for _ in range(9 if stored == "file" else 5):
        process = _start(tmp_path)
        time.sleep(chance.uniform(0.05, 0.6 if stored == "file" else 2.0))
        process.kill()
        process.join(60)
        kills += process.exitcode == -9
    assert kills, "every run ended before it was killed"
    _finish(tmp_path)
    assert _facts(tmp_path) == undisturbed
    _finish(tmp_path)
    assert _facts(tmp_path) == undisturbed, "a run with nothing to do changed something"
