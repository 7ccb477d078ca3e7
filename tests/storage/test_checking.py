"""Checks of batches: what fits, what does not, and that no row is ever lost on the way."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.checking import check
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch
from onefold_storage.errors import BadInput

Make = Callable[..., Contract]
MONEY = {"logicalType": "number", "physicalType": "decimal(10,2)"}


def _batch(rows: pa.Table, first: int = 0) -> Batch:
    return Batch(rows, pa.array(range(first, first + rows.num_rows), pa.int64()))


def _utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type]


BAD = object()
TEXT = [
    ("integer", "12", 12),
    ("integer", " -7 ", -7),
    ("integer", "+3", 3),
    ("integer", "12.0", BAD),
    ("integer", "1_000", BAD),
    ("integer", "", BAD),
    ("integer", "9999999999999999999", BAD),
    ("number", "1.5", 1.5),
    ("number", "1e5", 100000.0),
    ("number", "1,5", BAD),
    ("number", "NaN", BAD),
    ("number", "inf", BAD),
    (MONEY, "12.30", Decimal("12.30")),
    (MONEY, "12.300", Decimal("12.30")),
    (MONEY, "1e3", Decimal("1000.00")),
    (MONEY, "12.345", BAD),
    (MONEY, "-0.001", BAD),
    (MONEY, "123456789.12", BAD),
    ("boolean", "Yes", True),
    ("boolean", "0", False),
    ("boolean", "maybe", BAD),
    ("date", "2017-02-28", dt.date(2017, 2, 28)),
    ("date", "2017-02-29", BAD),
    ("date", "28.02.2017", BAD),
    ({"logicalType": "date", "onefold": {"format": "%d.%m.%Y"}}, "28.02.2017", dt.date(2017, 2, 28)),
    ("timestamp", "2017-02-28T01:02:03Z", _utc(2017, 2, 28, 1, 2, 3)),
    ("timestamp", "2017-02-28 01:02:03.5+02:00", _utc(2017, 2, 27, 23, 2, 3, 500000)),
    ("timestamp", "2017-02-28T01:02+0200", _utc(2017, 2, 27, 23, 2)),
    ("timestamp", "2017-02-28 01:02", _utc(2017, 2, 28, 0, 2)),  # Berlin's winter time
    ("timestamp", "2017-07-01", _utc(2017, 6, 30, 22)),
    ("timestamp", "2017-03-26 02:30:00", _utc(2017, 3, 26, 1, 30)),  # skipped by the clock: an hour later
    ("timestamp", "2017-10-29 02:30:00", _utc(2017, 10, 29, 0, 30)),  # repeated by the clock: the first
    ("timestamp", "yesterday", BAD),
    (
        {"logicalType": "timestamp", "onefold": {"format": "%d/%m/%y %H:%M"}},
        "28/02/17 13:00",
        _utc(2017, 2, 28, 12),
    ),
    # Seconds since 1970 and an offset are no local time.
    ({"logicalType": "timestamp", "onefold": {"format": "%s"}}, "1488243600", _utc(2017, 2, 28, 1)),
    (
        {"logicalType": "timestamp", "onefold": {"format": "%d/%m/%y %H:%M %:z"}},
        "28/02/17 13:00 +05:00",
        _utc(2017, 2, 28, 8),
    ),
    ("string", " as it is ", " as it is "),
]
OTHERS = [
    ("integer", pa.array([2.0]), 2),
    ("integer", pa.array([2.5]), BAD),
    ("integer", pa.array([Decimal("2.0")]), 2),
    ("integer", pa.array([Decimal("2.5")]), BAD),
    ("integer", pa.array([2**63], pa.uint64()), BAD),
    ("integer", pa.array([True]), BAD),
    ("integer", pa.array([dt.date(2017, 1, 1)]), BAD),
    ("number", pa.array([float("nan")]), BAD),
    ("number", pa.array([dt.date(2017, 1, 1)]), BAD),
    ("number", pa.array([[1.0]]), BAD),
    (MONEY, pa.array([1.1]), Decimal("1.10")),
    (MONEY, pa.array([Decimal("1.234")]), BAD),
    ("boolean", pa.array([1]), True),
    ("boolean", pa.array([2]), BAD),
    ("boolean", pa.array([0.5]), BAD),
    ("boolean", pa.array([dt.date(2017, 1, 1)]), BAD),
    ("date", pa.array([dt.datetime(2017, 1, 1)]), dt.date(2017, 1, 1)),
    ("date", pa.array([dt.datetime(2017, 1, 1, 5)]), BAD),
    ("date", pa.array([dt.time(5)]), BAD),
    ("date", pa.array([20170101]), BAD),
    ("timestamp", pa.array([dt.datetime(2017, 7, 1)]), _utc(2017, 6, 30, 22)),
    ("timestamp", pa.array([_utc(2017, 7, 1)], pa.timestamp("ns", "UTC")), _utc(2017, 7, 1)),
    ("timestamp", pa.array([20170101]), BAD),
    ("string", pa.array([7]), "7"),
    ("string", pa.array([True]), "true"),
    ("string", pa.array([dt.date(2017, 1, 1)]), "2017-01-01"),
    ("string", pa.array([[1, None]]), "[1,null]"),
    ("string", pa.array([{"a": [1]}]), '{"a":[1]}'),
    ("string", pa.array([{"a": b"x"}]), '{"a":"x"}'),
    ("string", pa.array([b"bytes"]), "bytes"),
    ("string", pa.array([b"\xff\xfe"]), BAD),
    ("integer", pa.array([b"5"]), 5),
    ("string", pa.array(["x"]).dictionary_encode(), "x"),
]


@pytest.mark.parametrize(("kind", "found", "expected"), [(k, pa.array([v]), e) for k, v, e in TEXT] + OTHERS)
def test_types(kind: Any, found: pa.Array, expected: Any, make_contract: Make) -> None:
    # Two rows, so that nothing passes by being spread over one.
    table = pa.table({"a": pa.chunked_array([found, found])})
    checked = check(make_contract(columns={"a": kind}, timezone="Europe/Berlin"), _batch(table, first=7))
    if expected is BAD:
        assert checked.rows.is_empty()
        assert [(b.row_id, b.field, b.rule) for b in checked.bad] == [(7, "a", "type"), (8, "a", "type")]
        assert all("expected" in b.message and json.loads(b.raw).keys() == {"a"} for b in checked.bad)
    else:
        assert checked.bad == ()
        assert checked.rows["a"].to_list() == [expected, expected]
        assert checked.rows["_row_id"].to_list() == [7, 8]


def test_a_bad_row_says_its_row_field_and_rule_and_never_its_value_in_the_message(make_contract: Make) -> None:
    contract = make_contract(columns={"id": {"logicalType": "integer", "primaryKey": True}, "day": "date"})
    table = pa.table({"id": ["1", None, "x"], "day": ["soon", "2017-01-01", "secret"]})
    checked = check(contract, _batch(table))
    assert checked.rows.is_empty()
    assert [(b.row_id, b.field, b.rule, b.message) for b in checked.bad] == [
        (0, "day", "type", "day: expected date"),
        (1, "id", "required", "id: expected a value, found none"),
        (2, "id", "type", "id: expected integer"),  # the first fault of a row stands for it
    ]
    assert json.loads(checked.bad[2].raw) == {"id": "x", "day": "secret"}


def test_what_the_contract_does_not_name_is_kept(make_contract: Make) -> None:
    table = pa.table({"id": [1], "name": ["A"], "_row_id": ["theirs"], "tags": [["a"]], "blob": [b"\xff"]})
    rows = check(make_contract(), _batch(table)).rows
    assert json.loads(rows["_extra"][0]) == {"_row_id": "theirs", "tags": '["a"]', "blob": "\\xff"}
    assert rows["_row_id"].to_list() == [0]


def test_an_absent_optional_column_is_null_and_an_absent_required_one_holds_the_package(
    make_contract: Make,
) -> None:
    rows = check(make_contract(), _batch(pa.table({"id": ["1"]}))).rows
    assert rows["name"].to_list() == [None]
    with pytest.raises(BadInput, match=r"required column id of contract \w+ is absent") as caught:
        check(make_contract(), _batch(pa.table({"ann@example.com": ["bob@example.com"]})))
    assert "example.com" not in str(caught.value), "without a header line, names of columns are data"


def test_an_empty_batch_and_one_of_bad_rows_alone(make_contract: Make) -> None:
    unread = BadRow(0, "csv", "row 0: too many fields", b"a,b,c")
    checked = check(make_contract(), Batch(pa.table({}), pa.array([], pa.int64()), (unread,)))
    assert checked.bad == (unread,)
    assert checked.rows.is_empty()


_values = st.one_of(
    st.lists(
        st.none() | st.text(max_size=8) | st.sampled_from(["1", "2017-01-01", "yes", "1.5"]),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.none() | st.integers(-(2**62), 2**62), min_size=1, max_size=12),
    st.lists(st.none() | st.floats(), min_size=1, max_size=12),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=12),
    st.lists(st.none() | st.binary(max_size=6), min_size=1, max_size=12),
    st.lists(st.none() | st.dates(), min_size=1, max_size=12),
    st.lists(st.none() | st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), min_size=1, max_size=12),
    st.lists(st.none() | st.timedeltas(dt.timedelta(0), dt.timedelta(99)), min_size=1, max_size=12),
    st.lists(st.none() | st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=12),
    st.lists(st.none() | st.fixed_dictionaries({"x": st.text(max_size=3)}), min_size=1, max_size=12),
)
_kinds = st.sampled_from(["string", "integer", "number", "boolean", "date", "timestamp", "time", "object"])


@settings(max_examples=60)
@given(kind=_kinds, promised=_values, extra=_values, required=st.booleans())
def test_every_row_is_kept_or_bad_and_never_both(
    kind: str, promised: list[Any], extra: list[Any], required: bool
) -> None:
    from onefold_storage import contracts

    n = min(len(promised), len(extra))
    needed = str(required).lower()
    contract = contracts.parse(
        f"""
kind: DataContract
apiVersion: v3.1.0
id: s
version: 1.0.0
status: active
schema:
  - {{name: s, logicalType: object, properties: [{{name: a, logicalType: {kind}, required: {needed}}}]}}
customProperties:
  - {{property: onefold, value: {{location: x, lawful_basis: contract, data_use: [service]}}}}
""",
        "s.yaml",
    )
    table = pa.table({"a": promised[:n], "b": extra[:n]})
    checked = check(contract, _batch(table))
    kept = checked.rows["_row_id"].to_list()
    bad = [b.row_id for b in checked.bad]
    assert sorted(kept + bad) == list(range(n))
    for row in bad:
        assert json.loads(next(b for b in checked.bad if b.row_id == row).raw)
    nulls = {i for i, v in enumerate(promised[:n]) if v is None}
    assert nulls <= (set(bad) if required else set(kept))
    lost = checked.rows.filter(pl.col("a").is_null())["_row_id"].to_list()
    assert set(lost) <= nulls, "a value that was there became null without a word"
