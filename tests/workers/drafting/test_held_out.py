"""Drafting measured on public tables that nobody tuned it on, against kinds written down before its first run.

The other half, which it was tuned on, is `expected.toml` with `test_drafting.py`. A table whose misses were used to
correct drafting moves there: from then on it measures nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import polars as pl
import pytest
from tests.workers.drafting.public_tables import table

from onefold_workers.drafting import understand

EXPECTED = tomllib.loads((Path(__file__).parent / "held_out.toml").read_text(encoding="utf-8"))
TABLES = [(group, name) for group, tables in EXPECTED.items() for name in tables]
pytestmark = pytest.mark.needs_tables


def right(expected: str | list[str], found: str) -> bool:
    if expected == "either":
        return found in ("external_id", "none")
    return found in expected if isinstance(expected, list) else found == expected


def test_nine_of_ten_columns_of_tables_never_seen_get_the_right_kind() -> None:
    assert len(TABLES) >= 12
    columns, told, misses, unfound = 0, 0, [], []
    for group, name in TABLES:
        expected, frame = EXPECTED[group][name], table(group, name)
        assert set(frame.columns) == set(expected), name
        _, guesses, _ = understand(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), name)
        for column, kind in expected.items():
            found = guesses[column].kind if column in guesses else "none"
            has_kind = "none" not in kind and kind != "either"
            columns, told = columns + 1, told + has_kind
            if not right(kind, str(found)):
                misses.append((name, column, kind, found))
                unfound += [column] if has_kind else []
    print(f"{columns - len(misses)} of {columns} columns right, {told - len(unfound)} of {told} that have a kind")
    assert 1 - len(misses) / columns >= 0.9, misses
    assert 1 - len(unfound) / told >= 0.85, unfound
