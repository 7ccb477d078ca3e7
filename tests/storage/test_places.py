"""The registry of places: nothing that is there may be missing from it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import create_engine, text

from onefold_storage.installation import Installation
from onefold_storage.ledger_tables import metadata
from onefold_storage.places import PLACES, place_of, undeclared
from onefold_storage.schema import TABLES
from onefold_storage.shapes import TableShape


def test_every_place_of_a_filled_installation_is_declared(filled: Installation) -> None:
    assert undeclared(filled) == []


def test_every_declared_table_with_personal_columns_has_an_eraser() -> None:
    for table in TABLES.values():
        place = place_of("table", table.name)
        assert place is not None, f"{table.name}: declare it in places.py"
        if table.personal:
            assert place.erase is not None, f"{table.name}: holds {', '.join(table.personal)} and has no eraser"
    assert place_of("table", "bronze/anything").erase  # type: ignore[union-attr]
    assert place_of("table", "gold/features/visits").erase  # type: ignore[union-attr]
    assert {p.name for p in PLACES if p.kind == "ledger"} == {*metadata.tables, "alembic_version", "lake_heads"}


def test_a_place_without_an_eraser_says_why() -> None:
    for place in PLACES:
        assert place.erase or place.holds.startswith(("none", "the lake", "the ledger", "the demo")), place


def _object(i: Installation) -> None:
    i.lake.objects.put("exports/people.csv", b"ann@example.com")


def _object_beside_a_table(i: Installation) -> None:
    i.lake.objects.put("silver/people.csv", b"ann@example.com")


def _unfinished(i: Installation) -> None:
    i.lake.objects.put("exports/people.csv.1f.tmp", b"ann@example.com")


def _table(i: Installation) -> None:
    shape = TableShape(pa.schema([("name", pa.string())]))
    i.lake.replace("silver/people", pa.table({"name": ["Ann"]}), shape=shape)


def _ledger(i: Installation) -> None:
    engine = create_engine(i.settings.ledger)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE callers (name TEXT)"))
    engine.dispose()


def _home(i: Installation) -> None:
    (i.settings.root / "downloads").mkdir()


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (_object, "objects: exports/people.csv"),
        (_object_beside_a_table, "objects: silver/people.csv"),
        (_unfinished, "objects: exports/people.csv.1f.tmp"),
        (_table, "table: silver/people"),
        (_ledger, "ledger: callers"),
        (_home, "home: downloads"),
    ],
)
def test_a_place_that_nobody_declared_is_found(plant: Any, found: str, installation: Installation) -> None:
    assert undeclared(installation) == []
    plant(installation)
    assert found in undeclared(installation)


def test_a_declared_table_that_lost_its_place_is_found(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onefold_storage.places as places

    monkeypatch.setattr(places, "PLACES", tuple(p for p in PLACES if p.name != "silver/documents"))
    assert undeclared(installation) == ["table: silver/documents"]
