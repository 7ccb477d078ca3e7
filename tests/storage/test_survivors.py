"""Who answers for a golden ID that was merged away: by history alone, and out of a lake of many customers."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.errors import NotFound
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import HISTORY, LINKS
from onefold_storage.settings import StorageSettings
from onefold_storage.survivors import survivor, survivors

T0 = datetime(2018, 1, 1, tzinfo=UTC)
Event = tuple[str, str, str | None]


def day(n: int) -> datetime:
    return T0 + timedelta(days=n)


def told(*events: Event) -> pl.DataFrame:
    """Rows of history, one a day: golden ID, event, the other ID."""
    rows = [
        {"golden_id": g, "event": e, "other_id": o, "records": 1, "cause": "x", "happened_at": day(n)}
        for n, (g, e, o) in enumerate(events)
    ]
    return pl.DataFrame(rows, schema=dict(pl.DataFrame(pl.from_arrow(HISTORY.arrow.empty_table())).schema))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Installation(StorageSettings(home=tmp_path / "home", now=T0)).lake


def fill(lake: Lake, living: list[str], history: pl.DataFrame) -> None:
    """A record of each that is living, linked on the first day."""
    shape = dict(pl.DataFrame(pl.from_arrow(LINKS.arrow.empty_table())).schema)
    links = pl.DataFrame({"golden_id": living}).with_columns(
        record_key="crm:" + pl.col("golden_id"), valid_from=pl.lit(T0), valid_to=pl.lit(None)
    )
    lake.append(LINKS.name, lake.frame_to_arrow(LINKS.name, links.select(list(shape)).cast(shape)))
    lake.append(HISTORY.name, lake.frame_to_arrow(HISTORY.name, history))


@settings(max_examples=60)
@given(st.dictionaries(st.integers(0, 30), st.integers(0, 30), max_size=30), st.sets(st.integers(0, 30)))
def test_chains_are_followed_to_their_end(merges: dict[int, int], living: set[int]) -> None:
    def followed(start: int) -> int | None:
        """The end; None for a circle, which no history has: it only must not be followed for ever."""
        at, seen = start, set()
        while at not in living and at in merges:
            if at in seen:
                return None
            seen.add(at)
            at = merges[at]
        return at

    history = told(*((str(gone), "merged", str(kept)) for gone, kept in merges.items()))
    found = dict(survivors(history, pl.Series([str(n) for n in living], dtype=pl.String)).iter_rows())
    assert set(found) == {str(n) for n in merges if n not in living}
    assert all(found[str(n)] == str(followed(n)) for n in merges if n not in living and followed(n) is not None)


CAME_BACK: list[Event] = [("a", "created", None), ("b", "created", None), ("a", "merged", "b"), ("b", "split", "a")]


def test_who_came_back_and_was_erased_is_answered_for_by_nobody(lake: Lake) -> None:
    fill(lake, ["b"], told(*CAME_BACK))
    assert survivor(lake, "a") == ("a", frozenset("a"))
    assert survivor(lake, "b") == ("b", frozenset("b"))


def test_two_that_were_merged_into_each_other_by_turns(lake: Lake) -> None:
    fill(lake, ["c"], told(*CAME_BACK, ("b", "merged", "a"), ("a", "merged", "c")))
    for one in "abc":
        assert survivor(lake, one) == ("c", frozenset("abc"))
    assert survivor(lake, "a", day(2)) == ("b", frozenset("ab")), "as it was then"


def test_a_long_chain_and_its_branches(lake: Lake) -> None:
    chain: list[Event] = [(f"g{n}", "merged", f"g{n + 1}") for n in range(40)]
    fill(lake, ["g40", "other"], told(*chain, ("leaf", "merged", "g20"), ("kin", "merged", "other")))
    whole = frozenset({"leaf", *(f"g{n}" for n in range(41))})
    for asked in ("g0", "g25", "leaf", "g40"):
        assert survivor(lake, asked) == ("g40", whole)
    assert survivor(lake, "kin") == ("other", frozenset({"kin", "other"}))


def test_an_erased_survivor_goes_on_answering(lake: Lake) -> None:
    fill(lake, ["other"], told(("old", "merged", "gone"), ("other", "created", None)))
    assert survivor(lake, "old") == ("gone", frozenset({"old", "gone"}))


def test_who_never_was_and_who_came_later(lake: Lake) -> None:
    fill(lake, ["a"], told(("a", "created", None), ("b", "merged", "a")))
    with pytest.raises(NotFound, match="no customer has or had"):
        survivor(lake, "z")
    with pytest.raises(NotFound, match="was not there yet"):
        survivor(lake, "b", T0 - timedelta(days=1))


def test_the_many_who_have_nothing_to_do_with_it_are_not_brought_into_memory(lake: Lake) -> None:
    ids = [f"g{n:026d}" for n in range(100_000)]
    merges = pl.DataFrame({"golden_id": ids[50_000:], "other_id": ids[:50_000]}).with_columns(
        event=pl.lit("merged")
    )
    merges = merges.with_columns(records=pl.lit(1, pl.Int64), cause=pl.lit("x"), happened_at=pl.lit(T0))
    fill(lake, ids[:50_000], merges.select(told().columns))
    survivor(lake, ids[1])
    tracemalloc.start()
    try:
        assert survivor(lake, ids[60_000]) == (ids[10_000], frozenset({ids[10_000], ids[60_000]}))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
