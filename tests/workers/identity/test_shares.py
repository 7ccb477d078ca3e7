"""Close pairs lie in parts and components are clustered by shares; how many there are of either changes nothing."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_workers.identity import connecting, grouping, resolve
from onefold_workers.identity.clustering import affordable, components
from onefold_workers.identity.connecting import connected
from onefold_workers.identity.desk import InMemory
from onefold_workers.identity.tasks import run


def found_by_parts(size: int, links: np.ndarray, cuts: list[int], most: int) -> tuple[np.ndarray, int]:
    """Components of links (shape (2, n)) that lie in parts; and the most links that a task was given."""
    parts = [(p.astype(np.int32), p.shape[1]) for p in np.split(links, sorted(cuts), axis=1)]
    largest = [0]

    def tasks(task, chunks):  # type: ignore[no-untyped-def]
        chunks = list(chunks)
        largest[0] = max([largest[0], *(sum(h.shape[1] for h in c[1]) for c in chunks)])
        return map(task, chunks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connecting, "LINKS_A_TASK", most)
        return connected(size, parts, InMemory(), tasks), largest[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(0, 90), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 90), max_size=12))
def test_components_of_parts_are_those_of_the_whole(size: int, count: int, seed: int, cuts: list[int]) -> None:
    links = np.random.default_rng(seed).integers(0, size, (2, count))
    found, _ = found_by_parts(size, links, [c for c in cuts if c <= count], most=5)
    assert np.array_equal(found, components(size, links[0], links[1]))


@pytest.mark.parametrize("order", ["as it is", "backwards", "shuffled", "inside out"])
def test_a_long_chain_is_one_though_no_task_sees_it(order: str) -> None:
    size = 20_000
    nodes = np.arange(size)
    if order == "backwards":
        nodes = nodes[::-1]
    elif order == "shuffled":
        nodes = np.random.default_rng(7).permutation(size)
    elif order == "inside out":
        nodes = np.stack([nodes[: size // 2], nodes[::-1][: size // 2]]).T.ravel()
    links = np.stack([nodes[:-1], nodes[1:]])
    links = links[:, np.random.default_rng(8).permutation(size - 1)]
    found, largest = found_by_parts(size, links, list(range(0, size, 100)), most=500)
    assert not found.any()
    assert largest <= 500


def decided(records: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """Decisions about likely pairs, and about records that have nothing to do with each other."""
    some = edges.sample(40, seed=2).select("left_key", "right_key")
    keys = records["record_key"].sample(80, seed=3)
    pairs = pl.concat([some, pl.DataFrame({"left_key": keys[:40], "right_key": keys[40:]})])
    verdicts = np.random.default_rng(1).choice(["must_link", "cannot_link"], pairs.height)
    return pairs.with_columns(verdict=pl.Series(verdicts))


@pytest.mark.parametrize("make", ["customers", "chronicle"])
def test_many_small_shares_find_what_one_does(
    people: ModuleType, monkeypatch: pytest.MonkeyPatch, make: str
) -> None:
    records, _ = getattr(people, make)({"customers": 5_000, "chronicle": 200}[make], seed=41)
    # So few may be compared that large components come apart, in shares of their own.
    monkeypatch.setattr(grouping, "LARGEST_COMPONENT", 8)
    monkeypatch.setattr(grouping, "affordable", lambda part, limit, _: affordable(part, limit, 300))
    evidence = decided(records, resolve(records).edges)
    whole = resolve(records, evidence=evidence, keep=True)
    monkeypatch.setattr("onefold_workers.identity.comparing.CHUNK", 900)
    monkeypatch.setattr(connecting, "LINKS_A_TASK", 60)
    monkeypatch.setattr(grouping, "PAIRS_A_SHARE", 80)
    shares = []

    def counting(run_tasks, task, chunks):  # type: ignore[no-untyped-def]
        shares.extend(chunks if task.__name__ == "_cluster_share" else [])
        return run(run_tasks, task, chunks)

    monkeypatch.setattr(grouping, "run", counting)
    parts = resolve(records, evidence=evidence, keep=True)
    assert len(shares) > 10
    last = [s for s, _ in shares if s.weighing is shares[-1][0].weighing]
    seen = [set(np.concatenate([h["left"][a:b] for h, a, b in s.slices]).tolist()) for s in last if s.slices]
    assert sum(map(len, seen)) == len(set().union(*seen)), "no profile's pairs are in two shares"
    assert parts.model.version == whole.model.version
    assert parts.clusters.equals(whole.clusters)
    assert parts.edges.equals(whole.edges)
    assert parts.report == whole.report
    assert parts.kept is not None and whole.kept is not None
    assert parts.kept.table()[0].equals(whole.kept.table()[0])
