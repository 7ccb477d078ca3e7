"""What people decide is obeyed by every later run, and can be undone so that all is as it was; runs are watched."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from onefold_storage.decisions import Decisions
from onefold_storage.errors import Conflict, NotFound, QualityGate
from onefold_storage.installation import Installation
from onefold_storage.schema import CONTACT_RECORDS, EVIDENCE, HISTORY, HISTORY_EDGES, LINKS
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import cluster
from onefold_workers.stages.identity_model import known_model
from onefold_workers.stages.resolving import REPORT, held_back

pytestmark = pytest.mark.needs_dask
made = runpy.run_path(str(Path(__file__).with_name("decided_lake.py")))
NOW = made["NOW"]


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with cluster():
        yield


@pytest.fixture(scope="module")
def _pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = made["fill"](tmp_path_factory.mktemp("decided") / "home", made["contact_records"](300))
    made["integrate"](home)
    home.ledger.close()
    return Path(home.settings.root)


@pytest.fixture
def home(_pattern: Path, tmp_path: Path) -> Iterator[Installation]:
    """300 records, integrated once."""
    shutil.copytree(_pattern, tmp_path / "home")
    opened = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    yield opened
    opened.ledger.close()


def two(home: Installation) -> tuple[str, str]:
    """Golden IDs of two customers with several records, the older-named first."""
    counts: dict[str, int] = {}
    for golden_id in made["owners"](home).values():
        counts[golden_id] = counts.get(golden_id, 0) + 1
    several = sorted((g for g, n in counts.items() if n > 1), key=lambda g: -counts[g])
    return several[0], several[1]


def same(one: tuple[pl.DataFrame, ...], other: tuple[pl.DataFrame, ...]) -> bool:
    return all(a.equals(b) for a, b in zip(one, other, strict=True))


def test_merge_then_unmerge_gives_back_what_was(home: Installation) -> None:
    before, owned = made["gold"](home), made["owners"](home)
    a, b = two(home)
    book = Decisions(home, "test")
    book.merge(a, b, "one person")
    made["integrate"](home)
    merged = made["owners"](home)
    assert len({merged[k] for k, g in owned.items() if g in (a, b)}) == 1
    gone = ({a, b} - set(merged.values())).pop()
    assert not same(made["gold"](home), before)
    last = home.lake.scan(HISTORY.name).filter(pl.col("event") == "merged").collect().to_dicts()[-1]
    assert (last["golden_id"], last["cause"]) == (gone, "decision")
    behind = home.lake.scan(HISTORY_EDGES.name).filter(golden_id=gone).collect()
    assert "must_link" in behind["rule"].to_list()
    book.unmerge([gone], "two after all")
    made["integrate"](home)
    assert made["owners"](home) == owned
    assert same(made["gold"](home), before)
    assert home.ledger.audit.list("identity.unmerge")[0].actor == "test"
    assert made["integrate"](home).changed is False


def test_a_merge_that_is_taken_back_leaves_nothing_and_can_be_told_again(home: Installation) -> None:
    owned = made["owners"](home)
    a, b = two(home)
    book = Decisions(home, "test")
    book.merge(a, b)
    book.withdraw(a, b)
    assert book.standing().height == 0
    with pytest.raises(NotFound, match="no decision stands"):
        book.withdraw(a, b)
    made["integrate"](home)
    assert made["owners"](home) == owned
    book.merge(a, b)
    made["integrate"](home)
    assert len({made["owners"](home)[k] for k, g in owned.items() if g in (a, b)}) == 1
    with pytest.raises(Conflict, match="one customer already"):
        book.merge(a, b)
    times = home.lake.scan(EVIDENCE.name).collect()["decided_at"].unique()
    assert len(times) == 3  # the clock stands still, decisions do not


def test_records_part_and_pins_hold(home: Installation) -> None:
    owned = made["owners"](home)
    a, b = two(home)
    own = sorted(k for k, g in owned.items() if g == a)
    book = Decisions(home, "test")
    book.unmerge(own[:1], "another person")
    made["integrate"](home)
    parted = made["owners"](home)
    assert parted[own[0]] not in {parted[k] for k in own[1:]}
    book.pin(own[0], b)
    made["integrate"](home)
    pinned = made["owners"](home)
    assert pinned[own[0]] == b == {pinned[k] for k, g in owned.items() if g == b}.pop()
    book.unpin(own[0])
    book.withdraw(own[0], own[1])
    made["integrate"](home)
    assert made["owners"](home) == owned


def test_one_pair_accepted_and_rejected(home: Installation) -> None:
    owned = made["owners"](home)
    a, b = two(home)
    left, right = (next(k for k, g in sorted(owned.items()) if g == i) for i in (a, b))
    book = Decisions(home, "test")
    book.accept(left, right)
    made["integrate"](home)
    assert len({made["owners"](home)[k] for k in (left, right)}) == 1
    book.reject(left, right)
    made["integrate"](home)
    assert len({made["owners"](home)[k] for k in (left, right)}) == 2


def test_a_run_that_merges_too_much_stops_and_says_why(home: Installation) -> None:
    ids = sorted(set(made["owners"](home).values()))
    book = Decisions(home, "test")
    many = len(ids) // 8
    for n in range(many):
        book.merge(ids[2 * n], ids[2 * n + 1])
    state = {t: home.lake.version(t) for t in (LINKS.name, HISTORY.name, "identity/edges")}
    with pytest.raises(QualityGate, match=rf"{many} of {len(ids)} customers would be merged .* at most 10%"):
        made["integrate"](home)
    assert {t: home.lake.version(t) for t in state} == state
    held = held_back(home.lake)
    assert held is not None and held["report"]["changes"]["merged"] == many
    with pytest.raises(QualityGate):
        made["integrate"](home)
    made["integrate"](home, accept_changes=True)
    assert len(set(made["owners"](home).values())) == len(ids) - many
    assert held_back(home.lake) is None


def test_the_model_is_frozen_until_somebody_asks(home: Installation) -> None:
    known = known_model(home.lake)
    assert known is not None and known.records == 300
    later = made["contact_records"](200, seed=77).with_columns(
        pl.concat_str(pl.lit("web:"), pl.col("record_key")).alias("record_key"), source=pl.lit("web")
    )
    new_field = later.with_columns(organisation=pl.lit("Acme"), gender=pl.lit("f"))
    made["add"](home, CONTACT_RECORDS, new_field.with_columns(attributes=pl.lit('{"shoe": "41"}')))
    report = made["integrate"](home).report
    assert known_model(home.lake) == known
    assert report["model_version"] == known.model.version
    assert any("attribute:shoe" in said for said in report["retraining"])
    assert report["drift"]["records"] == 200
    assert report["drift"]["model_changed"] is False
    assert 0 < report["single_source_share"] < 1
    assert set(report["conflicts"]) == {"several_birth_dates", "several_keys", "likely_pairs_apart"}
    again = made["integrate"](home, retrain=True, accept_changes=True).report
    assert again["model_version"] != known.model.version
    assert again["retraining"] == []
    stored = orjson.loads(home.lake.objects.get(REPORT) or b"")
    assert stored["changes"].keys() >= {"merged", "split", "share"}


def test_a_report_holds_no_personal_data(home: Installation) -> None:
    text = (home.lake.objects.get(REPORT) or b"").decode()
    names = home.lake.scan(CONTACT_RECORDS.name).collect()
    values: set[Any] = {*names["family_name"].drop_nulls(), *names["record_key"], *names["email"].drop_nulls()}
    assert not [v for v in values if f'"{v}"' in text]
