"""Households: by a source's word or one name at one address; their IDs are as stable as golden ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from onefold_storage.schema import HOUSEHOLDS
from onefold_workers.households import MOST, assign_households, households

T0 = datetime(2018, 1, 1, tzinfo=UTC)
NONE = pl.DataFrame(pl.from_arrow(HOUSEHOLDS.arrow.empty_table()))
ADDRESS = ("house_number", "street", "address_line2", "city", "postcode")


def customers(*rows: tuple[str, str | None, str | None]) -> pl.DataFrame:
    """Golden ID, family name, street; all else is one address."""
    made = [
        {"golden_id": g, "family_name": f, "street": s, "house_number": "1", "address_line2": None}
        | {"city": "Ham", "postcode": "AB1" if s else None}
        for g, f, s in rows
    ]
    return pl.DataFrame(made, schema=dict.fromkeys(["golden_id", "family_name", *ADDRESS], pl.String))


def relations(*pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema={"from_key": pl.String, "to_key": pl.String}, orient="row")


def links(**of: str) -> pl.DataFrame:
    made = {k.replace("_", ":"): v for k, v in of.items()}
    return pl.DataFrame(
        {"record_key": list(made), "golden_id": list(made.values())},
        schema=dict.fromkeys(["record_key", "golden_id"], pl.String),
    )


def groups(found: pl.DataFrame) -> set[frozenset[str]]:
    return {frozenset(g) for g in found.group_by("cluster").agg("golden_id")["golden_id"].to_list()}


def test_one_name_at_one_address_is_a_household_and_neighbours_are_none() -> None:
    frame = customers(
        ("a", "O'Neil", "High St"), ("b", "ONeil", "high st."), ("c", "Lee", "High St"), ("d", None, None)
    )
    assert groups(households(frame, relations(), links())) == {frozenset("ab")}


def test_a_source_may_say_so_by_record_or_by_a_household_of_its_own() -> None:
    frame = customers(("a", "Lee", "High St"), ("b", "Hill", "High St"), ("c", "Fox", None), ("d", "Orr", None))
    of = links(crm_1="a", crm_2="b", crm_3="c", crm_4="d")
    by_record = households(frame, relations(("crm:1", "crm:2")), of)
    assert groups(by_record) == {frozenset("ab")}
    by_card = households(frame, relations(("crm:3", "card:9"), ("crm:4", "card:9"), ("crm:1", "card:8")), of)
    assert groups(by_card) == {frozenset("cd")}


def test_many_of_one_name_at_one_address_are_no_household() -> None:
    frame = customers(*((f"g{i}", "Lee", "Head Office") for i in range(MOST + 1)))
    assert households(frame, relations(), links()).height == 0


def test_ids_stay_over_runs_and_say_since_when() -> None:
    two, three = [("a", "Lee", "High St"), ("b", "Lee", "High St")], ("c", "Lee", "High St")
    first = assign_households(households(customers(*two), relations(), links()), NONE, T0, "salt")
    assert first.columns == HOUSEHOLDS.arrow.names
    assert first["household_id"].str.starts_with("h").all()
    again = assign_households(
        households(customers(*two), relations(), links()), first, T0 + timedelta(days=1), "salt"
    )
    assert again.equals(first)
    more = assign_households(
        households(customers(*two, three), relations(), links()), first, T0 + timedelta(days=2), "salt"
    )
    assert set(more["household_id"]) == set(first["household_id"])
    alone = assign_households(
        households(customers(two[0]), relations(), links()), more, T0 + timedelta(days=3), "salt"
    )
    assert alone["valid_to"].null_count() == 0
