from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onefold_storage.errors import BadInput

# mypy: disable-error-code="no-untyped-def"

ROWS = [{"a": "x\ny", "b": 1}, {"a": None, "b": {"k": [1.5]}}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "document", [ROWS, {"records": ROWS}, {"meta": {"n": [1]}, "page": 1, "items": ROWS, "z": 0}]
)
def test_an_array_or_an_object_with_one(read_bytes, document, indent) -> None:
    found = read_bytes(json.dumps(document, indent=indent).encode(), "x.json")
    assert [(r["a"], r["b"]) for r in found.values] == [("x\ny", "1"), (None, '{"k": [1.5]}')]


def test_the_option_names_one_of_several_arrays(read_bytes) -> None:
    data = json.dumps({"tags": ["x"], "people": [{"a": 1}]}).encode()
    assert read_bytes(data, "x.json", records="people", columns=("a",)).values == [{"a": "1"}]
    with pytest.raises(BadInput, match=r"found arrays under 'tags', 'people'; name one with the option `records`"):
        read_bytes(data, "x.json")
    with pytest.raises(BadInput, match=r"found arrays under 'b', others; name one"):
        read_bytes(b'{"b": [], "ann@example.org": []}', "x.json")
    with pytest.raises(BadInput, match=r"expected an array under 'cats', found arrays under 'tags', 'people'"):
        read_bytes(data, "x.json", records="cats")


def test_long_numbers_keep_every_digit(read_bytes) -> None:
    found = read_bytes(b'[{"a":12345678901234567890123,"b":"x"}]', "x.json")
    assert found.values[0]["a"] == "12345678901234567890123"


def test_elements_that_are_no_object_are_bad_rows(read_bytes) -> None:
    found = read_bytes(b'[{"a":1}, 5, null, [1], {"a":"\xff"}, {"a":2}]', "x.json", columns=("a",))
    assert found.rows == {0: {"a": "1"}, 5: {"a": "2"}}
    assert found.rules == {1: "json", 2: "json", 3: "json", 4: "encoding"}


def test_ndjson_under_another_name(read_bytes) -> None:
    found = read_bytes(b'{"a":1}\n{"a":2}\nfoo\n', "x.json", columns=("a",))
    assert (found.rows, found.rules) == ({0: {"a": "1"}, 1: {"a": "2"}}, {2: "json"})


def test_an_array_inside_an_object_is_named_by_its_path(read_bytes) -> None:
    data = json.dumps({"meta": {"n": 2}, "data": {"customers": [{"a": 1}, {"a": 2}]}}).encode()
    assert read_bytes(data, "x.json", records="data.customers", columns=("a",)).values == [{"a": "1"}, {"a": "2"}]
    with pytest.raises(BadInput, match=r"found arrays under 'data.customers'; name one with the option `records`"):
        read_bytes(data, "x.json")


@pytest.mark.parametrize("data", [b"[]", b'{"records": []}', b" [ ] "])
def test_no_rows(read_bytes, data: bytes) -> None:
    found = read_bytes(data, "x.json")
    assert (found.values, [t.column_names for t in found.tables]) == ([], [["a", "b"]])


@pytest.mark.parametrize(("data", "message"), [
    (b"", "the file is empty"),
    (b"  \n", "the file is empty"),
    (b'[{"a":1},', r"is not JSON: .* \(line 1, column"),
    (b'[{"a":1},\n{"a":2', r"is not JSON: .* \(line 2, column"),
    (b'[{"a":1},]', "is not JSON"),
    (b'[{"a":1} {"a":2}]', "is not JSON: Expecting ',' or ']'"),
    (b'{"a":[{}], "b"}', "is not JSON: Expecting ':'"),
    (b"{a: 1}", "is not JSON: Expecting a name"),
    (b"hello", "expected an array of objects, or an object with one array; found arrays under no key"),
    (b'{"a":1}', "found arrays under no key"),
    (b"[" * 200_000, "is nested too deeply|is not JSON"),
])  # fmt: skip
def test_what_is_no_such_document_is_refused(read_bytes, data: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_bytes(data, "x.json")
    assert str(caught.value).startswith("x.json: ")
    assert "\n" not in str(caught.value)


def test_the_size_is_bounded(read_bytes) -> None:
    with pytest.raises(BadInput, match=r"at most 100 bytes, found more; bring it as NDJSON"):
        read_bytes(b'[{"a":"' + b"x" * 200 + b'"}]', "x.json", max_bytes=100)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.text('[]{}",:1ax \n\\', max_size=30))
def test_any_mess_is_an_error_or_rows(read_bytes, data: str) -> None:
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    try:
        found = read_bytes(data.encode(), "x.json")
    except BadInput:
        assert not isinstance(document, list)
    else:
        if isinstance(document, list):
            assert len(found.rows) + len(found.bad) == len(document)
