"""Columns that are only called a number: of a house, of the row, or of a customer."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from onefold_storage import contracts
from onefold_workers.drafting import draft

_GIVEN = ("Anna", "Emil", "Greta", "Oskar", "Lena", "Paul", "Mia", "Jonas")
_FAMILY = ("Weber", "Koch", "Braun", "Vogel", "Maier", "Wolf")
_STREETS = ("Hauptstraße", "Lindenweg", "Marktplatz", "Ringallee", "Dorfgasse")


def drafted(**columns: list[str | None]) -> contracts.Contract:
    """The contract that the columns' draft is."""
    return contracts.parse(draft(pa.table(columns), "people", "people.csv"), "draft")


def people(rows: int) -> dict[str, list[str | None]]:
    """Names and towns of so many people."""
    return {
        "Vorname": [_GIVEN[i % len(_GIVEN)] for i in range(rows)],
        "Nachname": [_FAMILY[i % len(_FAMILY)] for i in range(rows)],
        "PLZ": [str(10_000 + i * 37) for i in range(rows)],
    }


@pytest.mark.parametrize("header", ["Nr", "nr", "Nr.", "No", "NUMBER", "Nummer", "Numero"])
@pytest.mark.parametrize("rows", [4, 400])
@pytest.mark.parametrize("street", ["with numbers", "without numbers, far away", "none"])
def test_a_running_number_is_the_rows_own(header: str, rows: int, street: str) -> None:
    columns = {header: [str(i + 1) for i in range(rows)], **people(rows)}
    if street != "none":
        numbered = street == "with numbers"
        columns["Straße"] = [
            f"{_STREETS[i % 5]} {i % 90 + 1}" if numbered else _STREETS[i % 5] for i in range(rows)
        ]
    contract = drafted(**columns)
    assert header not in contract.kinds
    assert contract.primary_key == (header,)
    assert ("Straße" in contract.kinds) == (street != "none")


def test_a_running_number_beside_a_street_is_no_house_number() -> None:
    rows = 400
    streets: list[str | None] = [_STREETS[i % 5] for i in range(rows)]
    counted: list[str | None] = [str(i + 1) for i in range(rows)]
    gaps: list[str | None] = [str(3 * i + i % 2 + 1) for i in range(rows)]
    numbered: list[str | None] = [f"{s} {i % 80 + 1}" for i, s in enumerate(streets)]
    for columns in (
        {"Nr": counted, "Straße": streets},
        {"Nr": gaps, "Straße": numbered},
        {"Straße": streets, "Nr": counted},
        {"Straße": streets, "Nr": gaps},
        {"Straße": numbered, "Nr": counted},
        {
            "Straße": [_STREETS[0], _STREETS[1], _STREETS[2], _STREETS[3]] * 100,
            "Hausnr": ["7", "9"] * 200,
            "Nr": gaps,
        },
    ):
        contract = drafted(**people(rows), **columns)
        assert "Nr" not in contract.kinds
        assert contract.primary_key == ("Nr",)


@pytest.mark.parametrize("header", ["Nr", "nr", "No.", "number", "numero"])
def test_a_number_after_a_street_without_one_is_of_the_house(header: str) -> None:
    few = drafted(**people(4), **{"Straße": ["Weg", "Allee", "Gasse", "Ring"], header: ["3", "9a", "7", "12"]})
    assert few.kinds[header] == "house_number"
    drawn = random.Random(5)
    numbers: list[str | None] = [str(drawn.randint(1, 90)) for _ in range(400)]
    streets: list[str | None] = [_STREETS[i % 5] for i in range(400)]
    assert drafted(**people(400), **{"Straße": streets, header: numbers}).kinds[header] == "house_number"
    # As in French addresses: before the street, where the numbers repeat.
    assert drafted(**people(400), **{header: numbers, "rue": streets}).kinds[header] == "house_number"
    assert header not in drafted(**{header: numbers}, **people(400), **{"Straße": streets}).kinds
