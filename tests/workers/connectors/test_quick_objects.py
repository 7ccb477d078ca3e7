"""Arrow's quick way of reading lines of JSON and the careful one agree, or the quick one says that it cannot tell."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats._objects import Objects
from onefold_workers.connectors.formats._quick_objects import QuickObjects


class _Careful(QuickObjects):
    """Never answers."""

    def read(self, data: bytes, keys: tuple[str, ...], lines: int) -> None:
        return None


def rows_of(batch: Batch) -> tuple[dict[int, dict[str, str]], dict[int, str]]:
    values = [{k: v for k, v in r.items() if v is not None} for r in batch.rows.to_pylist()]
    return dict(zip(batch.row_ids.to_pylist(), values, strict=True)), {b.row_id: b.rule for b in batch.bad}


def compare(blocks: list[bytes], keys: tuple[str, ...] = ("a", "b")) -> list[bool]:
    """Whether the quick way answered, by block; both read the same, in a row of blocks of one file."""
    quick, careful = Objects("x", dict.fromkeys(keys)), Objects("x", dict.fromkeys(keys), _quick=_Careful())
    answered = []
    for block in blocks:
        before = quick._quick._refused
        one, other = rows_of(quick.batch(block)), rows_of(careful.batch(block))
        assert one == other, block
        assert (quick.row, quick.line) == (careful.row, careful.line)
        answered.append(before == 0 and quick._quick._refused == 0)
    return answered


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in rows)


def test_usual_lines_are_read_at_once() -> None:
    usual = lines({"a": "x", "b": 1}, {"a": 'Zoë\n"', "b": None}, {"b": -5}, {"a": "2017-01-01", "b": 2**63 - 1})
    assert compare([usual, lines({"a": "y", "b": 7}), usual[:-1]]) == [True, True, True]
    flags = lines({"a": True, "b": "2017-01-01T00:00:00Z"}, {"a": False, "b": "12"})
    assert compare([flags]) == [True]


ODD = [
    b'{"a":"x","b":1}{"a":"y","b":2}\n\n',
    b'{"a":"x",\n"b":1}\n{"a":"y","b":2}{"a":"z","b":3}\n',
    b'{"a":"x","b":-0}\n', b'{"a":"x","b": -0 }\n', b'{"a":"x","b":-0.0}\n', b'{"a":"x","b":0}\n{"a":"-0","b":1}\n',
    b'{"a":"x","b":1.5}\n', b'{"a":"x","b":1e2}\n', b'{"a":"x","b":01}\n', b'{"a":"x","b":+1}\n', b'{"a":"x","b":NaN}\n',
    b'{"a":"x","b":9223372036854775808}\n', b'{"a":"x","b":18446744073709551615}\n', b'{"a":"x","b":"1"}\n',
    b'{"a":1,"b":1}\n', b'{"a":{"c":1},"b":1}\n', b'{"a":[1],"b":1}\n', b'{"a":true,"b":1}\n', b'{"a":"x","b":true}\n',
    b'{"a":"x","a":"y","b":1}\n', b'{"a":"x","b":1,"c":2}\n', b'{"a":"x","b":1,"":2}\n', b'{}\n', b'{ }\n', b'[]\n', b'"a"\n',
    b'{"a":"\\ud83d","b":1}\n', b'{"a":"\\ud83d\\ude00","b":1}\n', b'{"a":"\\u0000","b":1}\n', b'{"a":"\\u00e9","b":1}\n',
    b'{"a":"\\x","b":1}\n', b'{"a":"\\/\\b\\f\\r\\t","b":1}\n', b'{"a":"\xff","b":1}\n', b'{"\xff":"x","b":1}\n',
    b'{"a":"\x01","b":1}\n', b'{"a":"\x7f","b":1}\n', b'{"a":"x\x00","b":1}\n', b'{"a":"x","b":1},\n', b'{"a":"x","b":1,}\n',
    b' {"a":"x","b":1} \n', b'{"a":"x","b":1}\r\n', b'\n\n{"a":"x","b":1}\n', b'{"a":"x","b":1} {}\n', b'{"a":"x"\n', b'\n',
    b'{"a":"{","b":1}\n{"a":"}","b":1}\n', b'{"a":"x","b":1}}\n', b'{"a":"x","b":1}\n{"a":"y","b":1}',
    b'{"a":null,"b":null}\n',
    b'{"A":"x","b":1}\n', b'{"a":"x","b":12345678901234567890123456789012345678}\n', b"{'a':'x'}\n",
    b'{"a":"x","b":1} // c\n',
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_both_ways_agree_on_odd_lines(odd: bytes) -> None:
    usual = lines({"a": "x", "b": 1}, {"a": "y", "b": 22})
    compare([odd])
    compare([usual, odd, usual, usual + odd + usual, odd + usual])


_texts = st.text(max_size=6) | st.sampled_from(["", "2017-01-01", "12", "\\", '"', "}\n{", "\ud7ff", "é"])
_values = (
    st.none() | _texts | st.integers(-(2**70), 2**70) | st.booleans() | st.floats(allow_nan=False) | st.just([1])
)
_usual = st.fixed_dictionaries(
    {}, optional={"a": st.none() | _texts, "b": st.none() | st.integers(-(2**63), 2**63 - 1)}
)
_objects = _usual | st.dictionaries(st.sampled_from(["a", "b", "c", "é"]), _values, max_size=3)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(_usual, min_size=1) | st.lists(_objects, min_size=1), min_size=1, max_size=4), st.booleans()
)
def test_both_ways_agree(blocks: list[list[dict[str, Any]]], ascii_only: bool) -> None:
    compare([b"".join(json.dumps(r, ensure_ascii=ascii_only).encode() + b"\n" for r in block) for block in blocks])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_both_ways_agree_on_usual_lines_with_some_bytes_changed(data: st.DataObject) -> None:
    usual = lines({"a": "x\\y", "b": 12}, {"a": "Zoë", "b": -3}, {"b": 0})
    at = data.draw(st.integers(0, len(usual)))
    odd = data.draw(st.text('{}[]",:\\u0-1e.\n \r\x00tn', max_size=3)).encode()
    compare([usual, usual[:at] + odd + usual[at + data.draw(st.integers(0, 3)) :]])


def test_a_file_that_arrow_refuses_is_not_offered_to_it_for_ever() -> None:
    quick = Objects("x", dict.fromkeys(["a"]))
    for _ in range(9):
        quick.batch(lines({"a": 1.5}))
    assert quick._quick._refused == 3
