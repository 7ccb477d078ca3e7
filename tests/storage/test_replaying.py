"""Failed events: shown as they came; replayed ones land exactly once, the totals add up, and a kill changes nothing."""

from __future__ import annotations

import multiprocessing
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from onefold_storage import failed
from onefold_storage.deliveries import BadRow
from onefold_storage.errors import BadInput
from onefold_storage.failed import Chosen
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.replaying import finish_all, replay
from onefold_storage.settings import StorageSettings
from onefold_storage.suppression import Suppressed

Make = Callable[..., Any]
on_disk = pytest.mark.parametrize("stored", ["file"], indirect=True)
KEY = {"logicalType": "integer", "primaryKey": True}
MAIL = {"logicalType": "string", "onefold": {"kind": "email"}}
STRICT = {"id": KEY, "v": "integer", "mail": MAIL}
AMENDED = STRICT | {"v": "number"}
SENT = {
    "id": ["1", "2", "x", "4", "5"],
    "v": ["10", "2.5", "1", "4.5", "none"],
    "mail": ["a@example.com", "b@example.com", None, "d@example.com", None],
    "more": ["-", "m", None, None, None],
}
UNREAD = BadRow(9, "csv", "row 10: too many fields", b"6,\xff;7,8\x1b[31m")


def _land(installation: Installation, make_contract: Make, make_delivery: Make) -> None:
    package = installation.lander.land(make_contract(columns=STRICT), make_delivery(SENT, bad=[UNREAD]))
    assert (package.sent, package.landed, package.failed) == (6, 1, 5)


def _rows(installation: Installation) -> list[tuple[Any, ...]]:
    rows = installation.lake.scan("bronze/people").sort("_package_id", "_row_id").collect()
    return rows.select("id", "v", "mail", "_extra", "_row_id").rows()


def _totals(installation: Installation) -> tuple[int, ...]:
    """Sent, landed, failed, repeated, suppressed of the source; checked against the lake and every package."""
    found = installation.ledger.packages.totals()["people"]
    for p in installation.ledger.packages.list():
        assert p.sent == p.landed + p.failed + p.repeated + p.suppressed
    assert found.failed == sum(g.events for g in failed.groups(installation.lake, Chosen())), "failed = open"
    alive = installation.lake.scan("bronze/people").collect()
    assert found.landed == alive.height
    assert not alive.select("_package_id", "_row_id").is_duplicated().any()
    return found.sent, found.landed, found.failed, found.repeated, found.suppressed


@on_disk
def test_events_are_grouped_chosen_and_shown_as_they_came(
    installation: Installation, make_contract: Make, make_delivery: Make, tmp_path: Path
) -> None:
    assert failed.groups(installation.lake, Chosen()) == []
    _land(installation, make_contract, make_delivery)
    found = {(g.rule, g.field): g.events for g in failed.groups(installation.lake, Chosen())}
    assert found == {("type", "v"): 3, ("type", "id"): 1, ("csv", None): 1}
    assert failed.groups(installation.lake, Chosen(source="others")) == []
    assert failed.groups(installation.lake, Chosen.of(since="2018-01-02")) == []
    assert len(failed.page(installation.lake, Chosen.of(since="2018-01-01", rule="type"), limit=2, offset=1)) == 2
    (unread,) = failed.page(installation.lake, Chosen(rule="csv"), limit=9)
    assert unread["raw"] == "6,\\xff;7,8\x1b[31m"
    (event,) = failed.page(installation.lake, Chosen(field="id"), limit=9)
    assert event["row"] == {"id": "x", "v": "1", "mail": None, "more": None}
    out = tmp_path / "failed.ndjson"
    assert failed.export(installation.lake, Chosen(rule="type"), out) == 4
    assert out.stat().st_mode & 0o077 == 0, "it is personal data"
    with pytest.raises(BadInput, match="exists already"):
        failed.export(installation.lake, Chosen(), out)
    with pytest.raises(BadInput, match="since: expected an ISO 8601"):
        Chosen.of(since="yesterday")


