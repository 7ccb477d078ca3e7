"""The parts of identity resolution: quality, names, comparisons, blocking, clustering, learning."""

from __future__ import annotations

from itertools import combinations
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.errors import BadInput
from onefold_workers.identity import pairwise_quality, resolve
from onefold_workers.identity.blocking import derive_rules
from onefold_workers.identity.clustering import Links, affordable, average_linkage, inner_pairs
from onefold_workers.identity.comparison import compare_pairs, unpacked
from onefold_workers.identity.pairing import candidate_pairs
from onefold_workers.identity.people import encode_people


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25))
def test_quality_is_that_of_listed_pairs(rows: list[tuple[int, int]]) -> None:
    names = [f"r{i}" for i in range(len(rows))]
    quality = pairwise_quality(
        pl.DataFrame({"record_key": names, "cluster": [a for a, _ in rows]}),
        pl.DataFrame({"record_key": names, "truth": [b for _, b in rows]}),
    )
    pairs = list(combinations(rows, 2))
    found = sum(x[0] == y[0] for x, y in pairs)
    true = sum(x[1] == y[1] for x, y in pairs)
    both = sum(x == y for x, y in pairs)
    assert (quality.found, quality.true, quality.both) == (found, true, both)
    assert quality.precision == (both / found if found else 1.0)
    assert quality.recall == (both / true if true else 1.0)


def test_quality_leaves_out_what_nobody_knows_and_names_missing_columns() -> None:
    clusters = pl.DataFrame({"record_key": ["a", "b", "c"], "cluster": [0, 0, 0]})
    known = pl.DataFrame({"record_key": ["a", "b", "c"], "truth": ["x", "x", None]})
    assert pairwise_quality(clusters, known).f1 == 1.0
    with pytest.raises(BadInput, match="truth"):
        pairwise_quality(clusters, clusters)


def levels(**columns: list[str | None]) -> dict[str, int]:
    """Level by field of the comparison of two records, each column given as [left, right]."""
    people = encode_people(pl.DataFrame({n: pl.Series(v, dtype=pl.String) for n, v in columns.items()}))
    packed = compare_pairs(people, np.array([0]), np.array([1]))
    return {f.name: int(v) for f, v in zip(people.fields, unpacked(packed, people.fields)[0], strict=True)}


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("Ann", "ANN", 6),
        ("Zoë", "Zoe", 6),
        ("Bill", "William", 5),
        ("W.", "William", 5),
        ("Jonathan", "Jonathn", 4),
        ("Ann", "Bob", 1),
        (None, "Bob", 0),
    ],
)
def test_given_names(left: str | None, right: str, level: int) -> None:
    assert levels(given_name=[left, right])["given_name"] == level


def test_exchanged_names_are_found_elsewhere_in_the_name() -> None:
    found = levels(given_name=["Ann", "Lee"], family_name=["Lee", "Ann"])
    assert (found["given_name"], found["family_name"]) == (3, 3)


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("1980-01-02", "1980-01-02", 5),
        ("1980-01-12", "1980-01-21", 4),
        ("1980-03-12", "1980-12-03", 4),
        ("1980-03-12", "1980-03-27", 3),
        ("1980-03-12", "1980-07-25", 2),
        ("1980-01-01", "1961-01-01", 1),
        ("1980-03-12", "1961-07-25", 1),
    ],
)
def test_dates(left: str, right: str, level: int) -> None:
    assert levels(birth_digits=[left, right])["birth_date"] == level


@pytest.mark.parametrize(
    ("column", "left", "right", "level"),
    [
        ("phone", "+44 20 7946 0958", "020 7946 0958", 3),
        ("phone", "02079460958", "02079460985", 2),
        ("email", "Ann.Lee@x.example", "ann.lee@x.example", 5),
        ("email", "ann.lee@x.example", "ann.lee@y.example", 4),
        ("email", "ann.lee@mail.example", "ann.lee@post.test", 3),
        ("email", "bob@x.example", "zoe@y.example", 1),
        ("postcode", "TQ13 8DF", "tq138df", 4),
        ("postcode", "TQ13 8DF", "TQ13 2XY", 2),
        ("street", "12 High Street", "12 high st.", 4),
    ],
)
def test_contact_points_and_places(column: str, left: str, right: str, level: int) -> None:
    assert levels(**{column: [left, right]})[column] == level


def test_likeness_before_the_at_says_nothing_where_names_agree() -> None:
    names = {"given_name": ["Ann", "Ann"], "family_name": ["Lee", "Lee"]}
    assert levels(email=["ann.lee@mail.example", "ann.lee@post.test"], **names)["email"] == 0


def test_agreement_of_a_city_is_implied_by_the_postcode() -> None:
    assert levels(postcode=["12345", "12345"], city=["Ham", "Ham"])["city"] == 0
    assert levels(postcode=["12345", None], city=["Ham", "Ham"])["city"] == 3


@pytest.mark.parametrize(
    ("whole", "given_name", "family_name"),
    [
        ("Dr. Ann B. Lee", "ann", "lee"),
        ("Lee, Ann B.", "ann", "lee"),
        ("Ann Lee, Jr.", "ann", "lee"),
        ("Thomas Clifford, 1st Baron Clifford", "thomas", "clifford"),
        ("Ludwig van Beethoven", "ludwig", "beethoven"),
        ("Plato", "plato", None),
        ("森 淳", "淳", "森"),
    ],
)
def test_whole_names(whole: str, given_name: str, family_name: str | None) -> None:
    people = encode_people(pl.DataFrame({"full_name": [whole]}))
    given_values, family_values = people.columns["given_name"], people.columns.get("family_name")
    assert given_values.texts(given_values.codes[:1]) == [given_name]
    assert (family_values.texts(family_values.codes[:1])[0] if family_values else None) == family_name


