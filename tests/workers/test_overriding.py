"""Values that people set win over every rule, follow their record, and can be taken back; every address stays."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from onefold_storage.schema import CONTACT_RECORDS, OVERRIDES
from onefold_workers.profiles import golden_records
from onefold_workers.survivorship import Survivorship

START = datetime(2017, 1, 1, tzinfo=UTC)


def record(key: str, golden_id: str, **known: Any) -> dict[str, Any]:
    return {
        "record_key": key,
        "golden_id": golden_id,
        "source": key.split(":", maxsplit=1)[0],
        "effective_at": START,
        **known,
    }


def golden(rows: list[dict[str, Any]], *said: tuple[str, str, str | None, int]) -> dict[str, dict[str, Any]]:
    """Golden records by ID; `said`: record key, field, value, day."""
    shape = dict(pl.DataFrame(pl.from_arrow(CONTACT_RECORDS.arrow.empty_table())).schema) | {"golden_id": pl.String}
    records = pl.DataFrame([{c: r.get(c) for c in shape} for r in rows], schema=shape)
    names = ("record_key", "field", "value", "decided_at")
    overrides = pl.DataFrame(
        [dict(zip(names, (*s[:3], START + timedelta(days=s[3])), strict=True)) | {"decided_by": "x"} for s in said],
        schema=dict(pl.DataFrame(pl.from_arrow(OVERRIDES.arrow.empty_table())).schema),
    )
    found = golden_records(records, Survivorship(trust={"crm": 90}), overrides=overrides)
    return {r["golden_id"]: r for r in found.to_dicts()}


BOTH = [
    record("crm:1", "g", given_name="Ann", family_name="Lee", birth_date=date(1890, 1, 1), email="a@x.example"),
    record("shop:1", "g", given_name="Anne", family_name="Lee", email="b@x.example"),
]


def test_a_set_value_wins_over_every_rule_and_says_so() -> None:
    found = golden(BOTH, ("shop:1", "birth_date", "1980-02-03", 1), ("shop:1", "email", "new@x.example", 1))["g"]
    assert found["birth_date"] == date(1980, 2, 3)
    assert found["emails"] == ["new@x.example", "a@x.example", "b@x.example"]
    assert found["overridden"] == ["birth_date", "email"]
    assert json.loads(found["provenance"])["birth_date"] == "shop:1"
    assert found["full_name"] == "Ann Lee"


def test_the_last_word_counts_and_can_be_taken_back() -> None:
    first, second, back = ("crm:1", "given_name", "Anna", 1), ("crm:1", "given_name", "Hannah", 2), None
    assert golden(BOTH, second, first)["g"]["given_name"] == "Hannah"
    assert golden(BOTH, first, ("shop:1", "given_name", "Hannah", 2))["g"]["full_name"] == "Hannah Lee"
    taken = golden(BOTH, first, ("crm:1", "given_name", back, 3))["g"]
    assert taken == golden(BOTH)["g"]
    assert taken["overridden"] == []


def test_an_empty_value_says_that_there_is_none_and_a_full_name_stands() -> None:
    found = golden(BOTH, ("crm:1", "birth_date", "", 1), ("crm:1", "full_name", "Dr. Ann Lee", 1))["g"]
    assert found["birth_date"] is None
    assert found["full_name"] == "Dr. Ann Lee"


def test_it_follows_its_record_through_merge_and_split() -> None:
    said = ("shop:1", "given_name", "Annabel", 1)
    apart = [BOTH[0], BOTH[1] | {"golden_id": "h"}]
    assert golden(BOTH, said)["g"]["given_name"] == "Annabel"
    split = golden(apart, said)
    assert (split["g"]["given_name"], split["h"]["given_name"]) == ("Ann", "Annabel")
    assert split["g"]["overridden"] == []


def test_every_address_stays_reachable_the_winner_first() -> None:
    old = record("crm:1", "g", street="Mill Road", house_number="1", city="Ham")
    new = record("shop:1", "g", street="High Street", house_number="9", city="Ham") | {
        "effective_at": START + timedelta(days=1)
    }
    copy = record("news:1", "g", street="Mill Road", house_number="1", city="Ham")
    found = golden([old, new, copy, record("web:1", "h", email="x@y.example")])
    assert [(a["street"], a["house_number"]) for a in found["g"]["addresses"]] == [
        ("High Street", "9"),
        ("Mill Road", "1"),
    ]
    assert found["h"]["addresses"] == []
