"""Landing: every row is accounted for, nothing lands twice, snapshots tell what changed, contracts may grow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.deliveries import BadRow, Batch, Delivery
from onefold_storage.errors import BadContract, BadInput
from onefold_storage.installation import Installation
from onefold_storage.manifests import read_manifest
from onefold_storage.packages import Package
from onefold_storage.settings import StorageSettings
from onefold_storage.suppression import Suppressed

NOW = datetime(2018, 1, 1, tzinfo=UTC)
Make = Callable[..., Any]
KEY = {"logicalType": "integer", "primaryKey": True}
MAIL = {"logicalType": "string", "onefold": {"kind": "email"}}
CARD = {"logicalType": "string", "onefold": {"kind": "external_id", "scheme": "card"}}
PHONE = {"logicalType": "string", "onefold": {"kind": "phone"}}


def _counts(package: Package) -> tuple[int, int, int, int, int]:
    return package.sent, package.landed, package.failed, package.repeated, package.suppressed


def _bronze(installation: Installation, source: str = "people") -> list[dict[str, Any]]:
    rows = installation.lake.scan(f"bronze/{source}").sort("_package_id", "_row_id").collect()
    return rows.drop("_landed_at").to_dicts()


def _failed(installation: Installation) -> list[dict[str, Any]]:
    return installation.lake.scan("bronze/failed_events").sort("package_id", "row_id").collect().to_dicts()


def test_a_package_lands_with_its_rows_and_its_failures(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    unread = BadRow(9, "csv", "row 9: too many fields", b"1,2,3")
    delivery = make_delivery({"id": ["1", "x"], "name": ["A", "B"]}, {"id": ["2"], "name": ["C"]}, bad=[unread])
    package = installation.lander.land(make_contract(), delivery)
    assert _counts(package) == (4, 2, 2, 0, 0)
    assert (package.seq, package.status) == (1, "committed")
    rows = _bronze(installation)
    assert [(r["id"], r["name"], r["_row_id"], r["_package_id"]) for r in rows] == [
        (1, "A", 0, package.package_id),
        (2, "C", 2, package.package_id),
    ]
    failed = _failed(installation)
    assert [(f["row_id"], f["field"], f["rule"]) for f in failed] == [(1, "id", "type"), (9, None, "csv")]
    assert orjson.loads(failed[0]["raw"]) == {"id": "x", "name": "B"}
    assert failed[1]["raw"] == b"1,2,3"
    assert read_manifest(installation.lake, "people", 1) == package
    assert installation.ledger.packages.list() == [package]


def test_the_same_content_again_changes_nothing(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    rows = {"id": ["1", "x"], "name": ["A", "B"]}
    first = installation.lander.land(make_contract(), make_delivery(rows))
    versions = {n: installation.lake.version(n) for n in installation.lake.names()}
    again = installation.lander.land(make_contract(), make_delivery(rows))
    assert again.status == "repeated"
    assert _counts(again) == (2, 0, 0, 2, 0)
    assert {n: installation.lake.version(n) for n in installation.lake.names()} == versions
    assert installation.ledger.packages.list() == [first]
    assert installation.lander.land(make_contract("others"), make_delivery(rows)).status == "committed"


def test_a_lost_ledger_is_made_good_from_the_lake(
    installation: Installation, make_contract: Make, make_delivery: Make, tmp_path: Path
) -> None:
    deliveries = [make_delivery({"id": [str(n)], "name": ["A"]}) for n in range(3)]
    packages = [installation.lander.land(make_contract(), d) for d in deliveries]
    fresh = Installation(
        installation.settings.model_copy(update={"ledger_url": f"sqlite:///{tmp_path / 'new.db'}"})
    )
    assert fresh.lander.reconcile("people") == 3
    assert sorted(fresh.ledger.packages.list(), key=lambda p: p.seq or 0) == packages
    again = fresh.lander.land(make_contract(), make_delivery({"id": ["1"], "name": ["A"]}))
    assert again.status == "repeated"
    fresh.ledger.close()


def test_a_missing_required_column_holds_the_package_until_it_is_right(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract()
    with pytest.raises(BadInput, match="required column id of contract people is absent"):
        installation.lander.land(contract, make_delivery({"name": ["A"]}, content="c"))
    (held,) = installation.ledger.packages.list()
    assert (held.status, held.seq, held.sent) == ("held", None, 0)
    assert "required column id of contract" in (held.message or "")
    assert not installation.lake.exists("bronze/people")
    assert installation.ledger.packages.totals()["people"].held == 1
    package = installation.lander.land(contract, make_delivery({"id": ["1"], "name": ["A"]}, content="c"))
    assert package.seq == 1
    assert installation.ledger.packages.list() == [package], "once it has landed it is no longer held"


def test_a_second_batch_without_the_column_holds_the_whole_package(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract()
    with pytest.raises(BadInput, match="required column id of contract"):
        installation.lander.land(contract, make_delivery({"id": ["1"]}, {"name": ["B"]}))
    assert not installation.lake.exists("bronze/people") or not _bronze(installation)
    assert installation.lander.land(contract, make_delivery({"id": ["5"]})).landed == 1
    assert [r["id"] for r in _bronze(installation)] == [5]


def test_a_reader_that_fails_midway_lands_nothing(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    def broken() -> Iterator[Batch]:
        yield Batch(pa.table({"id": ["1"]}), pa.array([0], pa.int64()))
        raise BadInput("people.csv: is cut off")

    with pytest.raises(BadInput, match="cut off"):
        installation.lander.land(make_contract(), Delivery("c", "people.csv", broken()))
    assert not installation.lake.exists("bronze/people")
    assert [p.status for p in installation.ledger.packages.list()] == ["held"]


def test_a_contract_may_gain_a_column(installation: Installation, make_contract: Make, make_delivery: Make) -> None:
    installation.lander.land(make_contract(), make_delivery({"id": ["1"], "name": ["A"], "age": ["7"]}))
    grown = make_contract(columns={"id": KEY, "name": "string", "age": "integer"})
    package = installation.lander.land(grown, make_delivery({"id": ["2"], "name": ["B"], "age": ["8"]}))
    assert package.landed == 1
    assert [(r["id"], r["age"]) for r in _bronze(installation)] == [(1, None), (2, 8)]
    assert _bronze(installation)[0]["_extra"] == '{"age":"7"}'
    shrunk = make_contract(columns={"id": KEY})
    installation.lander.land(shrunk, make_delivery({"id": ["3"], "name": ["C"]}))
    assert [(r["id"], r["name"], r["_extra"]) for r in _bronze(installation)][2] == (3, None, '{"name":"C"}')


@pytest.mark.parametrize("delivery", ["append", "snapshot"])
def test_a_contract_may_not_change_a_type(
    delivery: str, installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    installation.lander.land(make_contract(delivery=delivery), make_delivery({"id": ["1"], "name": ["A"]}))
    changed = make_contract(columns={"id": KEY, "name": "integer"}, delivery=delivery)
    with pytest.raises(BadContract, match=r"name from string to integer.*put the type back") as caught:
        installation.lander.land(changed, make_delivery({"id": ["2"], "name": ["5"]}))
    assert str(caught.value).startswith("people: ")
    assert [r["id"] for r in _bronze(installation)] == [1]


def test_an_empty_delivery_is_a_package_of_no_rows(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    package = installation.lander.land(make_contract(), make_delivery({"id": pa.array([], pa.string())}))
    assert _counts(package) == (0, 0, 0, 0, 0)
    assert installation.lake.rows("bronze/people") == 0
    none = installation.lander.land(make_contract(), Delivery("nothing", "empty.csv", iter(())))
    assert (none.seq, _counts(none)) == (2, (0, 0, 0, 0, 0))


# snapshots


def _standing(installation: Installation) -> dict[int, str | None]:
    last: dict[int, dict[str, Any]] = {r["id"]: r for r in _bronze(installation)}
    return {k: r["name"] for k, r in last.items() if not r["_deleted"]}


def test_a_snapshot_lands_what_is_new_and_changed_and_tells_what_is_gone(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract(delivery="snapshot")
    first = {"id": ["1", "2", "3"], "name": ["A", "B", None]}
    assert _counts(installation.lander.land(contract, make_delivery(first))) == (3, 3, 0, 0, 0)
    second = {"id": ["1", "2", "4"], "name": ["A", "b", "D"]}
    assert _counts(installation.lander.land(contract, make_delivery(second))) == (3, 2, 0, 1, 0)
    assert _standing(installation) == {1: "A", 2: "b", 4: "D"}
    (gone,) = [r for r in _bronze(installation) if r["_deleted"]]
    assert (gone["id"], gone["_row_id"]) == (3, -1)
    assert installation.lander.land(contract, make_delivery(second)).status == "repeated"
    back = installation.lander.land(contract, make_delivery(first))
    assert _counts(back) == (3, 2, 0, 1, 0), "an older state that comes again is a change like any other"
    assert _standing(installation) == {1: "A", 2: "B", 3: None}


def test_a_snapshot_without_rows_deletes_nobody_unless_the_contract_says_so(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract, empty = make_contract(delivery="snapshot"), {"id": [], "name": []}
    nothing = installation.lander.land(contract, make_delivery(empty, content="first of all"))
    assert nothing.sent == 0, "nothing stands that it could delete"
    installation.lander.land(contract, make_delivery({"id": ["1", "2", "3"], "name": ["A", "B", "C"]}))
    with pytest.raises(BadInput, match=r"people.csv: has no rows, and 3 stand: nothing was deleted.*may_be_empty"):
        installation.lander.land(contract, make_delivery(empty, content="broken"))
    assert _standing(installation) == {1: "A", 2: "B", 3: "C"}
    fewer = installation.lander.land(contract, make_delivery({"id": ["1"], "name": ["A"]}))
    assert fewer.message == "rows that are not in it any more, and are deleted: 2"
    assert [p.status for p in installation.ledger.packages.list()] == ["committed"] * 3, (
        "the broken one was replaced"
    )
    meant = make_contract(delivery="snapshot", may_be_empty=True)
    installation.lander.land(meant, make_delivery(empty, content="meant"))
    assert _standing(installation) == {}


def test_a_key_that_comes_twice_in_a_snapshot_fails_even_in_another_batch(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    batches = {"id": ["1", "2", "2"], "name": ["A", "B", "C"]}, {"id": ["3", "1"], "name": ["D", "A"]}
    package = installation.lander.land(make_contract(delivery="snapshot"), make_delivery(*batches))
    assert _counts(package) == (5, 3, 2, 0, 0)
    assert [(f["row_id"], f["rule"]) for f in _failed(installation)] == [(2, "unique"), (4, "unique")]
    assert _standing(installation) == {1: "A", 2: "B", 3: "D"}


def test_a_snapshot_with_bad_rows_deletes_nothing(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract(delivery="snapshot")
    installation.lander.land(contract, make_delivery({"id": ["1", "2"], "name": ["A", "B"]}))
    package = installation.lander.land(contract, make_delivery({"id": ["1", "2?"], "name": ["A", "B"]}))
    assert _counts(package) == (2, 0, 1, 1, 0)
    assert _standing(installation) == {1: "A", 2: "B"}


def test_a_snapshot_of_a_contract_that_gained_a_column(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    installation.lander.land(
        make_contract(delivery="snapshot"), make_delivery({"id": ["1", "2"], "name": ["A", "B"]})
    )
    grown = make_contract(columns={"id": KEY, "name": "string", "age": "integer"}, delivery="snapshot")
    rows = {"id": ["1", "2"], "name": ["A", "B"], "age": ["7", None]}
    assert _counts(installation.lander.land(grown, make_delivery(rows))) == (2, 1, 0, 1, 0)


# the suppression list


def _suppress(installation: Installation, *entries: tuple[str, str]) -> None:
    keyed = installation.keyed_hash
    listed = [Suppressed(keyed.of(kind, value), kind) for kind, value in entries]
    installation.ledger.suppression.add(listed, "erasure")


def test_listed_people_do_not_land_whatever_way_they_write_themselves(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    _suppress(installation, ("email", "ann@example.com"), ("phone", "151234567"), ("card", "C-1"))
    contract = make_contract(columns={"id": KEY, "mail": MAIL, "phone": PHONE, "card": CARD})
    rows = {
        "id": ["1", "2", "3", "4", "5"],
        "mail": [" Ann@Example.com", "bob@example.com", None, None, None],
        "phone": [None, "+49 (0)151 234-567", "0151234568", None, None],
        "card": [None, None, "C-2", " C-1 ", None],
    }
    package = installation.lander.land(contract, make_delivery(rows))
    assert _counts(package) == (5, 2, 0, 0, 3)
    assert [r["id"] for r in _bronze(installation)] == [3, 5]


def test_records_of_listed_people_do_not_land_and_neither_do_rows_that_point_to_them(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    _suppress(installation, ("record", "people:7"))
    people = make_contract(columns={"id": KEY, "name": {"logicalType": "string", "onefold": {"kind": "full_name"}}})
    assert _counts(installation.lander.land(people, make_delivery({"id": ["7", "8"], "name": ["A", "B"]})))[1] == 1
    visits = make_contract(
        "visits",
        {"who": "string", "at": "timestamp"},
        maps=[
            {
                "table": "interactions",
                "contact": {"key": ["who"], "source": "people"},
                "fields": {"kind": {"constant": "visit"}},
            }
        ],
    )
    package = installation.lander.land(visits, make_delivery({"who": ["7", "8", None], "at": ["2017-01-01"] * 3}))
    assert _counts(package) == (3, 2, 0, 0, 1)


def test_bad_rows_of_listed_people_are_not_kept(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    _suppress(
        installation, ("email", "ann@example.com"), ("phone", "151234567"), ("card", "C-1"), ("card", "CARD-12345")
    )
    contract = make_contract(columns={"id": KEY, "mail": MAIL, "phone": PHONE, "card": CARD})
    raw = (
        b'x,"Ann@Example.com",1,2,3',
        b"1;0151 234-567;a;b",
        b"1,CARD-12345,",
        b"1,bob@example.com,C-1x",
        b"\xff\xfe",
    )
    bad = [BadRow(10 + i, "csv", "too many fields", text) for i, text in enumerate(raw)]
    rows = {"id": ["x", "y"], "mail": [None, "bob@example.com"], "phone": [None, None], "card": ["C-1", None]}
    package = installation.lander.land(contract, make_delivery(rows, bad=bad))
    assert _counts(package) == (7, 0, 3, 0, 4)
    assert [f["row_id"] for f in _failed(installation)] == [1, 13, 14]


# properties

_rows = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3", "4", "x", None]),
        st.sampled_from(["ann@example.com", "bob@example.com", "cy@example.com", None]),
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation for all examples of a property; each takes a source of its own."""
    made = Installation(StorageSettings(home=tmp_path_factory.mktemp("shared"), now=NOW))
    _suppress(made, ("email", "ann@example.com"))
    yield made
    made.ledger.close()


