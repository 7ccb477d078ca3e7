"""Golden IDs: stable, opaque, merged to the oldest, left with the majority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.schema import HISTORY, LINKS
from onefold_storage.survivors import survivors
from onefold_workers.identity import assign_golden_ids, golden_ids

T0 = datetime(2018, 1, 1, tzinfo=UTC)
NONE = pl.DataFrame(pl.from_arrow(LINKS.arrow.empty_table()))


def clusters(**of: int) -> pl.DataFrame:
    return pl.DataFrame({"record_key": list(of), "cluster": list(of.values())})


def now(links: pl.DataFrame) -> dict[str, str]:
    return dict(links.filter(pl.col("valid_to").is_null()).select("record_key", "golden_id").iter_rows())


def answering(*histories: pl.DataFrame) -> dict[str, str]:
    """Who answers for whom by history alone, whoever has records."""
    return dict(survivors(pl.concat(histories), pl.Series(dtype=pl.String)).iter_rows())


def day(n: int) -> datetime:
    return T0 + timedelta(days=n)


def test_new_customers_are_created() -> None:
    links, history = assign_golden_ids(clusters(a=0, b=0, c=1), NONE, T0, cause="im-1")
    ids = now(links)
    assert ids["a"] == ids["b"] != ids["c"]
    assert all(len(i) == 27 and i.startswith("g") and i.isalnum() and i == i.lower() for i in ids.values())
    assert history["event"].to_list() == ["created", "created"]
    assert sorted(history["records"]) == [1, 2]
    assert set(history["cause"]) == {"im-1"}
    assert links.columns == LINKS.arrow.names
    assert history.columns == HISTORY.arrow.names


def test_ids_are_the_same_in_two_runs_and_others_under_another_salt() -> None:
    one, two = (assign_golden_ids(clusters(a=0, b=1), NONE, T0)[0] for _ in range(2))
    assert one.equals(two)
    salted = assign_golden_ids(clusters(a=0, b=1), NONE, T0, salt="other")[0]
    assert set(now(one).values()).isdisjoint(now(salted).values())


def test_a_rerun_changes_nothing() -> None:
    links, _ = assign_golden_ids(clusters(a=0, b=0, c=1), NONE, T0)
    again, history = assign_golden_ids(clusters(c=4, b=7, a=7), links, day(1))
    assert again.equals(links)
    assert history.height == 0


def test_a_merge_goes_to_the_oldest_and_says_so() -> None:
    links, first = assign_golden_ids(clusters(z=0), NONE, T0)
    links, second = assign_golden_ids(clusters(z=0, a=1, b=1), links, day(1))
    before = now(links)
    links, third = assign_golden_ids(clusters(z=0, a=0, b=0), links, day(2))
    assert set(now(links).values()) == {before["z"]}
    assert third.select("golden_id", "event", "other_id", "records").rows() == [
        (before["a"], "merged", before["z"], 2)
    ]
    answers = answering(first, second, third)
    assert answers == {before["a"]: before["z"]}
    closed = links.filter(pl.col("valid_to").is_not_null())
    assert closed["record_key"].sort().to_list() == ["a", "b"]
    assert set(closed["valid_to"]) == {day(2)}


def test_a_split_leaves_the_id_with_the_majority() -> None:
    links, _ = assign_golden_ids(clusters(a=0, b=0, c=0), NONE, T0)
    before = now(links)["a"]
    links, history = assign_golden_ids(clusters(a=1, b=0, c=0), links, day(1))
    after = now(links)
    assert after["b"] == after["c"] == before != after["a"]
    assert history.select("golden_id", "event", "other_id", "records").rows() == [(before, "split", after["a"], 1)]


def test_merge_then_unmerge_gives_back_both_ids() -> None:
    links, h1 = assign_golden_ids(clusters(a=0, b=0, c=1), NONE, T0)
    before = now(links)
    links, h2 = assign_golden_ids(clusters(a=0, b=0, c=0), links, day(1))
    links, h3 = assign_golden_ids(clusters(a=0, b=0, c=1), links, day(2))
    assert now(links) == before
    assert len(answering(h1, h2)) == 1
    assert answering(h1, h2, h3) == {}


def test_chains_of_merges_end_at_the_last_survivor() -> None:
    links, h1 = assign_golden_ids(clusters(a=0), NONE, T0)
    links, h2 = assign_golden_ids(clusters(a=0, b=1), links, day(1))
    links, h3 = assign_golden_ids(clusters(a=0, b=1, c=2), links, day(2))
    ids = now(links)
    links, h4 = assign_golden_ids(clusters(a=0, b=1, c=1), links, day(3))
    links, h5 = assign_golden_ids(clusters(a=0, b=0, c=0), links, day(4))
    answers = answering(h1, h2, h3, h4, h5)
    assert answers == {ids["b"]: ids["a"], ids["c"]: ids["a"]}


def test_a_vanished_record_ends_its_link() -> None:
    links, _ = assign_golden_ids(clusters(a=0, b=0), NONE, T0)
    links, history = assign_golden_ids(clusters(a=0), links, day(1))
    assert set(now(links)) == {"a"}
    assert history.height == 0


PARTITIONS = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), min_size=1), min_size=1, max_size=5
)


@settings(max_examples=40)
@given(PARTITIONS)
def test_links_always_mirror_the_clusters_and_are_never_lost(steps: list[dict[str, int]]) -> None:
    links, histories = NONE, []
    for n, step in enumerate(steps):
        before = links
        links, history = assign_golden_ids(clusters(**step), links, day(n))
        histories.append(history)
        ids = now(links)
        assert set(ids) == set(step)
        for x in step:
            for y in step:
                assert (ids[x] == ids[y]) == (step[x] == step[y])
        opened = before.select("record_key", "golden_id", "valid_from")
        assert opened.join(links, on=["record_key", "golden_id", "valid_from"], how="anti").height == 0
        ended = links.filter(pl.col("valid_to").is_not_null())
        assert (ended["valid_from"] <= ended["valid_to"]).all()
        answers = answering(*histories)
        assert set(answers).isdisjoint(ids.values())


@settings(max_examples=40)
@given(PARTITIONS)
def test_every_living_id_was_created_or_split_off(steps: list[dict[str, int]]) -> None:
    links, known = NONE, set()
    for n, step in enumerate(steps):
        links, history = assign_golden_ids(clusters(**step), links, day(n))
        known |= set(history.filter(pl.col("event") == "created")["golden_id"])
        known |= set(history.filter(pl.col("event") == "split")["other_id"])
        assert set(now(links).values()) <= known


@settings(max_examples=60)
@given(PARTITIONS, st.sampled_from("abcdefgh"))
def test_looking_only_at_what_is_touched_gives_the_same(steps: list[dict[str, int]], pinned: str) -> None:
    links = NONE
    for n, step in enumerate(steps):
        first = now(links).get(pinned)
        pins = pl.DataFrame({"record_key": ["a"], "golden_id": [first]}) if first else None
        quick = assign_golden_ids(clusters(**step), links, day(n), pins=pins)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(golden_ids, "_touched", lambda joined, _pins: joined)
            whole = assign_golden_ids(clusters(**step), links, day(n), pins=pins)
        assert quick[0].equals(whole[0])
        assert quick[1].equals(whole[1])
        links = quick[0]


def test_parts_that_come_back_one_by_one_get_their_own_ids_whatever_they_were_called_between() -> None:
    """c is the oldest; a and b were merged first, so that b's records were called a for a while."""
    steps = [{"c": 2}, {"a": 0, "b": 1, "c": 2}, {"a": 0, "b": 0, "c": 2}, {"a": 0, "b": 0, "c": 0}]
    links = NONE
    own: dict[str, str] = {}
    for n, step in enumerate(steps):
        links, _ = assign_golden_ids(clusters(**step), links, day(n))
        own = now(links) if n == 1 else own
    links, _ = assign_golden_ids(clusters(a=0, b=1, c=0), links, day(5))
    assert now(links)["b"] == own["b"]
    links, _ = assign_golden_ids(clusters(a=0, b=1, c=2), links, day(6))
    assert now(links) == own


def test_undoing_a_merge_gives_both_ids_back_though_the_merged_ones_are_the_majority() -> None:
    links, _ = assign_golden_ids(clusters(c=0), NONE, T0)
    links, _ = assign_golden_ids(clusters(c=0, a1=1, a2=1, a3=1), links, day(1))
    own = now(links)
    links, _ = assign_golden_ids(clusters(c=0, a1=0, a2=0, a3=0), links, day(2))
    assert set(now(links).values()) == {own["c"]}
    links, _ = assign_golden_ids(clusters(c=0, a1=1, a2=1, a3=1), links, day(3))
    assert now(links) == own
