"""What people decide is obeyed by every later run, and can be undone so that all is as it was; runs are watched."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from onefold_storage.decisions import Decisions
from onefold_storage.erasure import erase
from onefold_storage.errors import Conflict, NotFound, QualityGate
from onefold_storage.installation import Installation
from onefold_storage.places import undeclared
from onefold_storage.schema import CONTACT_RECORDS, EVIDENCE, HISTORY, HISTORY_EDGES, LINKS
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import cluster
from onefold_workers.stages.asking import explain, review, what_if, who_was_who
from onefold_workers.stages.housing import build_households
from onefold_workers.stages.identity_model import known_model
from onefold_workers.stages.putting_in_force import REPORT
from onefold_workers.stages.resolving import held_back

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
    made["resolve"](home)
    assert made["owners"](home) == owned
    book.merge(a, b)
    made["resolve"](home)
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
    made["resolve"](home)
    parted = made["owners"](home)
    assert parted[own[0]] not in {parted[k] for k in own[1:]}
    book.pin(own[0], b)
    made["resolve"](home)
    pinned = made["owners"](home)
    assert pinned[own[0]] == b == {pinned[k] for k, g in owned.items() if g == b}.pop()
    book.unpin(own[0])
    book.withdraw(own[0], own[1])
    made["resolve"](home)
    assert made["owners"](home) == owned


def test_one_pair_accepted_and_rejected(home: Installation) -> None:
    owned = made["owners"](home)
    a, b = two(home)
    left, right = (next(k for k, g in sorted(owned.items()) if g == i) for i in (a, b))
    book = Decisions(home, "test")
    book.accept(left, right)
    made["resolve"](home)
    assert len({made["owners"](home)[k] for k in (left, right)}) == 1
    book.reject(left, right)
    made["resolve"](home)
    assert len({made["owners"](home)[k] for k in (left, right)}) == 2


def test_a_run_that_merges_too_much_stops_and_says_why(home: Installation) -> None:
    ids = sorted(set(made["owners"](home).values()))
    book = Decisions(home, "test")
    many = len(ids) // 8
    for n in range(many):
        book.merge(ids[2 * n], ids[2 * n + 1])
    state = {t: home.lake.version(t) for t in (LINKS.name, HISTORY.name, "identity/edges")}
    with pytest.raises(QualityGate, match=rf"{many} of {len(ids)} customers would be merged .* at most 10%"):
        made["resolve"](home)
    assert {t: home.lake.version(t) for t in state} == state
    held = held_back(home.lake)
    assert held is not None and held["report"]["changes"]["merged"] == many
    made["resolve"](home, accept_changes=True)
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
    assert set(report["conflicts"]) == {
        "several_birth_dates",
        "several_keys",
        "likely_pairs_apart",
        "decisions_that_contradict",
    }
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


def test_explained_is_what_the_run_wrote(home: Installation) -> None:
    edge = home.lake.scan("identity/edges").filter(pl.col("rule") != "identical").collect().to_dicts()[3]
    found = explain(home, edge["right_key"], edge["left_key"])
    assert found["pair"]["recorded"]["match_weight"] == edge["match_weight"]
    assert found["pair"]["total"] == pytest.approx(edge["match_weight"], abs=0.006)
    a, b = two(home)
    Decisions(home, "test").reject(made["keys_of"](home, a)[0], made["keys_of"](home, b)[0], "looked at both")
    customers = explain(home, a, b)
    assert customers["same_customer"] is False
    assert customers["mean"] < customers["threshold"]
    assert customers["pairs_in_all"] == len(made["keys_of"](home, a)) * len(made["keys_of"](home, b))
    assert [d["reason"] for d in customers["decisions"]] == ["looked at both"]
    inside = explain(home, a, a)
    assert inside["same_customer"] is True
    assert inside["mean"] > inside["threshold"]


def test_review_asks_what_is_least_certain_and_never_twice(home: Installation) -> None:
    asked = review(home, 5)
    assert asked
    distances = [abs(p["pair"]["recorded"]["match_weight"] - (-1.0)) for p in asked]
    assert [round(d, 1) for d in distances] == sorted(round(d, 1) for d in distances)
    first = asked[0]
    Decisions(home, "test").reject(first["left"]["record"], first["right"]["record"])
    keys = {(p["left"]["record"], p["right"]["record"]) for p in review(home, 5)}
    assert (first["left"]["record"], first["right"]["record"]) not in keys
    made["resolve"](home)
    owned = made["owners"](home)
    assert owned[first["left"]["record"]] != owned[first["right"]["record"]]


def test_what_another_threshold_would_change(home: Installation) -> None:
    versions = {n: home.lake.version(n) for n in home.lake.names()}
    model = known_model(home.lake)
    assert model is not None
    as_it_is = what_if(home, model.model.threshold)
    assert (as_it_is["merges"], as_it_is["splits"]) == (0, 0)
    strict, loose = what_if(home, 25.0), what_if(home, -7.0)
    assert strict["splits"] > 0 == strict["merges"]
    assert strict["customers_then"] > strict["customers_now"] > loose["customers_then"]
    assert loose["merges"] > 0
    assert all(len(ids) > 1 for ids in loose["merged"])
    assert {n: home.lake.version(n) for n in home.lake.names()} == versions


def test_who_was_who_as_of_a_date(home: Installation) -> None:
    a, b = two(home)
    own = made["keys_of"](home, b)
    Decisions(home, "test").merge(a, b)
    later = Installation(StorageSettings(home=home.settings.root, now=NOW + timedelta(days=60)))
    made["resolve"](later)
    kept = made["owners"](later)[own[0]]
    now, then = (who_was_who(later, [own[0], b], at) for at in (None, NOW + timedelta(days=30)))
    assert [f["golden_id"] for f in now] == [kept, kept]
    assert [f["golden_id"] for f in then] == [b, b]
    assert then[1]["records"] == own
    assert who_was_who(later, [own[0]], NOW - timedelta(days=1))[0]["golden_id"] is None
    later.ledger.close()


def test_an_erased_person_is_in_no_decision_and_the_others_stay_who_they_are(home: Installation) -> None:
    a, b = two(home)
    book = Decisions(home, "test")
    book.merge(a, b, "one person")
    book.override(a, "city", "Ham")
    made["integrate"](home)
    build_households(home)
    gone = a if made["keys_of"](home, a) else b
    keys = set(made["keys_of"](home, gone))
    others = {k: g for k, g in made["owners"](home).items() if k not in keys}
    receipt = erase(home, gone, NOW)
    assert receipt.complete
    for name in ("identity/evidence", "identity/overrides", "identity/history_edges", "identity/edges"):
        rows = home.lake.scan(name).collect()
        assert rows.height == 0 or not {k for c in rows.columns if c.endswith("_key") for k in rows[c]} & keys, name
    assert receipt.places["identity/evidence"] > 0 < receipt.places["identity/history_edges"]
    assert receipt.places["identity/overrides"] == 1
    assert undeclared(home) == []
    made["integrate"](home)
    assert made["owners"](home) == others


def test_a_decision_that_is_undone_disturbs_no_other(home: Installation) -> None:
    """Three customers merged one after the other; each undone in turn, whatever the order."""
    owned = made["owners"](home)
    own = {i: made["keys_of"](home, i) for i in sorted(set(owned.values()))[:3]}
    # The larger two are merged first: their ID goes on when the third comes to them, and never means all three.
    ids = sorted(own, key=lambda i: (-len(own[i]), i))
    book = Decisions(home, "test")

    def groups() -> set[frozenset[str]]:
        made["resolve"](home)
        now = made["owners"](home)
        return {frozenset(i for i in ids if now[own[i][0]] == g) for g in (now[own[i][0]] for i in ids)}

    def one(*of: int) -> frozenset[str]:
        return frozenset(ids[n] for n in of)

    book.merge(ids[0], ids[1])
    assert groups() == {one(0, 1), one(2)}
    book.merge(ids[1], ids[2])
    assert groups() == {one(0, 1, 2)}
    kept = made["owners"](home)[own[ids[0]][0]]
    middle, last = (i for i in ids if i != kept)
    book.unmerge([middle])
    assert groups() == {frozenset({kept, last}), frozenset({middle})}
    book.withdraw(kept, last)
    assert groups() == {one(0), one(1), one(2)}
    assert made["owners"](home) == owned
    assert set(book.standing()["verdict"]) == {"cannot_link"}  # the middle one's


def test_what_contradicts_is_reported_and_told_apart_is_explained(tmp_path: Path) -> None:
    """A chain of links over a pair told apart; and two cards of one loyalty programme that the CRM mentions."""
    records = made["contact_records"](60, seed=3)
    cards = [f"loyalty:{i}" for i in (1001, 2002)]
    ids = [[{"scheme": "card", "value": k.split(":")[1]}] for k in cards]
    loyal = records.head(2).with_columns(
        pl.Series("record_key", cards), pl.Series("external_ids", ids), source=pl.lit("loyalty")
    )
    crm = loyal.with_columns(pl.Series("record_key", ["crm:x", "crm:y"]), source=pl.lit("crm"))
    home = made["fill"](tmp_path / "home", pl.concat([records, loyal, crm], how="vertical_relaxed"))
    made["resolve"](home)
    assert explain(home, *cards)["pair"]["told_apart"] is True
    assert explain(home, "crm:x", "crm:y")["pair"]["told_apart"] is False
    book = Decisions(home, "test")
    book.accept("crm:x", "crm:y")
    book.accept("crm:y", records["record_key"][5])
    book.reject("crm:x", records["record_key"][5])
    assert made["resolve"](home).report["conflicts"]["decisions_that_contradict"] == 1
    home.ledger.close()
