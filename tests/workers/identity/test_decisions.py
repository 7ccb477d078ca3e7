"""Decisions of people: the latest counts, taking back is a row, pins hold; every merge and split has its causes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.evidence import pins, standing
from onefold_storage.schema import EDGES, EVIDENCE, HISTORY, HISTORY_EDGES, LINKS
from onefold_storage.survivors import survivors
from onefold_workers.identity import assign_golden_ids, obeyed, with_causes

T0 = datetime(2018, 1, 1, tzinfo=UTC)
NONE = pl.DataFrame(pl.from_arrow(LINKS.arrow.empty_table()))


def evidence(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """Rows in the order in which they were decided."""
    shape = dict(pl.DataFrame(pl.from_arrow(EVIDENCE.arrow.empty_table())).schema)
    made = [
        {"left_key": a, "right_key": b, "verdict": v, "decided_by": "x", "decided_at": T0 + timedelta(seconds=n)}
        for n, (a, b, v) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=shape)


def clusters(**of: int) -> pl.DataFrame:
    return pl.DataFrame({"record_key": list(of), "cluster": list(of.values())})


def held(links: pl.DataFrame) -> pl.DataFrame:
    return links.filter(pl.col("valid_to").is_null()).select("record_key", "golden_id")


def edges(*rows: tuple[str, str, float]) -> pl.DataFrame:
    shape = dict(pl.DataFrame(pl.from_arrow(EDGES.arrow.empty_table())).schema)
    return pl.DataFrame(
        [{"left_key": a, "right_key": b, "match_weight": w, "rule": "email"} for a, b, w in rows], schema=shape
    )


def test_the_latest_word_on_a_pair_counts_in_either_order_and_can_be_taken_back() -> None:
    said = evidence(
        ("b", "a", "must_link"), ("c", "d", "cannot_link"), ("a", "b", "cannot_link"), ("d", "c", "withdrawn")
    )
    assert standing(said).select("left_key", "right_key", "verdict").rows() == [("a", "b", "cannot_link")]
    assert standing(said.reverse()).equals(standing(said))


def test_pins_of_one_id_are_one_customer_and_of_two_are_two() -> None:
    said = evidence(("a", "g1", "pinned"), ("b", "g1", "pinned"), ("c", "g2", "pinned"), ("d", "g2", "pinned"))
    said = pl.concat([said, evidence(*[("x", "y", "must_link")] * 4, ("d", "g2", "unpinned"))])
    assert pins(said).rows() == [("a", "g1"), ("b", "g1"), ("c", "g2")]
    found = {(a, b): v for a, b, v in obeyed(said).select("left_key", "right_key", "verdict").rows()}
    assert found == {
        ("x", "y"): "must_link", ("a", "b"): "must_link", ("a", "c"): "cannot_link", ("b", "c"): "cannot_link",
    }  # fmt: skip


def test_a_pin_keeps_an_id_through_a_merge_with_an_older_one() -> None:
    links, _ = assign_golden_ids(clusters(old=0, old2=0), NONE, T0)
    links, _ = assign_golden_ids(clusters(old=0, old2=0, young=1), links, T0 + timedelta(days=1))
    before = dict(held(links).iter_rows())
    pinned = pl.DataFrame({"record_key": ["young"], "golden_id": [before["young"]]})
    links, history = assign_golden_ids(clusters(old=0, old2=0, young=0), links, T0 + timedelta(days=2), pins=pinned)
    assert set(dict(held(links).iter_rows()).values()) == {before["young"]}
    assert history.select("golden_id", "event", "other_id").rows() == [(before["old"], "merged", before["young"])]


def test_a_pin_brings_back_an_id_that_was_merged_away() -> None:
    links, h1 = assign_golden_ids(clusters(a=0), NONE, T0)
    links, h2 = assign_golden_ids(clusters(a=0, b=1), links, T0 + timedelta(days=1))
    ids = dict(held(links).iter_rows())
    links, h3 = assign_golden_ids(clusters(a=0, b=0), links, T0 + timedelta(days=2))
    pinned = pl.DataFrame({"record_key": ["b"], "golden_id": [ids["b"]]})
    links, h4 = assign_golden_ids(clusters(a=0, b=0), links, T0 + timedelta(days=3), pins=pinned)
    assert set(dict(held(links).iter_rows()).values()) == {ids["b"]}
    nobody = pl.Series(dtype=pl.String)
    assert dict(survivors(pl.concat([h1, h2, h3, h4]), nobody).iter_rows()) == {ids["a"]: ids["b"]}
    again, nothing = assign_golden_ids(clusters(a=5, b=5), links, T0 + timedelta(days=4), pins=pinned)
    assert again.equals(links)
    assert nothing.height == 0


@settings(max_examples=40)
@given(
    st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), min_size=1), min_size=2, max_size=4),
    st.sampled_from("abcdef"),
)
def test_a_pinned_record_has_its_id_whatever_the_clusters_become(steps: list[dict[str, int]], key: str) -> None:
    links, golden_id = NONE, None
    for n, step in enumerate(steps):
        pinned = pl.DataFrame({"record_key": [key], "golden_id": [golden_id]}) if golden_id else None
        links, _ = assign_golden_ids(clusters(**step), links, T0 + timedelta(days=n), pins=pinned)
        found = dict(held(links).iter_rows())
        if golden_id and key in step:
            assert found[key] == golden_id
        golden_id = golden_id or found.get(key)


def test_a_merge_has_its_edges_and_a_split_the_decision_behind_it() -> None:
    links, _ = assign_golden_ids(clusters(a=0, b=1, z=2), NONE, T0)
    before = held(links)
    links, history = assign_golden_ids(clusters(a=0, b=0, n=0, z=1), links, T0 + timedelta(days=1))
    weighed = edges(("a", "n", 9.0), ("b", "n", 8.0), ("a", "z", 3.0))
    told, behind = with_causes(history, before, held(links), weighed, evidence().head(0), "records: im-1")
    assert told["cause"].to_list() == ["records: im-1"]
    assert told.columns == HISTORY.arrow.names
    assert behind.columns == HISTORY_EDGES.arrow.names
    assert behind.select("left_key", "right_key", "match_weight").rows() == [("a", "n", 9.0), ("b", "n", 8.0)]
    before = held(links)
    links, history = assign_golden_ids(clusters(a=0, n=0, b=1, z=2), links, T0 + timedelta(days=2))
    said = standing(evidence(("a", "b", "cannot_link")))
    told, behind = with_causes(history, before, held(links), weighed, said, "records: im-1")
    assert told.select("event", "cause").rows() == [("split", "decision")]
    assert behind.select("left_key", "right_key", "match_weight", "rule").rows() == [
        ("a", "b", None, "cannot_link"),
        ("b", "n", 8.0, "email"),
    ]
