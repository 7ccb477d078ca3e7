"""Objects inside rows: drafting looks into them, whether they come as JSON or with types of their own."""

from __future__ import annotations

import json

import polars as pl
import pyarrow as pa

from onefold_storage import contracts
from onefold_storage.checking import check
from onefold_storage.deliveries import Batch
from onefold_workers.drafting import draft
from onefold_workers.mapping import silver_rows

_GIVEN, _FAMILY = ("Anna", "Peter", "Maria", "Jonas"), ("Huber", "Schmidt", "Weber")


def _orders(last: str | None = None, rows: int = 60) -> pa.Table:
    """Orders of 20 customers, each an object in its order; `last` is everybody's new family name."""
    people = [
        {"id": i % 20, "email": f"user{i % 20}@example.org",
         "name": {"first": _GIVEN[i % 4], "last": last or _FAMILY[i % 20 % 3]}}
        for i in range(rows)
    ]  # fmt: skip
    return pa.table(
        {
            "order_id": pa.array(range(1000, 1000 + rows), pa.int64()),
            "ordered_at": [f"2026-0{1 + i % 9}-11 10:00:00" for i in range(rows)],
            "customer": people,
            "items": [[{"sku": f"S{i % 7}", "qty": 1, "price": 9.5}] for i in range(rows)],
            "total": [9.5 + i for i in range(rows)],
        }
    )


def _profiles(rows: int = 60) -> pa.Table:
    nested = [
        {"name": {"first": _GIVEN[i % 4], "last": _FAMILY[i % 3]}, "phones": [f"+4915945{303300 + i}"],
         "address": {"city": ("Graz", "Linz", "Wels")[i % 3], "zip": f"{10115 + i}"}}
        for i in range(rows)
    ]  # fmt: skip
    wishes = [{"email": ("yes", "no", 0, 1)[i % 4]} for i in range(rows)]
    return pa.table(
        {
            "id": [str(i) for i in range(rows)],
            "email": [f"user{i}@example.org" for i in range(rows)],
            "profile": [json.dumps(n) for n in nested],
            "consent": [json.dumps(w) for w in wishes],
            "tags": ['["new", "vip"]'] * rows,
        }
    )


def _silver(contract: contracts.Contract, rows: pa.Table) -> dict[str, pl.DataFrame]:
    checked = check(contract, Batch(rows, pa.array(range(rows.num_rows), pa.int64())))
    assert not checked.bad
    kept = checked.rows.with_columns(
        pl.lit("p1").alias("_package_id"),
        pl.lit("2030-01-01").str.to_datetime(time_unit="us", time_zone="UTC").alias("_landed_at"),
    )
    made = silver_rows(contract, kept.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return {name: pl.DataFrame(pl.from_arrow(table)) for name, table in made.items()}


def test_a_customer_inside_an_order_is_known_by_the_number_there_and_not_by_the_whole_object() -> None:
    contract = contracts.parse(draft(_orders(), "orders", "orders.parquet"), "orders")
    assert contract.kinds == {
        "customer_id": "external_id",
        "customer_email": "email",
        "customer_name_first": "given_name",
        "customer_name_last": "family_name",
    }
    assert contract.primary_key == ("order_id",)
    silver = _silver(contract, _orders())
    people = silver["silver/contact_records"]
    assert sorted(people["record_key"]) == sorted(f"orders:{i}" for i in range(20))
    assert people["family_name"].null_count() == 0
    assert set(silver["silver/interactions"]["contact_key"]) == set(people["record_key"])
    # Who marries is nobody else.
    renamed = _silver(contract, _orders(last="Gruber"))["silver/contact_records"]
    assert set(renamed["record_key"]) == set(people["record_key"])


def test_objects_of_json_lines_give_kinds_and_consents() -> None:
    rows = _profiles()
    contract = contracts.parse(draft(rows, "profiles", "profiles.ndjson"), "profiles")
    assert contract.kinds == {
        "email": "email",
        "profile_name_first": "given_name",
        "profile_name_last": "family_name",
        "profile_phones": "phone",
        "profile_address_city": "city",
        "profile_address_zip": "postcode",
    }
    silver = _silver(contract, rows)
    people = silver["silver/contact_records"]
    assert people.select("phone", "city", "postcode", "family_name").null_count().row(0) == (0, 0, 0, 0)
    wishes = silver["silver/consents"]
    assert set(wishes["state"]) == {"GRANTED", "DENIED"}
    assert set(wishes["channel"]) == {"email"}


def test_an_event_that_names_its_user_inside_is_about_a_person() -> None:
    rows = pa.table({"visit": ["v-1", "v-2"], "page": ["/tea", None], "user": ['{"email": "a@example.org"}', None]})
    contract = contracts.parse(draft(rows, "visits", "", "http"), "visits")
    assert contract.kinds == {"user_email": "email"}


def test_names_that_are_data_and_names_of_things_are_no_persons() -> None:
    by_mail = [json.dumps({f"u{i}@example.org": {"name": "x"}, "code": "a"}) for i in range(40)]
    product = [json.dumps({"name": "Anna Huber Tee", "brand": {"name": "Peter Weber"}}) for _ in range(40)]
    rows = pa.table({"id": [str(i) for i in range(40)], "by_mail": by_mail, "product": product})
    text = draft(rows, "things", "things.ndjson")
    assert "example.org" not in text
    assert contracts.parse(text, "things").kinds == {}


def test_a_key_inside_an_object_is_the_key_of_the_maps() -> None:
    rows = pa.table({"member": [json.dumps({"id": i, "email": f"m{i}@example.org"}) for i in range(50)]})
    contract = contracts.parse(draft(rows, "members", "members.ndjson"), "members")
    assert contract.primary_key == ()
    assert _silver(contract, rows)["silver/contact_records"]["record_key"].to_list()[:1] == ["members:0"]


def test_an_odd_name_inside_an_object_is_quoted_in_its_path() -> None:
    rows = pa.table({"who": [json.dumps({"E-Mail (privat)": f"m{i}@example.org"}) for i in range(50)]})
    contract = contracts.parse(draft(rows, "members", "members.ndjson"), "members")
    assert _silver(contract, rows)["silver/contact_records"]["email"].null_count() == 0
