from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onefold_storage.errors import BadInput
from onefold_workers.connectors.formats import _input

# mypy: disable-error-code="no-untyped-def"


def test_every_value_is_a_string_and_only_an_unquoted_empty_one_is_null(read_bytes) -> None:
    found = read_bytes(b'a,b\n001,\n"",2.50\nNA,null\n')
    assert found.values == [{"a": "001", "b": None}, {"a": "", "b": "2.50"}, {"a": "NA", "b": "null"}]
    assert {str(t) for table in found.tables for t in table.schema.types} == {"string"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(read_bytes, delimiter: str) -> None:
    text = delimiter.join(["id", "name", "amount"]) + "\n"
    text += "".join(delimiter.join([str(i), f'"a, b; c| {i}"', "1.5"]) + "\n" for i in range(9))
    found = read_bytes(text.encode())
    assert found.values[3] == {"id": "3", "name": "a, b; c| 3", "amount": "1.5"}


def test_decimal_commas_do_not_mislead(read_bytes) -> None:
    assert read_bytes(b"a;b\n1,5;2,5\n3,5;4,5\n").values[0] == {"a": "1,5", "b": "2,5"}


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lines_above_the_header_are_left_out(read_bytes, monkeypatch, chunk: int, encoding: str) -> None:
    monkeypatch.setattr(_input, "CHUNK", chunk)
    text = "Umsätze im Mai;;\r\n;;\r\na;b\r\n1;2\r\n3;4;5\r\n"
    found = read_bytes(text.encode(encoding), skip_lines=2)
    assert found.values == [{"a": "1", "b": "2"}]
    assert "row 2 (line 5): expected 2 fields, found 3" in found.bad[0].message
    with pytest.raises(BadInput, match=r"column 2, 3 of 3 has no name.*`skip_lines`"):
        read_bytes(text.encode(encoding))
    with pytest.raises(BadInput, match="the file is empty"):
        read_bytes(text.encode(encoding), skip_lines=9)


def test_tsv_has_tabs_whatever_its_commas(read_bytes) -> None:
    assert read_bytes(b"a,b\n1,2\n", "x.tsv").values == [{"a,b": "1,2"}]


def test_quotes_hold_delimiters_quotes_and_line_ends(read_bytes) -> None:
    found = read_bytes(b'a,b\n"x,""y""\r\nz",1\n"\n\n",2\n')
    assert found.values == [{"a": 'x,"y"\r\nz', "b": "1"}, {"a": "\n\n", "b": "2"}]


def test_a_quote_inside_a_plain_field_is_a_character(read_bytes) -> None:
    found = read_bytes(b'a,b\n5" pipe,1\n"6"" pipe",2\nhe said "x,y\n')
    assert [r["a"] for r in found.values] == ['5" pipe', '6" pipe', 'he said "x']


def test_quoting_can_be_turned_off(read_bytes) -> None:
    assert read_bytes(b'a,b\n"x,y"\n', quote="").values == [{"a": '"x', "b": 'y"'}]
    assert read_bytes(b"a,b\n'x,z',y\n", quote="'").values == [{"a": "x,z", "b": "y"}]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_blank_lines_and_a_missing_last_end(read_bytes, end: bytes) -> None:
    data = end.join([b"", b"a,b", b"1,2", b"", b"3,4,5", b"", b"6,7"])
    found = read_bytes(data)
    assert found.values == [{"a": "1", "b": "2"}, {"a": "6", "b": "7"}]
    assert found.rules == {1: "ragged"}
    assert "(line 5)" in found.bad[0].message


def test_ragged_rows_say_what_was_expected_and_keep_their_bytes(read_bytes) -> None:
    found = read_bytes(b'a,b\n1,2\n"x\ny",2,3\n5\n6,7\n')
    assert list(found.rows) == [0, 3]
    assert [b.message for b in found.bad] == [
        "file.csv: row 2 (line 3): expected 2 fields, found 3",
        "file.csv: row 3 (line 5): expected 2 fields, found 1",
    ]
    assert [b.raw for b in found.bad] == [b'"x\ny",2,3\n', b"5\n"]


def test_bytes_that_are_no_text_cost_only_their_row(read_bytes) -> None:
    found = read_bytes(b"a,b\n1,\xc3\xa9\n2,\xe9\n3,x\n")
    assert found.values == [{"a": "1", "b": "é"}, {"a": "3", "b": "x"}]
    assert found.rules == {1: "encoding"}
    assert found.bad[0].raw == b"2,\xe9\n"


@pytest.mark.parametrize("place", ["middle", "end"])
def test_an_unclosed_quote_costs_only_its_line(read_bytes, place: str, monkeypatch) -> None:
    monkeypatch.setattr(_input, "CHUNK", 64)
    rows = [b"%d,row %d\n" % (i, i) for i in range(100)]
    rows[40 if place == "middle" else 99] = b'odd,"never closed\n'
    found = read_bytes(b"a,b\n" + b"".join(rows), max_row_bytes=256)
    assert found.rules == {40 if place == "middle" else 99: "quote"}
    assert len(found.rows) == 99


def test_a_line_beyond_the_bound_is_bad_and_the_next_goes_on(read_bytes, monkeypatch) -> None:
    monkeypatch.setattr(_input, "CHUNK", 1000)
    found = read_bytes(b"a,b\n1,2\n" + b"x" * 100_000 + b",2\n3,4\n", max_row_bytes=5000)
    assert found.values == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert found.rules == {1: "too_long"}
    assert "expected a row of at most 5000 bytes, found 100003" in found.bad[0].message
    assert found.bad[0].raw == b"x" * 1000 or len(found.bad[0].raw) <= 1 << 16


def test_the_first_row_may_be_too_long_where_the_header_is_optioned(read_bytes, monkeypatch) -> None:
    monkeypatch.setattr(_input, "CHUNK", 100)
    found = read_bytes(b"x" * 3000 + b"\n1,2\n", max_row_bytes=200, header=["a", "b"])
    assert (found.rules, found.rows) == ({0: "too_long"}, {1: {"a": "1", "b": "2"}})


def test_hostile_quotes_take_bounded_time(read_bytes) -> None:
    # Each line opens a quote that nothing closes, so that a naive reader scans to the end for each of them.
    found = read_bytes(b"a,b\n" + b'"a"b"c,"d\n' * 20_000)
    assert len(found.rows) + len(found.bad) > 0


@pytest.mark.parametrize(("head", "encoding"), [
    (b"\xef\xbb\xbf", "utf-8"), (b"", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
])  # fmt: skip
def test_byte_order_marks(read_bytes, head: bytes, encoding: str) -> None:
    assert read_bytes(head + "a,b\né,漢\n".encode(encoding)).values == [{"a": "é", "b": "漢"}]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "shift_jis", "utf-8-sig"])
