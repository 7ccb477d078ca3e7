"""Workbooks: the sheet's types, values of formulas, blank rows, odd headers, and what is no workbook."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import xlsxwriter

from onefold_storage.errors import BadInput


def _book(sheets: dict[str, list[list[Any]]]) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for r, row in enumerate(rows):
            for c, value in enumerate(row):
                if isinstance(value, dt.date):
                    sheet.write_datetime(r, c, dt.datetime.combine(value, dt.time()), day)
                elif isinstance(value, tuple):
                    sheet.write_formula(r, c, value[0], None, value[1])
                elif value is not None:
                    sheet.write(r, c, value)
    book.close()
    return out.getvalue()


PEOPLE = [
    ["id", "name", "born", "total"],
    [1, "Ann", dt.date(1980, 2, 1), ("=1+1", 2)],
    [2, "=cmd|' /C calc'!A0", None, 3.5],
    [None, None, None, None],
    [3, "Šárka", dt.date(1975, 12, 31), None],
]


def test_a_sheet_is_read_with_its_types(read_bytes: Callable[..., Any]) -> None:
    found = read_bytes(_book({"people": PEOPLE}), "people.xlsx")
    table = found.tables[0].to_pydict()
    assert table["name"] == ["Ann", "=cmd|' /C calc'!A0", "Šárka"]
    assert [v and v.isoformat()[:10] for v in table["born"]] == ["1980-02-01", None, "1975-12-31"]
    assert table["total"] == [2, 3.5, None]
    assert [float(v) for v in table["id"]] == [1, 2, 3]


def test_rows_above_the_header_are_left_out(read_bytes: Callable[..., Any]) -> None:
    data = _book({"a": [["Report of May"], [None], *PEOPLE]})
    found = read_bytes(data, "a.xlsx", skip_lines=2)
    assert found.tables[0].column_names == ["id", "name", "born", "total"]
    assert found.tables[0].num_rows == 3
    with pytest.raises(
        BadInput, match=r"one has values and no name.*`skip_lines`, of a draft --option skip_lines=2$"
    ):
        read_bytes(data, "a.xlsx")


def test_a_column_of_mixed_types_is_text(read_bytes: Callable[..., Any]) -> None:
    rows = [["zip"], ["01234"], [1234], ["x"]]
    found = read_bytes(_book({"a": rows}), "a.xlsx")
    assert found.tables[0].column("zip").to_pylist() == ["01234", "1234", "x"]


def test_one_sheet_of_several(read_bytes: Callable[..., Any]) -> None:
    data = _book({"first": [["a"], [1]], "second": [["b"], [2]]})
    assert read_bytes(data, "x.xlsx").tables[0].column_names == ["a"]
    assert read_bytes(data, "x.xlsx", sheet="second").tables[0].column_names == ["b"]
    with pytest.raises(BadInput, match=r"x\.xlsx: has no sheet 'third'; it has first, second"):
        read_bytes(data, "x.xlsx", sheet="third")


def _bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in zipfile.ZipFile(io.BytesIO(_book({"a": [["a"], [1]]}))).namelist():
            if "sheet1" not in name:
                archive.writestr(name, b"<x/>")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (8 << 20))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"id,name\n1,A\n", {}, "is no workbook that can be read"),
        (_book({"a": [["a"], [1]]})[:-200], {}, "is no workbook that can be read"),
        (_bomb(), {"max_bytes": 1 << 20}, "is larger than 1048576 bytes unpacked"),
        (_book({"a": [["a", "a"], [1, 2]]}), {}, None),
        (_book({"a": [["a", None], [1, 2]]}), {}, "one has values and no name"),
    ],
    ids=["csv", "truncated", "bomb", "twice", "no name"],
)
def test_what_is_no_workbook(read_bytes: Callable[..., Any], data: bytes, options: Any, said: str | None) -> None:
    if said is None:
        names = read_bytes(data, "x.xlsx", **options).tables[0].column_names
        assert len(set(names)) == 2
        return
    with pytest.raises(BadInput, match=said) as caught:
        read_bytes(data, "x.xlsx", **options)
    assert "\n" not in str(caught.value)


def test_an_empty_sheet_has_no_columns(read_bytes: Callable[..., Any]) -> None:
    found = read_bytes(_book({"a": []}), "x.xlsx")
    assert found.values == []
