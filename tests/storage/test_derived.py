"""Values taken out of columns: parts, paths, numbers by locale, units; and who is known by them is kept out."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.contract_fields import FieldRule, SplitRule
from onefold_storage.contracts import Contract, parse
from onefold_storage.derived import parted, taken
from onefold_storage.errors import BadContract
from onefold_storage.identifiers import identifiers
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.locales import decimal_mark
from onefold_storage.plain_numbers import plain_number
from onefold_storage.sieve import marks
from onefold_storage.suppression import Listed
from onefold_storage.suppressor import Lookup
from onefold_storage.units import KNOWN, conversion

KEYED = KeyedHash(b"a secret of this test")


def contract(columns: str, **value: Any) -> Contract:
    said = {"location": "x", "lawful_basis": "contract", "data_use": ["service"], **value}
    properties = [{"name": n, "logicalType": "string"} for n in columns.split()]
    document = {
        "kind": "DataContract", "apiVersion": "v3.1.0", "id": "shop", "version": "1", "status": "active",
        "schema": [{"name": "shop", "properties": properties}],
        "customProperties": [{"property": "onefold", "value": said}],
    }  # fmt: skip
    return parse(yaml.safe_dump(document), "shop.yaml")


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.none() | st.text("ab, ;", max_size=12), min_size=1, max_size=4),
    by=st.sampled_from([",", ";", ", "]),
    part=st.sampled_from([1, 2, 3, -1, -2]),
    to=st.sampled_from([None, 1, 2, -1, -2]),
)
def test_parts_are_those_of_a_split(texts: list[str | None], by: str, part: int, to: int | None) -> None:
    found = pl.DataFrame({"x": texts}, schema={"x": pl.String}).select(
        parted(pl.col("x"), SplitRule(by=by, part=part, to=to))
    )
    for text, got in zip(texts, found.to_series(), strict=True):
        parts = text.split(by) if text is not None else []
        first = part - 1 if part > 0 else len(parts) + part
        last = first if to is None else min(to - 1, len(parts) - 1) if to > 0 else len(parts) + to
        there = 0 <= first < len(parts) and last >= first
        assert got == (by.join(parts[first : last + 1]) if there else None)


def test_paths_lead_into_json_and_nowhere_else() -> None:
    deep = "[" * 10_000 + "]" * 10_000
    texts = ['{"a":{"b":[{"c d":"é"}]}}', '{"a":{"b":[]}}', "not JSON", f'{{"a":{deep}}}', None, "7"]
    frame = pl.DataFrame({"x": texts})
    rule = FieldRule(column="x", path="a.b[0]['c d']")
    assert frame.select(taken(rule, pl.String())).to_series().to_list() == ["é", None, None, None, None, None]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"derived": {"x": {"column": "nope"}}}, "derived.x: no such column: nope"),
        ({"derived": {"a": {"column": "b"}}}, "'a' is a column already"),
        ({"derived": {"x": {"column": "a", "unit": {"from": "g", "to": "kg"}}}}, "belong to the field"),
        ({"derived": {"x": {"column": "a", "kind": "email", "scheme": "card"}}}, "`scheme` goes with"),
        ({"locale": "xx_YY"}, "locale 'xx_YY': how its numbers are written is not known"),
        ({"locale": "deutsch"}, "expected a language and perhaps a country"),
        ({"maps": [{"table": "interactions", "fields": {"amount": {"column": "a", "path": "$..x"}}}]}, "path '$..x'"),
        ({"maps": [{"table": "interactions", "fields": {"amount": {"column": "a", "path": ""}}}]}, "path ''"),
        ({"maps": [{"table": "interactions", "fields": {"amount": {"column": "a", "path": "b[].c"}}}]}, "every one"),
        (
            {"maps": [{"table": "interactions", "fields": {"amount": {"column": "a", "split": {"by": " ", "part": 0}}}}]},
            "parts are counted from 1",
        ),
        (
            {"maps": [{"table": "interactions", "fields": {"amount": {"constant": 1, "path": "a"}}}]},
            "a constant has none",
        ),
        (
            {"maps": [{"table": "interactions", "fields": {"amount": {"column": "a", "unit": {"from": "g", "to": "m"}}}}]},
            "g measures mass, m measures length",
        ),
        (
            {"maps": [{"table": "interactions", "fields": {"amount": {"column": "a", "timezone": "Mars/Sea"}}}]},
            "time zone 'Mars/Sea' is unknown",
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_is_said_in_one_line(rules: dict[str, Any], said: str) -> None:
    with pytest.raises(BadContract) as error:
        contract("a b", **rules)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_by_locale() -> None:
    written = [
        "1.234,5",
        "1.234",
        "1,234",
        "12.34",
        "-1 234,5",
        "1’234.5",
        "1.2.3",
        "5,",
        ",5",
        "",
        "−3",
        "1.23.456",
    ]
    frame = pl.DataFrame({"x": written})
    assert decimal_mark("de_CH") == decimal_mark("es_MX") == decimal_mark("en") == "."
    assert frame.select(plain_number(pl.col("x"), "de"))["x"].to_list() == [
        "1234.5", "1234", "1.234", None, "-1234.5", None, None, "5.", ".5", None, "-3", None,
    ]  # fmt: skip
    assert frame.select(plain_number(pl.col("x"), "en_GB"))["x"].to_list() == [
        None, "1.234", "1234", "12.34", None, "1234.5", None, None, None, None, "-3", None,
    ]  # fmt: skip


def test_units_convert_there_and_back() -> None:
    for of in KNOWN:
        for into in KNOWN:
            try:
                factor, offset = conversion(of, into)
            except ValueError:
                continue
            back, zero = conversion(into, of)
            assert (Fraction(7) * factor + offset) * back + zero == 7
    factor, offset = conversion("F", "C")
    assert float(212 * factor + offset) == 100


def test_who_was_erased_stays_out_wherever_the_contract_finds_them() -> None:
    """An email inside an object, a number behind a split, a derived key: by the sieve and without it."""
    made = contract(
        "who ref mail",
        derived={
            "number": {"column": "who", "path": "id", "kind": "external_id", "scheme": "card"},
            "order": {"column": "ref", "split": {"by": "/", "part": 1}},
        },
        maps=[
            {"table": "contact_records", "key": ["order"], "fields": {"email": {"column": "who", "path": "mail"},
                                                                      "phone": "mail"}},
        ],
    )  # fmt: skip
    rows = pa.table(
        {
            "who": ['{"mail":"Ann@x.example","id":7}', '{"id":8}', "{}", "{}", None],
            "ref": ["a/1", "b/2", "c/3", "d/4", None],
            "mail": [None, None, None, "0151 234567", None],
        }
    )
    found = dict(identifiers(made, pl.DataFrame(rows)))
    assert found["email"].to_list()[0] == "ann@x.example"
    for gone, scheme, value in ((0, "email", "ann@x.example"), (1, "card", "8"), (2, "record", "shop:c"),
                                (3, "phone", "151234567")):  # fmt: skip
        assert found[scheme].to_list()[gone].endswith(value[-9:]), scheme
        listed = [(scheme, found[scheme].to_list()[gone])]
        hashes = frozenset(KEYED.of(*pair) for pair in listed)
        for known in (Listed(hashes, None), Listed(hashes, tuple(marks(KEYED, listed)))):
            said = Lookup(known, KEYED).suppressed(made, rows)
            assert said is not None
            assert [i for i, s in enumerate(said.to_pylist()) if s] == [gone], scheme
