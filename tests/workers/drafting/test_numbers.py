"""Columns that are only called a number: of a house, of the row, or of a customer."""

from __future__ import annotations

import random

import polars as pl
import pyarrow as pa
import pytest

from onefold_storage import contracts
from onefold_storage.checking import check
from onefold_storage.deliveries import Batch
from onefold_workers.drafting import draft
from onefold_workers.mapping import silver_rows

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


def master(number: str, rows: int = 600) -> dict[str, list[str | None]]:
    """A customer master: a number of each customer's own, and an email for most of them."""
    drawn = random.Random(7)
    names = people(rows)
    return {
        number: [str(100_000 + 7 * i) for i in range(rows)],
        "Vorname": names["Vorname"],
        "Nachname": names["Nachname"],
        "E-Mail": [None if drawn.random() < 0.15 else f"person{i}@example.org" for i in range(rows)],
        "Geb.-Datum": [f"{i % 28 + 1:02}.{i % 12 + 1:02}.{1940 + i % 60}" for i in range(rows)],
        "Umsatz (EUR)": [f"{13 * i + i % 89 / 100 + 0.11:.2f}" for i in range(rows)],
        "Angelegt am": [f"{i % 28 + 1:02}.{i % 12 + 1:02}.{2012 + i % 12}" for i in range(rows)],
        "Werbung erlaubt": [drawn.choice(["ja", "nein"]) for _ in range(rows)],
    }


def silver_people(contract: contracts.Contract, sample: pa.Table) -> pl.DataFrame:
    """The contact records that the contract makes of the sample; no row of it is bad."""
    checked = check(contract, Batch(sample, pa.array(range(sample.num_rows), pa.int64())))
    assert not len(checked.bad)
    rows = checked.rows.with_columns(
        pl.lit("p1").alias("_package_id"),
        pl.lit("2030-01-01").str.to_datetime(time_unit="us", time_zone="UTC").alias("_landed_at"),
    ).to_arrow(compat_level=pl.CompatLevel.oldest())
    people = pl.from_arrow(silver_rows(contract, rows)["silver/contact_records"])
    assert isinstance(people, pl.DataFrame)
    return people


@pytest.mark.parametrize(
    "number", ["Kd-Nr", "Kd.-Nr.", "KdNr", "Kdnr", "KDNR", "Kd_Nummer", "KndNr", "Kundennummer", "customer_id"]
)
def test_a_customer_master_is_contact_records_by_the_customers_number(number: str) -> None:
    sample = pa.table(master(number))
    contract = contracts.parse(draft(sample, "people", "people.csv"), "draft")
    assert contract.kinds[number] == "external_id"
    assert contract.primary_key == (number,)
    assert [m.table for m in contract.maps] == ["contact_records", "consents"]
    records = silver_people(contract, sample)
    assert records["record_key"].n_unique() == sample.num_rows
    # What they spent stays theirs, though no two spent the same.
    assert "Umsatz (EUR)" in records["attributes"][0]


@pytest.mark.parametrize("time", ["Angelegt am", "Erster Kauf", "Datum"])
def test_a_customers_number_that_no_two_rows_share_makes_no_interactions(time: str) -> None:
    columns = master("Kd-Nr")
    columns[time] = columns.pop("Angelegt am")
    assert "interactions" not in {m.table for m in drafted(**columns).maps}
    # Nor do numbers or emails that some rows lack, and no two share.
    columns["Kd-Nr"][5] = None
    assert "interactions" not in {m.table for m in drafted(**columns).maps}


def test_a_running_number_keys_a_master_without_customers_numbers() -> None:
    columns = master("Nr")
    columns["Nr"] = [str(i + 1) for i in range(600)]
    contract = drafted(**columns)
    assert contract.primary_key == ("Nr",)
    assert [m.table for m in contract.maps] == ["contact_records", "consents"]


def test_rows_that_share_a_customers_number_stay_interactions() -> None:
    columns = master("Kd-Nr")
    columns["Kd-Nr"] = [str(100_000 + i % 200) for i in range(600)]
    purchases = {"Beleg-Nr": [str(i) for i in range(600)], **columns}
    for rows in (columns, purchases):
        contract = drafted(**rows)
        assert "interactions" in {m.table for m in contract.maps}
    assert contract.primary_key == ("Beleg-Nr",)