def test_an_amended_contract_lands_the_events_that_pass_now_once(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    _land(installation, make_contract, make_delivery)
    nothing = replay(installation, make_contract(columns=STRICT), Chosen())
    assert (nothing.tried, nothing.landed, nothing.package_id) == (5, 0, None)
    result = replay(installation, make_contract(columns=AMENDED), Chosen())
    assert (result.tried, result.landed) == (5, 2)
    assert result.failing == {"csv": 1, "type id": 1, "type v": 1}
    assert _rows(installation)[1:] == [
        (2, 2.5, "b@example.com", '{"more":"m"}', 0),
        (4, 4.5, "d@example.com", '{"more":null}', 1),
    ]
    assert _totals(installation) == (6, 3, 3, 0, 0)
    package = installation.ledger.packages.list()[0]
    assert (package.sent, package.landed, package.failed) == (0, 2, -2)
    assert package.origin.startswith("replay of people-00000001-")
    again = replay(installation, make_contract(columns=AMENDED), Chosen())
    assert (again.tried, again.landed, again.package_id) == (3, 0, None)
    assert _totals(installation) == (6, 3, 3, 0, 0)
    assert installation.lander.land(make_contract(columns=AMENDED), make_delivery(SENT, bad=[UNREAD])).repeated == 6


@on_disk
def test_repaired_rows_replace_those_that_came(
    installation: Installation, make_contract: Make, make_delivery: Make, tmp_path: Path
) -> None:
    _land(installation, make_contract, make_delivery)
    out, contract = tmp_path / "failed.ndjson", make_contract(columns=STRICT)
    failed.export(installation.lake, Chosen(), out)
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    kept = []
    for line in lines:
        if "row" not in line:
            line["row"] = {"id": 6, "v": 7, "mail": "f@example.com"}
        elif line["row"]["id"] == "x":
            line["row"]["id"] = "3"
        elif line["row"]["id"] != "2":
            continue
        kept.append(line)
    out.write_bytes(b"\n".join(map(orjson.dumps, kept)))
    repairs = failed.repaired(out)
    result = replay(installation, contract, Chosen(), repairs)
    assert (result.tried, result.landed, result.unknown, result.failing) == (3, 2, 0, {"type v": 1})
    assert [r[:2] for r in _rows(installation)] == [(1, 10), (3, 1), (6, 7)]
    assert _totals(installation) == (6, 3, 3, 0, 0)
    second = replay(installation, contract, Chosen(), repairs)
    assert (second.tried, second.landed, second.unknown) == (1, 0, 2), "sent again, a repair changes nothing"
    for text in ("{", '{"package_id": "p", "row_id": 1, "row": [1]}', '{"row": {}}', "1"):
        out.write_text(f"\n{text}\n")
        with pytest.raises(BadInput, match="line 2"):
            failed.repaired(out)
    one = '{"package_id": "p", "row_id": 1, "row": {}}\n'
    out.write_text(one + one)
    with pytest.raises(BadInput, match=r"line 2.*named by another"):
        failed.repaired(out)


@on_disk
def test_who_was_erased_meanwhile_does_not_land(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    _land(installation, make_contract, make_delivery)
    entry = Suppressed(installation.keyed_hash.of("email", "b@example.com"), "email")
    installation.ledger.suppression.add([entry], "erasure")
    result = replay(installation, make_contract(columns=AMENDED), Chosen())
    assert (result.landed, result.suppressed) == (1, 1)
    assert "b@example.com" not in repr(_rows(installation))
    assert _totals(installation) == (6, 2, 3, 0, 1)


@on_disk
def test_bytes_that_are_no_text_are_not_landed_as_their_hexadecimal_form(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract()
    table = pa.table({"id": ["1", "2"], "name": pa.array([b"Ann", b"\xff\xfe"], pa.binary())})
    assert installation.lander.land(contract, make_delivery(table)).failed == 1
    result = replay(installation, contract, Chosen())
    assert (result.landed, result.failing) == (0, {"type name": 1})


@on_disk
def test_a_newer_snapshot_answers_the_events_of_an_older_one(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    def contract(kind: str) -> Any:
        return make_contract(columns={"id": KEY, "v": kind}, delivery="snapshot")

    land = installation.lander.land
    land(contract("integer"), make_delivery({"id": ["1", "2", "3"], "v": ["1", "1.5", "x"]}))
    land(contract("integer"), make_delivery({"id": ["1", "2", "3", "4"], "v": ["1", "2", "2.5", "y"]}))
    result = replay(installation, contract("number"), Chosen())
    assert (result.tried, result.repeated, result.landed, result.failing) == (4, 2, 1, {"type v": 1})
    rows = installation.lake.scan("bronze/people").sort("_package_id", "_row_id").select("id", "v").collect().rows()
    assert rows == [(1, 1.0), (2, 2.0), (3, 2.5)], "the older 1.5 does not come after the newer 2"
    again = land(contract("number"), make_delivery({"id": ["1", "2", "3", "4"], "v": ["1", "2", "2.5", "y"]}))
    assert (again.status, again.seq) == ("repeated", 2), "a replay is not what the source sent last"
    assert _totals(installation) == (7, 3, 1, 3, 0)


@on_disk
def test_of_changes_a_later_row_of_the_same_key_answers_an_event(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    def contract(kind: str) -> Any:
        return make_contract(columns={"id": KEY, "v": kind}, delivery="changes")

    land = installation.lander.land
    land(contract("integer"), make_delivery({"id": ["1", "2", "3"], "v": ["1", "1.5", "2.5"]}))
    land(contract("integer"), make_delivery({"id": ["2"], "v": ["2"]}))
    result = replay(installation, contract("number"), Chosen())
    assert (result.tried, result.repeated, result.landed, result.failing) == (2, 1, 1, {})
    rows = installation.lake.scan("bronze/people").sort("_package_id", "_row_id").select("id", "v").collect().rows()
    assert rows == [(1, 1.0), (2, 2.0), (3, 2.5)]


@on_disk
def test_many_events_are_replayed_in_pieces(
    installation: Installation, make_contract: Make, make_delivery: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 500
    sent = {"id": [str(n) for n in range(many)], "v": [f"{n}.5" for n in range(many)]}
    installation.lander.land(make_contract(columns={"id": KEY, "v": "integer"}), make_delivery(sent))
    pieces: list[int] = []
    whole = failed.batches

    def some(lake: Lake, chosen: Chosen) -> Any:
        for batch in whole(lake, chosen, rows=70):
            pieces.append(batch.height)
            yield batch

    monkeypatch.setattr("onefold_storage.replaying.batches", some)
    assert replay(installation, make_contract(columns={"id": KEY, "v": "number"}), Chosen()).landed == many
    assert pieces == [70] * 7 + [10]
    rows = installation.lake.scan("bronze/people").sort("_row_id").collect()
    assert rows["_row_id"].to_list() == list(range(many))
    assert sorted(rows["v"]) == [n + 0.5 for n in range(many)]
    assert installation.ledger.packages.totals()["people"].failed == 0


PROGRAM = Path(__file__).with_name("replay_program.py")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", "onefold_storage.installation", "alembic.command"])
POINTS = {
    "before its plan": ("put", "replays/"),
    "before its manifest": ("put", "packages/"),
    "before the bronze commit": ("commit", "bronze/people"),
    "before the events go": ("rewrite", "bronze/failed_events"),
    "before its plan is put away": ("delete", "replays/"),
    "before the ledger": ("record", ""),
}


@pytest.mark.parametrize("then", ["replay", "land"])
@pytest.mark.parametrize("point", POINTS)
@on_disk
def test_killed_at_a_chosen_point_it_lands_once(
    point: str, then: str, installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    _land(installation, make_contract, make_delivery)
    contract = make_contract(columns=AMENDED)
    given = {"home": str(installation.settings.root), "text": contract.text, "die_at": POINTS[point]}
    process = _context.Process(target=runpy.run_path, args=(str(PROGRAM),), kwargs={"init_globals": given})
    process.start()
    process.join(60)
    assert process.exitcode == -9, "the program did not come to the point"
    fresh = Installation(StorageSettings(home=installation.settings.root, now=installation.settings.now))
    later = 0
    if then == "land":  # another package comes before anybody looks
        assert fresh.lander.land(contract, make_delivery({"id": ["7"], "v": ["7"], "mail": [None]})).landed == 1
        later = 1
    finish_all(fresh.lake)
    replay(fresh, contract, Chosen())
    assert _totals(fresh) == (6 + later, 3 + later, 3, 0, 0)
    assert sorted(r[0] for r in _rows(fresh)) == [1, 2, 4, *[7] * later]
    assert not [k for k in fresh.lake.objects.keys("replays") if "pending" in k]
    fresh.ledger.close()
