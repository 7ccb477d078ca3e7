"""Mapping: contracts' maps carried out on bronze rows, into exactly the canonical schemas."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.contracts import Contract, parse
from onefold_storage.errors import BadContract, BadInput
from onefold_storage.schema import TABLES
from onefold_workers.mapping import silver_rows, untimed
from onefold_workers.mapping_values import moment, money

LANDED = datetime(2018, 1, 1, tzinfo=UTC)


def contract(columns: dict[str, dict[str, Any]], maps: list[dict[str, Any]], **rules: Any) -> Contract:
    """A contract in short: by column its logical type (`t`), `key`, and rules of ours."""
    properties = []
    for name, said in columns.items():
        own = {k: v for k, v in said.items() if k not in ("t", "key", "physical")}
        properties.append({
            "name": name, "logicalType": said.get("t", "string"),
            **({"primaryKey": True} if said.get("key") else {}),
            **({"physicalType": said["physical"]} if "physical" in said else {}),
            **({"customProperties": [{"property": "onefold", "value": own}]} if own else {}),
        })  # fmt: skip
    value = {"location": "x.csv", "lawful_basis": "contract", "data_use": ["service"], "maps": maps, **rules}
    document = {
        "kind": "DataContract", "apiVersion": "v3.1.0", "id": "shop", "version": "1", "status": "active",
        "schema": [{"name": "shop", "properties": properties}],
        "customProperties": [{"property": "onefold", "value": value}],
    }  # fmt: skip
    return parse(yaml.safe_dump(document), "test")


def bronze(packages: str | list[str] = "p1", landed: datetime = LANDED, **columns: Any) -> pa.Table:
    table = pa.table(columns)
    rows = table.num_rows
    ids = [packages] * rows if isinstance(packages, str) else packages
    return (
        table.append_column("_package_id", pa.array(ids, pa.string()))
        .append_column("_row_id", pa.array(range(rows), pa.int64()))
        .append_column("_landed_at", pa.array([landed] * rows, pa.timestamp("us", tz="UTC")))
    )


def rows(tables: dict[str, pa.Table], name: str) -> list[dict[str, Any]]:
    assert tables[name].schema.equals(TABLES[name].arrow)
    for column in TABLES[name].required:
        assert tables[name].column(column).null_count == 0
    return list(tables[name].to_pylist())


PURCHASES = {
    "card": {"t": "integer", "kind": "external_id", "scheme": "loyalty_card"},
    "at": {"t": "timestamp"},
    "product": {"t": "integer"},
    "quantity": {"t": "integer"},
    "paid": {"t": "number"},
    "store": {},
}
INTERACTIONS = {
    "table": "interactions",
    "contact": {"key": ["card"]},
    "effective_at": "at",
    "fields": {
        "kind": {"constant": "purchase"},
        "item_key": {"column": "product", "prefix": "products:"},
        "quantity": "quantity",
        "amount": "paid",
    },
    "payload": ["store"],
}


def test_purchases_become_interactions_and_one_contact_record_a_card() -> None:
    maps = [{"table": "contact_records", "key": ["card"]}, INTERACTIONS]
    made = contract(PURCHASES, maps, currency="USD", timezone="America/New_York")
    at = [datetime(2017, 1, 1, 12, tzinfo=UTC)] * 3
    out = silver_rows(made, bronze(card=[7, 7, None], at=at, product=[1, 2, 3], quantity=[1, 2, 3],
                                   paid=[0.1, 2.675, 1.0], store=["a", None, "b"]))  # fmt: skip
    people, happened = rows(out, "silver/contact_records"), rows(out, "silver/interactions")
    assert [p["record_key"] for p in people] == ["shop:7"]
    assert people[0]["external_ids"] == [{"scheme": "loyalty_card", "value": "7"}]
    assert [h["record_key"] for h in happened] == ["shop:p1:0", "shop:p1:1", "shop:p1:2"]
    assert [h["contact_key"] for h in happened] == ["shop:7", "shop:7", None]
    assert [h["amount"] for h in happened] == [Decimal("0.1000"), Decimal("2.6750"), Decimal("1.0000")]
    assert {h["currency"] for h in happened} == {"USD"}
    assert [h["item_key"] for h in happened] == ["products:1", "products:2", "products:3"]
    assert [h["payload"] for h in happened] == ['{"store":"a"}', None, '{"store":"b"}']


def test_of_rows_with_one_key_the_last_stands_in_each_package() -> None:
    made = contract({"id": {"key": True}, "city": {"kind": "city"}, "at": {"t": "date"}},
                    [{"table": "contact_records", "effective_at": "at"}])  # fmt: skip
    out = silver_rows(made, bronze(
        packages=["p1", "p1", "p1", "p2"], id=["a", "a", "b", "a"], city=["old", "new", "x", "newer"],
        at=[date(2017, 2, 1), date(2017, 3, 1), None, date(2017, 4, 1)],
    ))  # fmt: skip
    found = [(r["record_key"], r["package_id"], r["city"], r["effective_at"].date()) for r in
             rows(out, "silver/contact_records")]  # fmt: skip
    assert found == [
        ("shop:a", "p1", "New", date(2017, 3, 1)),
        ("shop:b", "p1", "X", LANDED.date()),
        ("shop:a", "p2", "Newer", date(2017, 4, 1)),
    ]


def test_every_state_of_a_case_stays() -> None:
    made = contract({"id": {"key": True}, "stage": {}, "at": {"t": "timestamp"}, "worth": {"t": "number"}},
                    [{"table": "cases", "effective_at": "at",
                      "fields": {"kind": {"constant": "deal"}, "state": "stage", "amount": "worth"}}])  # fmt: skip
    at = [datetime(2017, m, 1, tzinfo=UTC) for m in (1, 2, 2)]
    out = silver_rows(made, bronze(id=["d", "d", "d"], stage=["lead", "won", "lost"], at=at, worth=[1.0, 2.0, 3.0]))
    assert [(r["state"], r["amount"]) for r in rows(out, "silver/cases")] == [("lead", 1), ("lost", 3)]


def test_local_times_are_read_in_the_source_s_zone() -> None:
    made = contract({"at": {"format": "%d/%m/%Y %H:%M"}, "k": {}},
                    [{"table": "interactions", "effective_at": "at", "fields": {"kind": "k"}}],
                    timezone="Europe/Berlin")  # fmt: skip
    out = silver_rows(made, bronze(
        at=["01/07/2017 12:00", "26/03/2017 02:30", "29/10/2017 02:30", "2017-07-01T12:00:00Z", "never"],
        k=["e"] * 5,
    ))  # fmt: skip
    assert [r["effective_at"].astimezone(UTC) for r in rows(out, "silver/interactions")] == [
        datetime(2017, 7, 1, 10, tzinfo=UTC),
        datetime(2017, 3, 26, 1, 30, tzinfo=UTC),  # skipped by the clock change: an hour later
        datetime(2017, 10, 29, 0, 30, tzinfo=UTC),  # repeated: the first
        datetime(2017, 7, 1, 12, tzinfo=UTC),
    ]


@pytest.mark.parametrize("form", ["%s", "%Y-%m-%d %H:%M%z", "%Y-%m-%d %H:%M%:z", "%Y-%m-%d %H:%M%#z"])
def test_what_names_its_moment_is_not_moved_by_the_zone(form: str) -> None:
    text = "1000000000" if form == "%s" else "2001-09-09 03:46+02:00"
    frame = pl.DataFrame({"x": [text, "never"]})
    found = frame.select(moment(pl.col("x"), pl.String(), "America/New_York", form)).to_series().to_list()
    assert [f and f.replace(second=0) for f in found] == [datetime(2001, 9, 9, 1, 46, tzinfo=UTC), None]


@pytest.mark.parametrize("text", ["0", "86400"])
def test_seconds_since_1970_are_read_by_their_format_where_no_size_tells(text: str) -> None:
    found = pl.DataFrame({"x": [text]}).select(moment(pl.col("x"), pl.String(), "America/New_York", "%s")).item()
    assert found.timestamp() == int(text)


def test_a_percent_sign_in_a_format_is_none_of_its_codes() -> None:
    frame = pl.DataFrame({"x": ["2017-07-01 12:00 %s"]})
    found = frame.select(moment(pl.col("x"), pl.String(), "Europe/Berlin", "%Y-%m-%d %H:%M %%s")).item()
    assert found == datetime(2017, 7, 1, 10, tzinfo=UTC)


def test_what_happened_at_no_readable_time_is_no_interaction() -> None:
    """Dated by its landing, a purchase of long ago would be one of today; a deletion needs no time."""
    made = contract(
        {"id": {"key": True}, "at": {"format": "%d.%m.%Y"}, "gone": {}},
        [
            {
                "table": "interactions",
                "effective_at": "at",
                "fields": {"kind": {"constant": "buy"}, "deleted": "gone"},
            }
        ],
    )
    sent = bronze(
        id=["a", "a", "b", "c", "d"],
        at=["31.01.2017", "31.02.2026", None, "", "never"],
        gone=[None, None, None, None, "true"],
    )
    found = rows(silver_rows(made, sent), "silver/interactions")
    assert [(r["record_key"], r["deleted"]) for r in found] == [("shop:a", False), ("shop:d", True)]
    assert found[0]["effective_at"].astimezone(UTC) == datetime(2017, 1, 31, tzinfo=UTC)
    assert untimed(made, sent) == 3
    without = contract({"id": {"key": True}}, [{"table": "interactions", "fields": {"kind": {"constant": "buy"}}}])
    (one,) = rows(silver_rows(without, bronze(id=["a"])), "silver/interactions")
    assert one["effective_at"].astimezone(UTC) == LANDED
    assert untimed(without, bronze(id=["a"])) == 0


def test_a_row_that_says_nothing_of_anybody_is_nobody() -> None:
    columns = {"name": {"kind": "full_name"}, "mail": {"kind": "email"}, "note": {}}
    sent = bronze(name=["Ann Lee", None, None, "  "], mail=[None, "b@x.org", None, ""], note=["x", None, "y", None])
    out = silver_rows(contract(columns, [{"table": "contact_records"}]), sent)
    assert [r["row_id"] for r in rows(out, "silver/contact_records")] == [0, 1]
    keyed = contract({**columns, "note": {"key": True}}, [{"table": "contact_records"}])  # others may refer to it
    found = rows(silver_rows(keyed, sent), "silver/contact_records")
    assert [r["record_key"] for r in found] == ["shop:x", "shop:y"]


CONSENT = {"table": "consents", "fields": {"subject_kind": {"constant": "email"}, "subject": "mail",
           "data_use": {"constant": "marketing"}, "channel": {"constant": "email"}, "state": "ok"}}  # fmt: skip


def test_consents_follow_the_contact_point_and_fail_closed() -> None:
    made = contract({"id": {"key": True}, "mail": {"kind": "email"}, "ok": {}}, [CONSENT])
    out = silver_rows(made, bronze(
        id=["1", "2", "3", "4", "5", "6"], mail=["A@x.org ", "b@x.org", "c@x.org", "bad", "bad", "f@x.org"],
        ok=["Yes", "unsubscribed", "perhaps", "no", "yes", None],
    ))  # fmt: skip
    found = {r["record_key"].split("#")[0]: r for r in rows(out, "silver/consents")}
    short = {k: (r["subject_kind"], r["subject"], r["state"], r["deleted"]) for k, r in found.items()}
    assert short == {
        "shop:1": ("email", "a@x.org", "GRANTED", False),
        "shop:2": ("email", "b@x.org", "REVOKED", False),
        "shop:3": ("email", "c@x.org", "DENIED", False),
        "shop:4": ("record", "shop:4", "DENIED", False),  # the refusal outlives the unreadable address
        "shop:6": ("email", "f@x.org", "DENIED", True),  # silence withdraws what was said before
    }
    assert {r["lawful_basis"] for r in found.values()} == {"consent"}


def test_two_wishes_of_one_row_stay_apart() -> None:
    calls = {"table": "consents", "fields": {"subject_kind": {"constant": "phone"}, "subject": "tel",
             "data_use": {"constant": "marketing"}, "channel": {"constant": "phone"}, "state": "call"}}  # fmt: skip
    never = {
        **calls,
        "fields": {**calls["fields"], "state": {"column": "never", "values": {"1": "DENIED", "0": None}}},
    }
    made = contract({"id": {"key": True}, "mail": {}, "ok": {}, "tel": {}, "call": {}, "never": {"t": "integer"}},
                    [CONSENT, calls, never], country="DE")  # fmt: skip
    out = silver_rows(made, bronze(id=["1"], mail=["a@x.org"], ok=["y"], tel=["030 123456"], call=["y"], never=[1]))
    found = rows(out, "silver/consents")
    assert len({r["record_key"] for r in found}) == 3
    assert {(r["subject"], r["state"]) for r in found} == {
        ("a@x.org", "GRANTED"),
        ("+4930123456", "GRANTED"),
        ("+4930123456", "DENIED"),
    }


def test_values_constants_prefixes_and_attributes() -> None:
    made = contract(
        {"id": {"key": True}, "sex": {"kind": "gender", "values": {"A": "female"}},
         "age": {"t": "integer", "attribute": True}, "vip": {"t": "boolean", "attribute": True}, "boss": {}},
        [{"table": "contact_records", "fields": {"country": {"constant": "Germany"}}},
         {"table": "relations",
          "fields": {"to_key": {"column": "boss", "prefix": "crm:"}, "kind": {"constant": "knows"}}}],
    )  # fmt: skip
    out = silver_rows(made, bronze(id=["1", "2"], sex=["A", "m"], age=[40, None], vip=[True, None], boss=["9", ""]))
    people = rows(out, "silver/contact_records")
    assert [(p["gender"], p["country"]) for p in people] == [("f", "DE"), ("m", "DE")]
    assert [p["attributes"] and json.loads(p["attributes"]) for p in people] == [{"age": 40, "vip": True}, None]
    related = rows(out, "silver/relations")
    assert [(r["from_key"], r["to_key"], r["kind"]) for r in related] == [("shop:1", "crm:9", "knows")]


def test_columns_that_the_contract_gained_later_are_null_and_vanished_rows_delete() -> None:
    made = contract({"id": {"key": True}, "mail": {"kind": "email"}, "tel": {"kind": "phone"}}, [])
    landed = bronze(id=["1", "2"], mail=["a@x.org", "b@x.org"]).append_column("_deleted", pa.array([False, True]))
    people = rows(silver_rows(made, landed), "silver/contact_records")
    assert [(p["email"], p["phone"], p["deleted"]) for p in people] == [
        ("a@x.org", None, False),
        ("b@x.org", None, True),
    ]


def test_a_record_may_have_a_key_and_nothing_else() -> None:
    made = contract({"id": {"key": True}}, [{"table": "contact_records"}])
    people = rows(silver_rows(made, bronze(id=["1", "2"])), "silver/contact_records")
    assert [(p["record_key"], p["external_ids"]) for p in people] == [("shop:1", None), ("shop:2", None)]


def test_empty_bronze_gives_every_table_empty() -> None:
    made = contract(PURCHASES, [INTERACTIONS, {"table": "items", "key": ["product"]}])
    empty = bronze(card=pa.array([], pa.int64()), at=pa.array([], pa.timestamp("us", tz="UTC")))
    out = silver_rows(made, empty)
    assert {n: t.num_rows for n, t in out.items()} == dict.fromkeys(
        ("silver/contact_records", "silver/interactions", "silver/items"), 0
    )
    assert all(rows(out, name) == [] for name in out)


def test_what_may_not_be_is_said() -> None:
    made = contract({"id": {"key": True}}, [{"table": "items", "fields": {"record_key": "id"}}])
    with pytest.raises(BadContract, match="record_key is set by the lake"):
        silver_rows(made, bronze(id=["1"]))
    with pytest.raises(BadInput, match="expected the lake's columns _package_id"):
        silver_rows(made, pa.table({"id": ["1"]}))


def _money(value: Any, dtype: pl.DataType) -> Decimal | None:
    found: Decimal | None = (
        pl.DataFrame({"x": pl.Series([value], dtype=dtype)}).select(money(pl.col("x"), dtype)).item()
    )
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1,234.50", "1234.5"), ("1.234,50 €", "1234.5"), ("$12", "12"), ("(5.00)", "-5"), ("12,5", "12.5"),
     ("-3", "-3"), ("2,99-", "-2.99"), ("CHF 27’398.06", "27398.06"), ("6\u202f658,09 €", "6658.09"),
     # No thousands are parted off a lone nought, nor after more than three digits, and a mark that comes twice does.
     ("0,999", "0.999"), ("-0,999", "-0.999"), (",125", "0.125"), ("1234,567", "1234.567"), ("3,1416", "3.1416"),
     ("12.345.678", "12345678"), ("-1.234.567", "-1234567"), ("12,345,678", "12345678"), ("12,34,567", "1234567"),
     ("1.234.567,8", "1234567.8"), ("1.2.3", None), ("10.02.2025", None),
     ("EUR 7.10", "7.1"),
     ("1'000.00", "1000"), ("1,000", "1000"), ("1.000", "1"), ("free", None), ("", None), ("1e20", None)],
)  # fmt: skip
def test_money_as_people_write_it(text: str, expected: str | None) -> None:
    assert _money(text, pl.String()) == (None if expected is None else Decimal(expected))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=st.floats(allow_nan=True, allow_infinity=True))
def test_money_is_the_float_s_shortest_decimal_rounded_half_to_even(value: float) -> None:
    found = _money(value, pl.Float64())
    if value != value or abs(value) >= 10**14:
        assert found is None
    elif abs(value) < 10**10 and abs(value) > 1e-9:
        assert found == Decimal(repr(value)).quantize(Decimal("0.0001"))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(at=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1)))
def test_moments_survive_being_written(at: datetime) -> None:
    at = at.replace(microsecond=0)
    written = [at.isoformat(), at.isoformat(" "), at.isoformat() + "Z", at.isoformat() + "+00:00"]
    if at.year > 1990:
        written += [
            str(int(at.replace(tzinfo=UTC).timestamp())),
            str(int(at.replace(tzinfo=UTC).timestamp()) * 1000),
        ]
    frame = pl.DataFrame({"x": written})
    found = frame.select(moment(pl.col("x"), pl.String(), "UTC")).to_series().to_list()
    assert found == [at.replace(tzinfo=UTC)] * len(written)


@pytest.mark.parametrize(
    ("zone", "landed_as"),
    [("Europe/Berlin", "1990-06-02T22:00:00"), ("America/New_York", "1990-06-03T04:00:00"), ("UTC", "1990-06-03T00:00:00"),
     # A program's midnight in UTC is that day, wherever the source stands; so is a moment within it.
     ("America/New_York", "1990-06-03T00:00:00"), ("Europe/Berlin", "1990-06-03T00:00:00"),
     ("Europe/Berlin", "1990-06-02T23:30:00")],
)  # fmt: skip
@pytest.mark.parametrize("mapped", [False, True])
def test_a_birth_date_kept_as_a_moment_is_the_day_that_was_written(zone: str, landed_as: str, mapped: bool) -> None:
    born = {"t": "timestamp"} if mapped else {"t": "timestamp", "kind": "birth_date"}
    fields = {"birth_date": "born"} if mapped else {}
    made = contract(
        {"id": {"key": True}, "born": born}, [{"table": "contact_records", "fields": fields}], timezone=zone
    )
    moments = pa.array([datetime.fromisoformat(landed_as), None], pa.timestamp("us", tz="UTC"))
    out = silver_rows(made, bronze(id=pa.array(["1", "2"]), born=moments))
    assert [r["birth_date"] for r in rows(out, "silver/contact_records")] == [date(1990, 6, 3), None]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(texts=st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=1, max_size=6))
def test_no_text_breaks_a_map(texts: list[str | None]) -> None:
    columns = {n: {"kind": n} for n in ("given_name", "email", "phone", "birth_date", "postcode")}
    made = contract({"id": {}, "card": {"kind": "external_id", "scheme": "card"}, **columns},
                    [{"table": "contact_records", "key": ["id"]},
                     {"table": "interactions", "effective_at": "birth_date", "contact": {"key": ["id"]},
                      "fields": {"kind": "card", "amount": "phone", "quantity": "postcode"}, "payload": ["email"]},
                     {"table": "consents", "fields": {"subject_kind": {"constant": "phone"}, "subject": "phone",
                                                      "state": "card"}}])  # fmt: skip
    out = silver_rows(made, bronze(**{n: pa.array(texts, pa.string()) for n in made.arrow.names}))
    sent = bronze(**{n: pa.array(texts, pa.string()) for n in made.arrow.names})
    assert len(rows(out, "silver/interactions")) == len(texts) - untimed(made, sent)
    for name in out:
        rows(out, name)