_numbers = itertools.count()


@settings(max_examples=20)
@given(
    delivery=st.sampled_from(["append", "snapshot"]),
    packages=st.lists(st.tuples(_rows, _rows, st.integers(0, 2)), min_size=1, max_size=3),
)
def test_sent_is_landed_failed_repeated_and_suppressed(
    shared: Installation,
    make_contract: Make,
    make_delivery: Make,
    delivery: str,
    packages: list[tuple[list[Any], list[Any], int]],
) -> None:
    source = f"s{next(_numbers)}"
    contract = make_contract(source, {"id": KEY, "mail": MAIL}, delivery=delivery, may_be_empty=True)
    landed = failed = 0
    for n, (one, two, unread) in enumerate(packages):
        tables = [
            pa.table(
                {
                    "id": pa.array([k for k, _ in rows], pa.string()),
                    "mail": pa.array([m for _, m in rows], pa.string()),
                }
            )
            for rows in (one, two)
        ]
        bad = [BadRow(100 + i, "csv", "too many fields", b"?") for i in range(unread)]
        package = shared.lander.land(contract, make_delivery(*tables, bad=bad, content=f"c{n}"))
        sent, good, wrong, repeated, suppressed = _counts(package)
        assert sent == len(one) + len(two) + unread
        assert sent == good + wrong + repeated + suppressed
        assert suppressed == sum(mail == "ann@example.com" for _, mail in one + two)
        landed, failed = landed + good, failed + wrong
    rows = _bronze(shared, source)
    assert sum(not r["_deleted"] for r in rows) == landed
    assert sum(f["source"] == source for f in (_failed(shared) if failed else [])) == failed
    assert "ann@example.com" not in repr(rows)
    if delivery == "snapshot" and not failed:
        one, two, _ = packages[-1]
        expected = {int(k): mail for k, mail in one + two if mail != "ann@example.com"}
        last: dict[int, dict[str, Any]] = {r["id"]: r for r in rows}
        assert {k: r["mail"] for k, r in last.items() if not r["_deleted"]} == expected
