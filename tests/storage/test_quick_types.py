"""The quick way of typing and the careful one agree on every value, or the quick one says that it cannot tell."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.careful_types import careful
from onefold_storage.contract_rules import ColumnRules
from onefold_storage.contracts import ContractColumn
from onefold_storage.quick_types import quick
from onefold_storage.schema import TIMESTAMP

TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "money": pa.decimal128(10, 2),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
}
ZONES = ["UTC", "Europe/Berlin", "America/New_York"]
USUAL = {
    "string": ["", " ", "text", "Zoë"],
    "integer": ["0", "12", "-7", "9223372036854775807"],
    "number": ["0", "-1.5", "3.14159", "12"],
    "money": ["0", "12.30", "-7", "99999999.99"],
    "boolean": ["true", "yes", "1", "f", "no", "0"],
    "date": ["2017-02-28", "1969-12-31", "2400-02-29"],
    "timestamp": ["2017-02-28T01:02:03Z", "2017-07-01 00:00:00.5Z", "1969-12-31T23:59:59.999999Z"],
}
ODD = [
    v
    for line in """ 12|12 |+3|-0|--1|007|0x1F|0X1f|1_000|12.0|1.|.5|-.5|-|.|1e5|1E-3|NaN|nan|inf|-Infinity|1,5|١٢
9223372036854775808
-9223372036854775808|-9223372036854775809|00000000000000000000000000000012|1.7976931348623157|4.9406564584124654
0.1000000000000000055511151231257827|2.00000000000000011102230246251565404|123456789.12|12.300|12.345|-0.001|99999999.999
True|TRUE|T|t|Y|yEs|on|False|2017-02-29|2017-2-8|17-02-28|02-28-2017|20170228|0000-01-01|0001-01-01|9999-12-31|+2017-01-01
2017-02-28T24:00:00Z|2017-02-28T23:59:60Z|2017-02-28T01:02:03z|2017-02-28t01:02:03Z|2017-02-28T01:02:03.1234567Z
2017-02-28T01:02:03.123456Z|2017-02-28T01:02:03.Z|2017-02-28T01:02:03+00:00|2017-02-28T01:02:03+02|2017-02-28T01:02:03 Z
2017-02-28 01:02:03|2017-02-28T01:02:03.000001|2017-02-28T01:02|2017-02-28T01|2017-02-28T01Z|2017-02-28T01:02Z|2017-02-28
2017-02-28T01:02:03-05|2017-02-28T01:02:03.5-05|2017-02-28T01:02:03-0500|2017-03-26 02:30:00|2017-10-29 02:30:00
0000-01-01T00:00:00Z|0001-01-01T00:00:00|9999-12-31T23:59:59Z|-001-01-01T00:00:00Z|2017-02-28  01:02:03|2017-02-28_01:02:03Z
2017-02-30T01:02:03Z|2017-13-01T01:02:03Z|2017-02-28T25:02:03Z|2017-02-28T01:60:03Z|2017-02-28T01:02:03ZZ|1:2017-02-28T01:02:03
|\t5|\u00a05|5\u2003|a\x00b|1\x00""".splitlines()
    for v in line.split("|")
] + ["5\n"]
ALPHABET = "0123456789-+.:TZ eE_tfynx,/"


def column(kind: str, **rules: Any) -> ContractColumn:
    logical = "number" if kind == "money" else kind
    return ContractColumn("a", TYPES[kind], logical, False, False, ColumnRules(**rules))


def compare(kind: str, values: pa.Array, zone: str, locale: str | None = None, **rules: Any) -> bool:
    """Whether the quick way answered; what it said is what the careful way says, without a misfit."""
    said = quick(values, column(kind, **rules), zone, locale)
    if said is None:
        return False
    expected, misfit = careful(values, column(kind, **rules), zone, locale)
    said.validate(full=True)
    assert said.type == TYPES[kind] == expected.type
    assert misfit.sum() == 0, (kind, values.to_pylist())
    assert said.cast(expected.type).equals(expected) or _equal(said, expected), (kind, values, said, expected)
    return True


def _equal(one: pa.Array, other: pa.Array) -> bool:
    """Equal bit for bit, -0.0 and 0.0 apart."""
    return bool(pl.Series(one.to_pylist()).equals(pl.Series(other.to_pylist())))


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_written_as_usual_passes_at_once(kind: str) -> None:
    for zone in ZONES:
        assert compare(kind, pa.array([*USUAL[kind], None]), zone)
        assert compare(kind, pa.array(["skipped", *USUAL[kind], None, "cut"]).slice(1, len(USUAL[kind])), zone)


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_pass_at_once(zone: str) -> None:
    times = ["2017-03-26 02:30:00", "2017-10-29 02:30:00", "2017-11-05T01:30:00.25", "1999-12-31 23:59:59"]
    assert compare("timestamp", pa.array(times), zone)


@pytest.mark.parametrize("kind", TYPES)
def test_both_ways_agree_on_odd_values(kind: str) -> None:
    for value in {*ODD, *(v for usual in USUAL.values() for v in usual)}:
        for locale in ("de", "en"):
            compare(kind, pa.array([value]), "UTC", locale)
        for zone in ZONES:
            compare(kind, pa.array([value]), zone)
            compare(kind, pa.array([None, value, USUAL[kind][-1], value]), zone)
            compare(kind, pa.array([value], pa.large_string()), zone)


@settings(max_examples=500, deadline=None)
@given(
    kind=st.sampled_from(list(TYPES)),
    values=st.lists(
        st.none() | st.sampled_from(ODD) | st.text(ALPHABET, max_size=12) | st.integers().map(str)
        | st.floats().map(str) | st.decimals(places=2).map(str) | st.datetimes().map(str)
        | st.datetimes().map(lambda t: t.isoformat() + "Z") | st.dates().map(str) | st.text(max_size=4),
        min_size=1, max_size=3,
    ),
    zone=st.sampled_from(ZONES),
    locale=st.sampled_from([None, "de_DE", "en_GB"]),
)  # fmt: skip
def test_both_ways_agree(kind: str, values: list[str | None], zone: str, locale: str | None) -> None:
    compare(kind, pa.array(values, pa.string()), zone, locale)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(list(TYPES)), data=st.data(), zone=st.sampled_from(ZONES))
def test_both_ways_agree_on_usual_values_with_one_byte_changed(kind: str, data: st.DataObject, zone: str) -> None:
    value = data.draw(st.sampled_from(USUAL[kind]))
    at = data.draw(st.integers(0, len(value)))
    odd = data.draw(st.text(ALPHABET, max_size=2))
    compare(kind, pa.array([value[:at] + odd + value[at + data.draw(st.integers(0, 2)) :]]), zone)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(list(TYPES)), numbers=st.lists(st.floats() | st.integers(-5, 5).map(float) | st.none()))
def test_both_ways_agree_on_other_types(kind: str, numbers: list[float | None]) -> None:
    for values in (
        pa.array(numbers, pa.float64()),
        pa.array([None if n is None or n != n or abs(n) > 9 else int(n) for n in numbers], pa.int64()),
        pa.array([None if n is None else n > 0 for n in numbers], pa.bool_()),
        pa.array([None if n is None or n != n else abs(n) < 1e3 for n in numbers], pa.bool_()).cast(pa.int8()),
        pa.nulls(len(numbers)),
    ):
        compare(kind, values, "UTC")


def test_a_format_of_the_contract_is_left_to_the_careful_way() -> None:
    for kind in ("date", "timestamp"):
        assert not compare(kind, pa.array(["2017-02-28"]), "UTC", format="%Y-%d-%m")