def test_the_encoding_option(read_bytes, encoding: str) -> None:
    word = "漢字" if encoding == "shift_jis" else "Grün"
    found = read_bytes(f"a,b\n{word},1\n".encode(encoding), encoding=encoding)
    assert found.values == [{"a": word, "b": "1"}]


@pytest.mark.parametrize(("encoding", "data"), [
    ("cp1252", b"a,b\n1,x\n2,\x81\n3,\xe9\n"),
    ("utf-16-le", "a,b\n1,x\n2,".encode("utf-16-le") + b"\x00\xd8" + "\n3,é\n".encode("utf-16-le")),
])  # fmt: skip
def test_what_another_encoding_cannot_say_costs_only_its_row(read_bytes, encoding: str, data: bytes) -> None:
    found = read_bytes(data, encoding=encoding)
    assert found.values == [{"a": "1", "b": "x"}, {"a": "3", "b": "é"}]
    assert found.rules == {1: "encoding"}


@pytest.mark.parametrize(("data", "message"), [
    (b"", "the file is empty; expected a header line and rows"),
    (b"\n\n\r\n", "the file is empty"),
    (b"a,b,a\n1,2,3\n", r"header: columns 1 and 3 share a name \(a\)"),
    (b"ann,1,ann\n1,2,3\n", "header: columns 1 and 3 share a name; every column needs its own"),
    (b"a,,c\n1,2,3\n", "header: column 2 of 3 has no name"),
    (b"a,b\xff\n1,2\n", "the header is not UTF-8 text; set the option `encoding`"),
    ("a,b\n1,2\n".encode("utf-16-le"), "the header is not UTF-8 text"),
    (b'a,"b\n1,2\n', "the header line has no end"),
])  # fmt: skip
def test_a_file_without_a_proper_header_is_refused(read_bytes, data: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read_bytes(data)
    assert str(caught.value).startswith("file.csv: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"a,b", b"a,b\n", b"\xef\xbb\xbfa,b\r\n\r\n"])
def test_a_header_alone_is_a_delivery_without_rows(read_bytes, data: bytes) -> None:
    found = read_bytes(data)
    assert (found.values, found.bad, [t.column_names for t in found.tables]) == ([], [], [["a", "b"]])


def test_header_by_option(read_bytes) -> None:
    assert read_bytes(b"1,2\n3,4\n", header=["x", "y"]).values == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]


_FIELD = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=8)
_TABLE = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(_FIELD, min_size=width, max_size=width), min_size=1, max_size=12)
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=_TABLE, chunk=st.integers(1, 40), end=st.sampled_from(["\n", "\r\n"]))
def test_what_was_written_is_read_wherever_chunks_end(read_bytes, monkeypatch, table, chunk: int, end: str) -> None:
    monkeypatch.setattr(_input, "CHUNK", chunk)
    names = [f"c{i}" for i in range(len(table[0]))]
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([names, *table])
    found = read_bytes(text.getvalue().encode(), delimiter=",")
    assert found.bad == []
    assert [list(r.values()) for r in found.values] == table


