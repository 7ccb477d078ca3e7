"""Schema evolution by contract: columns are added and safely widened; a breaking change holds the package back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from onefold_storage import evolution
from onefold_storage.drift import history
from onefold_storage.errors import BadContract, BadInput
from onefold_storage.installation import Installation

Make = Callable[..., Any]
on_disk = pytest.mark.parametrize("stored", ["file"], indirect=True)
KEY = {"logicalType": "integer", "primaryKey": True}


def money(precision: int, scale: int) -> dict[str, str]:
    return {"logicalType": "number", "physicalType": f"decimal({precision},{scale})"}


def rows(installation: Installation, source: str = "people") -> list[dict[str, Any]]:
    """The bronze rows, as Polars, DuckDB and delta-rs each read the table; they must agree."""
    lake, name = installation.lake, f"bronze/{source}"
    table = pa.table(lake.handle(name).to_pyarrow_table())
    keys = [("_package_id", "ascending"), ("_row_id", "ascending")]
    by_delta = table.sort_by(keys).drop_columns(["_landed_at"]).to_pylist()
    by_polars = lake.scan(name).sort("_package_id", "_row_id").drop("_landed_at").collect().to_dicts()
    files = lake.files(name)
    if lake.objects.local:
        union = duckdb.sql(f"SELECT * FROM read_parquet({files!r}, union_by_name=true)").to_arrow_table()
        assert union.num_rows == table.num_rows
        kinds = {f.name: f.type for f in union.schema}
        plain = [f for f in table.schema if f.name in kinds and not pa.types.is_timestamp(f.type)]
        assert all(kinds[f.name] == f.type for f in plain), "DuckDB names the zone of its own session"
    assert by_delta == by_polars
    return by_polars


WIDER: dict[str, tuple[Any, str, Any, Any, Any]] = {
    "integer to decimal": ("integer", "7", money(12, 2), "1.25", [Decimal("7.00"), Decimal("1.25")]),
    "integer to number": ("integer", "7", "number", "1.5", [7.0, 1.5]),
    "integer to string": ("integer", "7", "string", "A-7", ["7", "A-7"]),
    "decimal to more places": (
        money(6, 2), "1.25", money(9, 4), "1.2345", [Decimal("1.2500"), Decimal("1.2345")],
    ),
    "decimal to string": (money(6, 2), "1.25", "string", "x", ["1.25", "x"]),
    "number to string": ("number", "2.5", "string", "2,5", ["2.5", "2,5"]),
    "boolean to string": ("boolean", "yes", "string", "maybe", ["true", "maybe"]),
    "timestamp to string": (
        "timestamp", "2020-01-01T01:02:03Z", "string", "then", ["2020-01-01T01:02:03.000000+00:00", "then"],
    ),
    "date to string": ("date", "2020-02-29", "string", "soon", ["2020-02-29", "soon"]),
    "date to timestamp": (
        "date", "2020-07-01", "timestamp", "2020-07-01T05:00:00Z",
        [datetime(2020, 6, 30, 22, tzinfo=UTC), datetime(2020, 7, 1, 5, tzinfo=UTC)],
    ),
    "anything where no value has landed": ("string", None, "date", "2020-01-02", [None, date(2020, 1, 2)]),
}  # fmt: skip


ON_BOTH = pytest.param("integer to decimal", "s3", marks=pytest.mark.needs_minio)


@pytest.mark.parametrize(("case", "stored"), [*((case, "file") for case in WIDER), ON_BOTH], indirect=["stored"])
def test_a_safe_widening_rewrites_the_table_once(
    case: str, installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    was, one, wider, two, expected = WIDER[case]
    options = {"timezone": "Europe/Berlin"}
    lake, land = installation.lake, installation.lander.land
    land(
        make_contract(columns={"id": KEY, "v": was}, **options),
        make_delivery(pa.table({"id": ["1"], "v": pa.array([one], pa.string())})),
    )
    before = lake.version("bronze/people")
    package = land(
        make_contract(columns={"id": KEY, "v": wider}, **options), make_delivery({"id": ["2"], "v": [two]})
    )
    assert (package.seq, package.landed) == (2, 1)
    found = rows(installation)
    assert [r["v"] for r in found] == expected
    assert lake.version("bronze/people") == before + 2, "one commit widens, one lands"
    assert lake.transaction("bronze/people", "land") == 2
    (change,) = history(lake, "people")["changes"][1:]
    assert set(change["changed"]) == {"v"}
    assert change["package"] == package.package_id
    land(make_contract(columns={"id": KEY, "v": wider}, **options), make_delivery({"id": ["3"], "v": [two]}))
    assert lake.version("bronze/people") == before + 3, "what is wide enough is not rewritten"


NARROWER = {
    "string to integer": ("string", "x", "integer"),
    "number to integer": ("number", "1", "integer"),
    "number to decimal": ("number", "1", money(9, 2)),
    "fewer digits": (money(9, 2), "1", money(8, 2)),
    "fewer places": (money(9, 2), "1", money(9, 1)),
    "timestamp to date": ("timestamp", "2020-01-01T00:00:00Z", "date"),
    "boolean to integer": ("boolean", "yes", "integer"),
}


@on_disk
@pytest.mark.parametrize("case", NARROWER)
def test_a_narrower_type_holds_the_package_until_the_contract_is_amended(
    case: str, installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    was, value, narrow = NARROWER[case]
    right = make_contract(columns={"id": KEY, "v": was})
    installation.lander.land(right, make_delivery({"id": ["1"], "v": [value]}))
    before = rows(installation)
    sent = {"id": ["2"], "v": [value]}
    with pytest.raises(
        BadContract, match=r"people: the contract changes the type of v from .* to .*: put the type"
    ):
        installation.lander.land(make_contract(columns={"id": KEY, "v": narrow}), make_delivery(sent))
    assert rows(installation) == before
    assert [p.status for p in installation.ledger.packages.list()].count("held") == 1
    assert installation.lander.land(right, make_delivery(sent)).landed == 1
    assert [p.status for p in installation.ledger.packages.list()] == ["committed", "committed"]


@on_disk
@pytest.mark.parametrize(
    ("value", "wider"), [("12345", money(5, 2)), (str(2**53 + 1), "number"), (str(2**63 - 1), money(18, 0))]
)
def test_a_widening_that_would_lose_a_value_changes_nothing(
    value: str, wider: Any, installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    installation.lander.land(
        make_contract(columns={"id": KEY, "v": "integer"}), make_delivery({"id": ["1", "2"], "v": ["1", value]})
    )
    before, version = rows(installation), installation.lake.version("bronze/people")
    with pytest.raises(BadContract, match=r"makes v number.*does not hold every value"):
        installation.lander.land(
            make_contract(columns={"id": KEY, "v": wider}), make_delivery({"id": ["3"], "v": ["3"]})
        )
    assert rows(installation) == before
    assert installation.lake.version("bronze/people") == version
    exact = make_contract(columns={"id": KEY, "v": money(21, 2)})
    assert installation.lander.land(exact, make_delivery({"id": ["3"], "v": ["3"]})).landed == 1
    assert rows(installation)[1]["v"] == Decimal(value)


def test_columns_come_and_go_with_the_contract_and_are_recorded(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    land = installation.lander.land
    sent = {"id": ["1"], "name": ["A"], "Shoe size": ["42"], "Ann@example.com": ["x"], "+44 20794601": ["y"]}
    first = land(make_contract(), make_delivery(sent))
    assert first.message == "1 column not in the contract, kept in _extra: Shoe size", "data as names is not shown"
    again = land(make_contract(), make_delivery(sent | {"id": ["2"]}))
    assert again.message is None, "told once"
    grown = {"id": KEY, "name": "string", "Shoe size": "integer"}
    third = land(make_contract(columns=grown), make_delivery(sent | {"id": ["3"]}))
    assert third.message == "the table follows the contract: Shoe size"
    assert [r["Shoe size"] for r in rows(installation)] == [None, None, 42]
    fourth = land(make_contract(columns=grown), make_delivery({"id": ["4"], "name": ["D"]}))
    assert fourth.message == "1 column of the contract did not come: Shoe size"
    land(make_contract(columns={"id": KEY}), make_delivery({"id": ["5"], "name": ["E"]}))
    last = rows(installation)[-1]
    assert (last["name"], last["_extra"]) == (None, '{"name":"E"}')
    known = history(installation.lake, "people")
    assert [sorted(set(c) - {"at", "package", "contract"}) for c in known["changes"]] == [
        ["added", "unknown"], ["added"], ["absent"], ["removed", "unknown"],
    ]  # fmt: skip
    assert known["columns"] == {"id": "integer"}
    assert "Ann@" not in repr(known)
    assert "20794601" not in repr(known)


@on_disk
def test_what_is_told_once_stays_told_and_the_history_does_not_grow(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract, whole = make_contract(), {"id": ["1"], "name": ["A"], "x": ["1"]}
    messages = []
    for n in range(6):
        sent = (whole if n % 2 else {"id": ["1"]}) | {"id": [str(n)]}
        messages.append(installation.lander.land(contract, make_delivery(sent)).message)
    assert [m is None for m in messages] == [False, False, True, True, True, True]
    known = history(installation.lake, "people")
    assert (known["absent"], known["unknown"], len(known["changes"])) == (["name"], ["x"], 2)
    many = replace(make_delivery({"id": ["9"]}), apart=True)
    others = make_contract("others")
    assert installation.lander.land(others, many).message is None, "of many senders each leaves something out"


@on_disk
def test_a_typed_column_that_changed_is_named_by_its_type(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract(columns={"id": KEY, "v": "date"})
    installation.lander.land(contract, make_delivery({"id": ["1"], "v": ["2020-01-01"]}))
    sent = pa.table({"id": pa.array([2, 3, 4]), "v": pa.array([True, False, True])})
    with pytest.raises(BadInput, match="expects date, found boolean in all 3 values"):
        installation.lander.land(contract, make_delivery(sent))


@on_disk
def test_data_in_place_of_names_is_not_remembered(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract(columns={"name": "string"})
    installation.lander.land(contract, make_delivery({"Cyril Jones": ["Ann Smith"], "Berlin": ["Bonn"]}))
    assert history(installation.lake, "people")["unknown"] == []


def test_a_column_that_no_longer_fits_at_all_holds_the_package(
    installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract(columns={"id": KEY, "v": "integer"})
    land = installation.lander.land
    assert land(contract, make_delivery({"id": ["1", "2", "3"], "v": ["x", "y", "z"]})).failed == 3, (
        "the first: bad"
    )
    land(contract, make_delivery({"id": ["4"], "v": ["4"]}))
    sent = {"id": ["5", "6", "7", "8"], "v": ["5.5", None, "6.5", "7.5"]}
    told = r"people.csv: column v has changed: contract people expects integer, found number in all 3 values"
    with pytest.raises(BadInput, match=told):
        land(contract, make_delivery(sent))
    assert len(rows(installation)) == 1
    assert installation.lake.scan("bronze/failed_events").collect().height == 3
    package = land(make_contract(columns={"id": KEY, "v": "number"}), make_delivery(sent))
    assert (package.landed, package.failed) == (4, 0)
    assert [r["v"] for r in rows(installation)] == [4.0, 5.5, None, 6.5, 7.5]


@on_disk
@pytest.mark.parametrize("values", [["x", "y"], ["x", "y", "z", "4"], ["x", "y", "z", *[None] * 9]])
def test_some_bad_rows_are_failed_events_as_ever(
    values: list[str | None], installation: Installation, make_contract: Make, make_delivery: Make
) -> None:
    contract = make_contract(columns={"id": KEY, "v": "integer"})
    installation.lander.land(contract, make_delivery({"id": ["1"], "v": ["1"]}))
    ids = [str(n + 2) for n in range(len(values))]
    package = installation.lander.land(contract, make_delivery({"id": ids, "v": values}))
    assert package.failed == sum(v in ("x", "y", "z") for v in values)
    assert package.sent == package.landed + package.failed


@on_disk
def test_a_widening_keeps_about_one_row_group_in_memory(
    installation: Installation, make_contract: Make, make_delivery: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 300_000
    ids = [str(n) for n in range(many)]
    contract = make_contract(columns={"id": {"logicalType": "integer"}, "v": "integer"})
    installation.lander.land(contract, make_delivery({"id": ids, "v": ids}))
    largest: list[int] = []
    convert = evolution._converted

    def noted(source: str, table: pa.Table, *args: Any) -> pa.Table:
        largest.append(table.num_rows)
        return convert(source, table, *args)

    monkeypatch.setattr(evolution, "_converted", noted)
    wider = make_contract(columns={"id": {"logicalType": "integer"}, "v": money(21, 2)})
    installation.lander.land(wider, make_delivery({"id": ["x"], "v": ["1"]}))
    assert sum(largest) == many
    assert max(largest) <= 131_072 + 70_000
    total = installation.lake.scan("bronze/people").select(pl.col("v").sum()).collect().item()
    assert total == sum(range(many))
