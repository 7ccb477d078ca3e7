"""Drafting measured on public tables of people and transactions: a half that was tuned on, and one held out.

`held_out.toml` was written down before drafting was first run on its tables, and nothing was corrected by them. A
table whose misses are used to correct drafting moves to `seen_public.toml`: from then on it measures nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import polars as pl
import pytest
from tests.workers.drafting.public_tables import table

from onefold_workers.drafting import understand

pytestmark = pytest.mark.needs_tables


def right(expected: str | list[str], found: str) -> bool:
    if expected == "either":
        return found in ("external_id", "none")
    return found in expected if isinstance(expected, list) else found == expected


@pytest.mark.parametrize(
    ("half", "least", "least_of_kinds"), [("held_out.toml", 0.9, 0.5), ("seen_public.toml", 0.95, 0.9)]
)
def test_nine_of_ten_columns_get_the_right_kind(half: str, least: float, least_of_kinds: float) -> None:
    expected = tomllib.loads((Path(__file__).parent / half).read_text(encoding="utf-8"))
    tables = [(group, name) for group, named in expected.items() for name in named]
    assert len(tables) >= 12
    columns, told, misses, unfound = 0, 0, [], []
    for group, name in tables:
        kinds, frame = expected[group][name], table(group, name)
        assert set(frame.columns) == set(kinds), name
        _, guesses, _ = understand(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), name)
        for column, kind in kinds.items():
            found = guesses[column].kind if column in guesses else "none"
            has_kind = "none" not in kind and kind != "either"
            columns, told = columns + 1, told + has_kind
            if not right(kind, str(found)):
                misses.append((name, column, kind, found))
                unfound += [column] if has_kind else []
    print(
        f"{half}: {columns - len(misses)} of {columns} columns right, {told - len(unfound)} of {told} with a kind"
    )
    assert 1 - len(misses) / columns >= least, misses
    assert 1 - len(unfound) / told >= least_of_kinds, unfound
