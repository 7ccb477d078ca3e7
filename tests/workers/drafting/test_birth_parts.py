"""A date of birth over three columns: found by the draft, one date to whoever uses the contract."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from onefold.link import link
from onefold_storage import contracts
from onefold_workers.cleaning import standardise
from onefold_workers.drafting import draft

PEOPLE = pl.DataFrame(
    {
        "first_name": ["Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Ann", "Rose"],
        "surname": ["Lee", "Ray", "Fox", "Orr", "May", "Roe", "Poe", "Day", "Hay", "Leee", "Ray"],
        "y": ["1967", "1971", "1980", "1992", "1955", "1949", "2001", "1963", "1988", "1967", "1932"],
        "m": ["9", "02", "11", "7", "1", "12", "3", "10", "4", "9", "6"],
        "d": ["27", "14", "3", "30", "9", "25", "8", "19", "22", "27", "1"],
        "who": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "a", "k"],
    }
)


def drafted(frame: pl.DataFrame) -> contracts.Contract:
    return contracts.parse(draft(pa.table(frame.to_arrow()), "people", "people.csv"), "draft")


@pytest.mark.parametrize(
    "headers",
    [
        ("by", "bm", "bd"),
        ("birth_year", "birth_month", "birth_day"),
        ("yob", "mob", "dob"),
        ("Geburtsjahr", "Geburtsmonat", "Geburtstag"),
        ("year", "month", "day"),
        ("YearOfBirth", "MonthOfBirth", "DayOfBirth"),
    ],
)
def test_three_columns_are_one_date(headers: tuple[str, str, str]) -> None:
    found = drafted(PEOPLE.drop("who").rename(dict(zip("ymd", headers, strict=True))))
    parts = {c.name: (c.rules.kind, c.rules.format) for c in found.columns if c.name in headers}
    assert parts == {
        h: ("birth_date", f) for h, f in zip(headers, ("%Y", "%m", "%d"), strict=True)
    }  # fmt: skip


def test_other_dates_in_parts_are_not_a_birth() -> None:
    whole = PEOPLE.drop("who").with_columns(dob=pl.lit("1980-05-06"), y2=pl.lit("x"))
    assert {c.name for c in drafted(whole).columns if c.rules.kind == "birth_date"} == {"dob"}
    nobody = PEOPLE.select("y", "m", "d", amount=pl.lit("12.50")).rename({"y": "year", "m": "month", "d": "day"})
    assert not drafted(nobody).kinds


def test_the_parts_are_joined_and_a_year_alone_is_kept_for_comparison(tmp_path: Path) -> None:
    people = PEOPLE.rename({"y": "by", "m": "bm", "d": "bd"})
    contract, file = tmp_path / "c.yaml", tmp_path / "people.csv"
    contract.write_text(draft(pa.table(people.drop("who").to_arrow()), "people", str(file)))
    people.write_csv(file)
    assert link([file], contract, tmp_path / "out.parquet", "who").f1 == 1.0
    kinds, formats = dict.fromkeys(("by", "bm", "bd"), "birth_date"), {"by": "%Y", "bm": "%m", "bd": "%d"}
    cleaned = standardise(people.with_columns(bm=pl.when(pl.col("bm") != "9").then("bm")), kinds, formats=formats)
    assert cleaned["birth_date"].null_count() == 2, "a year and a day are no date"
    assert str(cleaned["birth_date"][1]) == "1971-02-14"