_MESS = st.lists(
    st.sampled_from([b"a", b"1", b",", b'"', b'""', b"\n", b"\r", b"\r\n", b'",', b',"', b"\xff", b" "])
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mess=_MESS, chunk=st.integers(1, 30))
def test_any_mess_is_read_as_pythons_reader_sees_it(read_bytes, monkeypatch, mess, chunk: int) -> None:
    """The same good rows, wherever chunks end; all rows accounted for (in `read_delivery`)."""
    data = b"".join(mess)
    monkeypatch.setattr(_input, "CHUNK", 1 << 20)
    whole = read_bytes(b"x,y\n" + data, delimiter=",")
    monkeypatch.setattr(_input, "CHUNK", chunk)
    pieces = read_bytes(b"x,y\n" + data, delimiter=",")
    assert (pieces.rows, pieces.rules) == (whole.rows, whole.rules)
    if "quote" not in whole.rules.values():
        lines = [line.decode("latin-1") for line in data.splitlines(keepends=True)]
        expected = [r for r in csv.reader(lines) if r]
        assert len(whole.rows) + len(whole.bad) == len(expected)
        for place, row in whole.rows.items():
            assert [v or "" for v in row.values()] == expected[place]


@pytest.mark.parametrize(
    "text", [b"%s1,Ann\n%s2,Bob\n%s", b'%s"1",Ann\n%s2,"B ""o"" b"\n%s', b"%s1,Ann\n%s1,2,3\n2,Bob\n%s"]
)
def test_a_header_line_that_comes_again_is_no_row(read_bytes, text: bytes) -> None:
    found = read_bytes(text.replace(b"%s", b"id,name\n"))
    assert [v["id"] for v in found.values] == ["1", "2"]
    again = [b for b in found.bad if b.rule == "header"]
    assert [b.raw.strip() for b in again] == [b"id,name"] * 2
    assert sorted([*found.rows, *found.rules]) == list(range(len(found.rows) + len(found.bad)))
    assert "row 2 (line 3): expected a row, found the header line again" in again[0].message


def test_a_row_that_says_some_of_the_header_is_a_row(read_bytes) -> None:
    found = read_bytes(b"id,name\nid,Ann\n2,name\n")
    assert (len(found.values), found.bad) == (2, [])


def test_a_web_page_is_no_csv(read_bytes) -> None:
    with pytest.raises(BadInput, match="is a web page"):
        read_bytes(b"<html><body>Error 500</body></html>\n")
