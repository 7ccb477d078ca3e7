from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onefold_storage.errors import BadInput
from onefold_workers.connectors.formats import _input

# mypy: disable-error-code="no-untyped-def"


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in rows)


def test_values_become_text_and_null_and_missing_are_null(read_bytes) -> None:
    data = lines({"a": "x", "b": 1}, {"a": True, "b": None}, {"a": 1.25}, {}, {"b": ""})
    found = read_bytes(data, "x.ndjson")
    expected = [("x", "1"), ("true", None), ("1.25", None), (None, None), (None, "")]
    assert [(r["a"], r["b"]) for r in found.values] == expected
    assert {str(t) for table in found.tables for t in table.schema.types} == {"string"}


def test_nested_values_are_json_text(read_bytes) -> None:
    value = {"k": [1, "x", None, {"y": 'a"b\n', "é": -0.5}]}
    found = read_bytes(lines({"a": value, "b": []}), "x.jsonl")
    assert json.loads(found.values[0]["a"]) == value
    assert found.values[0]["b"] == "[]"


def test_long_integers_stay_exact(read_bytes) -> None:
    found = read_bytes(b'{"a":12345678901234567890123,"b":9007199254740993}\n', "x.ndjson")
    assert found.values == [{"a": "12345678901234567890123", "b": "9007199254740993"}]


def test_the_type_may_change_from_row_to_row(read_bytes) -> None:
    found = read_bytes(lines({"a": 1}, {"a": "one"}, {"a": [1]}, {"a": 1.5}), "x.ndjson")
    assert [r["a"] for r in found.values] == ["1", "one", "[1]", "1.5"]


def test_a_key_that_comes_late_is_not_lost(read_bytes, monkeypatch) -> None:
    monkeypatch.setattr(_input, "CHUNK", 200)
    rows: list[dict[str, Any]] = [{"a": str(i), "b": 'with ": inside'} for i in range(50)]
    rows[30] = {"a": "30", "late": 7}
    rows[40] = {"a": "40", "b": {"late": 1, "nested": 2}}
    found = read_bytes(lines(*rows), "x.ndjson")
    assert found.rows[30] == {"a": "30", "b": None, "late": "7"}
    assert json.loads(found.rows[40]["b"]) == {"late": 1, "nested": 2}
    assert [r["a"] for r in found.values] == [str(i) for i in range(50)]


@pytest.mark.parametrize(("bad", "rule", "message"), [
    (b"foo", "json", "expected a JSON object, found text that is not JSON"),
    (b'{"a":1', "json", "found text that is not JSON"),
    (b'{"a":"x', "json", "found text that is not JSON"),
    (b'{"a":1}{"a":2}', "json", "found text that is not JSON"),
    (b'{"a":1},', "json", "found text that is not JSON"),
    (b"5", "json", "expected a JSON object, found a number"),
    (b"null", "json", "found null"),
    (b"[1]", "json", "found an array"),
    (b'{"a":NaN}', "json", "found text that is not JSON"),
    (b'{"a":"\\ud800"}', "json", "found text that is not JSON"),
    (b'{"a":"\xff"}', "encoding", "expected UTF-8 text, found other bytes"),
    (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "json", "row 2"),
    (b'{"a":' + b"9" * 60 + b"}", "json", "row 2"),
])  # fmt: skip
def test_a_bad_line_costs_only_itself(read_bytes, bad: bytes, rule: str, message: str) -> None:
    found = read_bytes(b'{"a":1}\n' + bad + b'\n{"a":3}\n', "x.ndjson", columns=("a",))
    assert found.rows == {0: {"a": "1"}, 2: {"a": "3"}}
    assert found.rules == {1: rule}
    assert message in found.bad[0].message
    assert found.bad[0].raw == bad


def test_a_bad_last_line_without_end(read_bytes) -> None:
    found = read_bytes(b'{"a":1}\n{"a":', "x.ndjson", columns=("a",))
    assert (found.rows, found.rules) == ({0: {"a": "1"}}, {1: "json"})
    assert found.bad[0].message.startswith("x.ndjson: row 2 (line 2): ")


def test_blank_lines_and_crlf(read_bytes) -> None:
    found = read_bytes(b'\n{"a":1}\r\n\r\n  \n{"a":2}\n5\n', "x.ndjson", columns=("a",))
    assert found.values == [{"a": "1"}, {"a": "2"}]
    assert "row 3 (line 6)" in found.bad[0].message


def test_a_line_beyond_the_bound(read_bytes, monkeypatch) -> None:
    monkeypatch.setattr(_input, "CHUNK", 100)
    data = b'{"a":1}\n{"a":"' + b"x" * 10_000 + b'"}\n{"a":3}\n'
    found = read_bytes(data, "x.ndjson", columns=("a",), max_row_bytes=1000)
    assert (found.rows, found.rules) == ({0: {"a": "1"}, 2: {"a": "3"}}, {1: "too_long"})


def test_columns_of_the_contract_are_there_even_if_no_row_has_them(read_bytes) -> None:
    assert read_bytes(b'{"c":1}\n', "x.ndjson").values == [{"a": None, "b": None, "c": "1"}]


def test_empty_and_other_encodings(read_bytes) -> None:
    with pytest.raises(BadInput, match=r"^x\.ndjson: the file is empty; expected one JSON object a line$"):
        read_bytes(b"", "x.ndjson")
    assert read_bytes('\ufeff{"a":"é"}\n'.encode("utf-16-le"), "x.ndjson").values[0]["a"] == "é"
    assert read_bytes(b'\xef\xbb\xbf{"a":1}\n', "x.ndjson").values[0]["a"] == "1"


_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(-1e6, 1e6).map(lambda f: round(f, 3))
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_ROWS = st.lists(st.dictionaries(st.sampled_from(["a", "b", 'q"k', "é", "n:"]), _VALUE), min_size=1, max_size=10)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, chunk=st.integers(1, 60), ascii=st.booleans())
def test_what_was_written_is_read_wherever_chunks_end(
    read_bytes, monkeypatch, rows, chunk: int, ascii: bool
) -> None:
    monkeypatch.setattr(_input, "CHUNK", chunk)
    data = "".join(json.dumps(r, ensure_ascii=ascii) + "\n" for r in rows).encode()
    found = read_bytes(data, "x.ndjson")
    assert found.bad == []
    for given_row, row in zip(rows, found.values, strict=True):
        for key, value in given_row.items():
            if value is None or isinstance(value, str):
                assert row.get(key) == value
            else:
                assert json.loads(row[key]) == value
        assert not any(v for k, v in row.items() if k not in given_row)
