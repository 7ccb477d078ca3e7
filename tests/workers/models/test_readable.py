"""Texts of reasons: numbers as people read them."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold_workers.readable import names_in, number, text


def _text(template: str, **values: float | None) -> str:
    frame = pl.DataFrame({k: [v] for k, v in values.items()}, schema_overrides=dict.fromkeys(values, pl.Float64))
    return str(frame.select(text(template)).item())


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("{x:day} ago", 1.0, "1 day ago"),
        ("{x:day} ago", 41.3, "41 days ago"),
        ("{x:day} ago", 0.97, "1 day ago"),
        ("{x:category}", 2.0, "2 categories"),
        ("{x}", 2.34, "2.3"),
        ("{x}", 9.96, "10"),
        ("{x}", -0.04, "0"),
        ("{x}", 12345.6, "12,346"),
        ("{x}", -1234567.0, "-1,234,567"),
        ("{x:money}", 1234.5, "1,234.50"),
        ("{x:money}", 0.006, "0.01"),
        ("{x:money}", -12.0, "-12.00"),
        ("{x:money}", 0.999, "1.00"),
        ("{x:%}", 0.4567, "46%"),
        ("{x:%}", 0.004, "0.4%"),
        ("{x} of it", None, "unknown of it"),
        ("{x} of it", float("nan"), "unknown of it"),
        ("nothing", 1.0, "nothing"),
        ("", 1.0, ""),
    ],
)
def test_numbers_read_well(template: str, value: float | None, expected: str) -> None:
    assert _text(template, x=value) == expected


def test_brackets_drop_what_is_unknown() -> None:
    template = "last {x:day} ago[ (usually {y:day})], {z}"
    assert _text(template, x=3, y=9, z=1) == "last 3 days ago (usually 9 days), 1"
    assert _text(template, x=3, y=None, z=1) == "last 3 days ago, 1"
    assert names_in(template) == ("x", "y", "z")


@given(st.floats(-1e12, 1e12))
def test_any_number_reads_back(value: float) -> None:
    shown = str(pl.DataFrame({"x": [value]}).select(number(pl.col("x"))).item())
    assert float(shown.replace(",", "")) == pytest.approx(value, abs=0.5001 if abs(value) >= 9.94 else 0.0501)
