"""Golden records: the right record wins each field, and says that it did, whatever the order of the rows."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold_storage.schema import CONTACT_RECORDS, CUSTOMERS, Table
from onefold_workers.profiles import golden_records
from onefold_workers.survivorship import Group, Rule, Survivorship

START = datetime(2017, 1, 1, tzinfo=UTC)


def day(n: float) -> datetime:
    return START + timedelta(days=n)


def _frame(table: Table, rows: list[dict[str, Any]], **more: Any) -> pl.DataFrame:
    types = dict(cast("pl.DataFrame", pl.from_arrow(table.arrow.empty_table())).schema) | more
    return pl.DataFrame([{c: row.get(c) for c in types} for row in rows], schema=types, orient="row")


def records(*rows: dict[str, Any]) -> pl.DataFrame:
    """Contact records with golden IDs; `key` is `source:key`, what is not named is null."""
    base = {"effective_at": day(0), "deleted": False}
    filled = [base | {"record_key": r["key"], "source": r["key"].split(":")[0]} | r for r in rows]
    return _frame(CONTACT_RECORDS, filled, golden_id=pl.String)


def one(frame: pl.DataFrame, rules: Survivorship | None = None) -> dict[str, Any]:
    golden = golden_records(frame, rules or Survivorship())
    assert golden.height == 1
    return golden.to_dicts()[0]


TWO = records(
    {"key": "crm:1", "golden_id": "g", "given_name": "Robert", "family_name": "Hill", "email": "bob@example.com"}
    | {"effective_at": day(1)},
    {"key": "shop:1", "golden_id": "g", "given_name": "Bob", "family_name": "Hill", "email": "robert@example.com"}
    | {"effective_at": day(9), "phone": "+15135550100", "city": "Fox Hollow"},
)


@pytest.mark.parametrize(
    ("rule", "email"),
    [
        ("most_recent", "robert@example.com"),
        ("most_trusted", "bob@example.com"),
        ("most_complete", "robert@example.com"),
        ("longest", "robert@example.com"),
    ],
)
def test_each_rule_decides(rule: Rule, email: str) -> None:
    rules = Survivorship(fields={"email": (rule,)}, trust={"crm": 90, "shop": 10})
    found = one(TWO, rules)
    assert found["email"] == email
    assert found["emails"] == [email, *({"bob@example.com", "robert@example.com"} - {email})]


def test_most_frequent_counts_values_and_the_chain_breaks_its_ties() -> None:
    frame = records(
        {"key": "a:1", "golden_id": "g", "gender": "f", "effective_at": day(1)},
        {"key": "b:1", "golden_id": "g", "gender": "f", "effective_at": day(2)},
        {"key": "c:1", "golden_id": "g", "gender": "m", "effective_at": day(3)},
        {"key": "d:1", "golden_id": "g", "birth_date": date(1980, 1, 2), "effective_at": day(4)},
        {"key": "e:1", "golden_id": "g", "birth_date": date(1980, 2, 1), "effective_at": day(5)},
    )
    found = one(frame, Survivorship(default=("most_frequent", "most_recent")))
    assert found["gender"] == "f"
    assert found["birth_date"] == date(1980, 2, 1)
    assert json.loads(found["provenance"]) == {"gender": "b:1", "birth_date": "e:1"}


def test_ties_go_to_the_lesser_record_key() -> None:
    frame = records(
        {"key": "a:2", "golden_id": "g", "gender": "f"}, {"key": "a:1", "golden_id": "g", "gender": "m"}
    )
    assert one(frame)["gender"] == "m"


def test_no_address_is_made_of_two() -> None:
    frame = records(
        {"key": "crm:1", "golden_id": "g", "house_number": "12", "street": "Oak St", "city": "Fox Hollow"}
        | {"postcode": "45010", "effective_at": day(1)},
        {"key": "shop:1", "golden_id": "g", "street": "Elm St", "city": "Mill Falls", "effective_at": day(5)},
        {"key": "news:1", "golden_id": "g", "postcode": "47011", "effective_at": day(9)},
    )
    found = one(frame)
    assert (found["house_number"], found["street"], found["city"], found["postcode"]) == (
        None,
        "Elm St",
        "Mill Falls",
        None,
    )
    assert json.loads(found["provenance"]) == {"street": "shop:1", "city": "shop:1"}
    only = one(frame.filter(pl.col("source") == "news"))
    assert only["postcode"] == "47011"


def test_a_group_without_needs_takes_the_chain_as_it_is() -> None:
    rules = Survivorship(groups={"place": Group(fields=("city", "postcode"), rules=("most_recent",))})
    frame = records(
        {"key": "a:1", "golden_id": "g", "city": "Fox Hollow", "postcode": "45010", "effective_at": day(1)},
        {"key": "b:1", "golden_id": "g", "postcode": "47011", "effective_at": day(2)},
    )
    found = one(frame, rules)
    assert (found["city"], found["postcode"]) == (None, "47011")


def test_names_come_from_one_record_and_make_the_full_name() -> None:
    frame = records(
        {"key": "crm:1", "golden_id": "g", "family_name": "Hill", "effective_at": day(9)},
        {"key": "shop:1", "golden_id": "g", "given_name": "Ann", "family_name": "Moore", "full_name": "ANN MOORE"},
    )
    found = one(frame)
    assert (found["given_name"], found["family_name"], found["full_name"]) == ("Ann", "Moore", "Ann Moore")
    assert json.loads(found["provenance"])["full_name"] == "shop:1"
    longer = records({"key": "zoo:1", "golden_id": "g", "full_name": "Ann B Moore", "effective_at": day(20)})
    found = one(pl.concat([frame, longer]))
    assert found["full_name"] == "Ann Moore"
    assert json.loads(found["provenance"])["full_name"] == "shop:1"


@pytest.mark.parametrize(
    ("full", "given_name", "family_name"),
    [
        ("Ann Moore", "Ann", "Moore"),
        ("Ann Mary Moore", None, None),
        ("Moore, Ann", None, None),
        ("Ann", None, None),
        ("森 淳", "淳", "森"),
    ],
)
def test_a_full_name_is_split_only_where_it_is_safe(
    full: str, given_name: str | None, family_name: str | None
) -> None:
    found = one(records({"key": "s:1", "golden_id": "g", "full_name": full}))
    assert (found["given_name"], found["family_name"], found["full_name"]) == (given_name, family_name, full)


def test_all_contact_points_and_identifiers_are_kept_the_winner_first() -> None:
    frame = records(
        {
            "key": "crm:1",
            "golden_id": "g",
            "email": "a@example.com",
            "phone": "+15135550101",
            "effective_at": day(1),
        }
        | {"external_ids": [{"scheme": "card", "value": "7"}, {"scheme": "email", "value": "c@example.com"}]},
        {"key": "shop:1", "golden_id": "g", "email": "b@example.com", "effective_at": day(2)}
        | {"external_ids": [{"scheme": "card", "value": "8"}, {"scheme": "card", "value": "7"}]},
    )
    found = one(frame, Survivorship(default=("most_recent",)))
    assert found["emails"] == ["b@example.com", "a@example.com", "c@example.com"]
    assert found["phones"] == ["+15135550101"]
    cards = [i["value"] for i in found["external_ids"] if i["scheme"] == "card"]
    assert sorted(cards) == ["7", "8"]
    assert found["sources"] == ["crm", "shop"]
    assert found["records"] == 2


def test_attributes_are_merged_by_the_same_rules() -> None:
    frame = records(
        {"key": "a:1", "golden_id": "g", "attributes": '{"age":"25-34","kids":2,"x":null}', "effective_at": day(1)},
        {"key": "b:1", "golden_id": "g", "attributes": '{"age":"35-44","quote\\"d":["é"]}', "effective_at": day(2)},
        {"key": "c:1", "golden_id": "g", "attributes": "no JSON", "effective_at": day(3)},
        {"key": "d:1", "golden_id": "h", "attributes": "{}"},
    )
    golden = golden_records(frame, Survivorship(default=("most_recent",))).sort("golden_id")
    first = golden["attributes"][0]
    assert json.loads(first) == {"age": "35-44", "kids": 2, 'quote"d': ["é"]}
    assert golden["attributes"][1] is None
    trusted = Survivorship(fields={"attributes.age": ("most_trusted",)}, trust={"a": 99})
    assert json.loads(golden_records(frame, trusted)["attributes"][0])["age"] == "25-34"


def test_seen_spans_records_and_interactions() -> None:
    seen = pl.DataFrame({"golden_id": ["g", "nobody"], "first_seen": [day(-5)] * 2, "last_seen": [day(3)] * 2})
    golden = golden_records(TWO, Survivorship(), seen)
    assert golden["first_seen"].to_list() == [day(-5)]
    assert golden["last_seen"].to_list() == [day(9)]


def test_deleted_records_drop_out_and_nothing_gives_nothing() -> None:
    frame = records({"key": "a:1", "golden_id": "g", "gender": "f", "deleted": True})
    golden = golden_records(frame, Survivorship())
    assert golden.height == 0
    assert golden.to_arrow().schema.names == CUSTOMERS.arrow.names


def test_record_keys_with_quotes_stay_valid_json() -> None:
    found = one(records({"key": 'a:"1\\', "golden_id": "g", "gender": "f"}))
    assert json.loads(found["provenance"]) == {"gender": 'a:"1\\'}


_RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "golden_id": st.sampled_from(["g", "h"]),
            "source": st.sampled_from(["crm", "shop", "news"]),
            "given_name": st.sampled_from([None, "Ann", "Anna"]),
            "family_name": st.sampled_from([None, "Hill", "Moore"]),
            "email": st.sampled_from([None, "a@example.com", "b@example.com"]),
            "street": st.sampled_from([None, "Oak St"]),
            "city": st.sampled_from([None, "Fox Hollow"]),
            "attributes": st.sampled_from([None, '{"a":1}', '{"a":2,"b":3}']),
            "effective_at": st.integers(0, 3).map(day),
        }
    ),
    min_size=1,
    max_size=8,
)
_CHAIN = st.lists(
    st.sampled_from(["most_trusted", "most_recent", "most_frequent", "most_complete", "longest"]),
    min_size=1,
    max_size=3,
)


@given(rows=_RECORDS, chain=_CHAIN, turn=st.randoms(use_true_random=False))
def test_every_value_is_a_records_value_and_the_order_does_not_matter(
    rows: list[dict[str, Any]], chain: list[Rule], turn: Any
) -> None:
    keyed = [r | {"key": f"{r['source']}:{i}"} for i, r in enumerate(rows)]
    rules = Survivorship(default=tuple(chain), trust={"crm": 80, "shop": 60})
    golden = golden_records(records(*keyed), rules)
    mixed = list(keyed)
    turn.shuffle(mixed)
    assert golden.equals(golden_records(records(*mixed), rules))
    assert set(golden["golden_id"]) == {r["golden_id"] for r in rows}
    by_key = {r["key"]: r for r in keyed}
    for customer in golden.to_dicts():
        mine = [r for r in keyed if r["golden_id"] == customer["golden_id"]]
        came = json.loads(customer["provenance"])
        for field in ("given_name", "family_name", "email", "street", "city"):
            value = customer[field]
            assert (value is None) == (field not in came)
            if value is not None:
                assert by_key[came[field]][field] == value
                assert by_key[came[field]]["golden_id"] == customer["golden_id"]
        assert set(customer["emails"]) == {r["email"] for r in mine if r["email"]}
        if customer["email"]:
            assert customer["emails"][0] == customer["email"]
        if came.get("street") and came.get("city"):
            assert came["street"] == came["city"]
        known = [json.loads(r["attributes"]) for r in mine if r["attributes"]]
        assert set(json.loads(customer["attributes"] or "{}")) == {k for a in known for k in a}