def test_a_pair_comes_once_with_every_rule_that_brought_it(people: ModuleType) -> None:
    coded = encode_people(people.customers(2_000, seed=1)[0])
    rules = derive_rules(coded, 3.0)
    pairs, report = candidate_pairs(coded, rules, 3.0)
    assert len(np.unique(pairs.left << 32 | pairs.right)) == pairs.size
    assert (pairs.left < pairs.right).all()
    for number, rule in enumerate(rules):
        mine = int(((pairs.rules >> np.uint64(number)) & np.uint64(1)).sum())
        assert mine == report[rule.name]["pairs"]


def test_a_large_block_is_refined_and_what_stays_large_is_reported() -> None:
    n = 3_000
    frame = pl.DataFrame(
        {"email": ["info@x.example"] * n, "given_name": [f"{'abcdefghij'[i % 10]}x" for i in range(n)]}
    )
    coded = encode_people(frame.with_columns(pl.Series("family_name", [f"q{i // 10}" for i in range(n)])))
    pairs, report = candidate_pairs(coded, derive_rules(coded, 3.0), 3.0)
    assert pairs.size < 20 * n
    assert report["email"]["refined_blocks"] >= 1
    assert report["email"]["skipped_blocks"] >= 1


def links(*pairs: tuple[int, int, float], agree: bool = False, differ: tuple[tuple[int, int], ...] = ()) -> Links:
    left, right, weight = (np.array(c) for c in zip(*pairs, strict=True))
    apart = np.array([(a, b) in differ for a, b, _ in pairs])
    same = ~apart if agree else np.zeros(len(pairs), dtype=bool)
    return Links(left, right, weight.astype(float), np.ones(len(pairs)), same, apart)


def test_a_weak_bridge_does_not_glue_two_clusters() -> None:
    bridge = links((0, 1, 20), (0, 2, 20), (1, 2, 20), (3, 4, 20), (3, 5, 20), (4, 5, 20), (2, 3, 3))
    assert average_linkage(np.arange(6), bridge, 0.0).tolist() == [0, 0, 0, 3, 3, 3]


def test_two_certain_birth_dates_keep_clusters_apart() -> None:
    inside, across = [(0, 1, 20.0), (2, 3, 20.0)], [(a, b, 5.0) for a in (0, 1) for b in (2, 3)]
    one = links(*inside, *across, agree=True)
    assert len(set(average_linkage(np.arange(4), one, 0.0).tolist())) == 1
    two = links(*inside, *across, agree=True, differ=tuple((a, b) for a, b, _ in across))
    assert average_linkage(np.arange(4), two, 0.0).tolist() == [0, 0, 2, 2]


def _slow_linkage(size: int, weight: dict[tuple[int, int], float]) -> set[frozenset[int]]:
    """Average linkage as the books have it: the best pair of clusters joins, one at a time."""
    parts = [frozenset([i]) for i in range(size)]
    while True:
        best = max(
            ((sum(weight[min(i, j), max(i, j)] for i in a for j in b) / (len(a) * len(b)), a, b)
             for a, b in combinations(parts, 2)),
            key=lambda t: t[0], default=(0.0, frozenset(), frozenset()),
        )  # fmt: skip
        if best[0] <= 0:
            return set(parts)
        parts = [p for p in parts if p not in best[1:]] + [best[1] | best[2]]


@settings(max_examples=60)
@given(st.integers(2, 7), st.randoms(use_true_random=False))
def test_joining_all_mutual_best_pairs_at_once_is_average_linkage(size: int, rng: object) -> None:
    pairs = enumerate(combinations(range(size), 2))
    # Each weight is a little off in its own way: between equal means, either join would be right.
    weight = {pair: rng.uniform(-7, 15) + 1e-3 * (2 + k) ** 0.5 for k, pair in pairs}  # type: ignore[attr-defined]
    label = average_linkage(np.arange(size), links(*((i, j, w) for (i, j), w in weight.items())), 0.0)
    found = {frozenset(np.flatnonzero(label == k).tolist()) for k in set(label.tolist())}
    assert found == _slow_linkage(size, weight)


def test_pairs_inside_components_are_bounded() -> None:
    component = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, *([3] * 50)])
    assert affordable(component, 10, budget=5) == 3
    left, right = inner_pairs(component, limit=3)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2)]
    assert affordable(component, 10, budget=100) == 10
    left, _ = inner_pairs(component, limit=10)
    assert len(left) == 3 + 6


def test_what_is_learned_is_near_the_truth(people: ModuleType) -> None:
    records, _ = people.customers(20_000, seed=5)
    learned = {p.name: p for p in resolve(records).model.fields}
    # 4 % typing errors twice over, and 20 % missing values, which must not count.
    assert learned["birth_date"].match[-1] == pytest.approx(0.92, abs=0.05)
    assert learned["city"].random[-1] < 0.05
    assert all(sum(p.match) == pytest.approx(1, abs=1e-6) for p in learned.values())
