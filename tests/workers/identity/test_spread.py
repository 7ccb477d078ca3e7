"""Work handed out to workers, who are never given more than their share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from distributed import Client

from onefold_workers.cluster import cluster, shared_folder, spread
from onefold_workers.identity import resolve
from onefold_workers.identity.blocking import derive_rules
from onefold_workers.identity.coding import code_people, forget
from onefold_workers.identity.desk import InFolder
from onefold_workers.identity.pairing import find_candidates, unpack
from onefold_workers.settings import WorkerSettings

pytestmark = pytest.mark.needs_dask


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster(WorkerSettings(dask_workers=2)) as found:
        yield found


def test_two_processes_find_what_one_does(client: Client, people: ModuleType, tmp_path: Path) -> None:
    records, _ = people.customers(6_000, seed=14)
    alone = resolve(records, keep=True)
    with shared_folder(tmp_path) as folder:
        assert folder is not None
        spread_out = resolve(records, run_tasks=spread, scratch=folder, keep=True)
        assert not list(folder.iterdir())
    assert not list(tmp_path.iterdir())
    assert spread_out.clusters.equals(alone.clusters)
    assert spread_out.edges.equals(alone.edges)
    assert spread_out.model.version == alone.model.version
    assert spread_out.kept is not None and alone.kept is not None
    assert spread_out.kept.table()[0].equals(alone.kept.table()[0])


def test_shares_of_a_rule_are_whole_blocks(
    people: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut into shares by key, rules bring the same pairs as in one piece."""
    records, _ = people.customers(4_000, seed=16)
    stored = code_people(records, None, InFolder(str(tmp_path)), map)
    rules = derive_rules(stored.open(), 3.0)
    whole = find_candidates(stored, rules, 1.0, map)
    monkeypatch.setattr("onefold_workers.identity.pairing._SHARE", 700)
    parts = find_candidates(stored, rules, 1.0, map)
    assert len(parts.handles) == 6 * len(rules)
    assert parts.rules == whole.rules
    assert parts.report == whole.report
    for a, b in zip(_pairs(stored.desk, whole), _pairs(stored.desk, parts), strict=True):
        assert np.array_equal(a, b)
    forget()


def _pairs(desk: object, candidates: object) -> tuple[np.ndarray, ...]:
    return unpack(np.concatenate([desk.get(h) for h in candidates.handles]))  # type: ignore[attr-defined]


def test_a_folder_that_workers_do_not_see_is_not_used(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onefold_workers.cluster._is_folder", lambda _folder: False)
    with shared_folder(tmp_path) as folder:
        assert folder is None
    assert (
        resolve(
            pl.DataFrame({"record_key": ["a"], "given_name": ["x"]}), run_tasks=map, scratch=None
        ).clusters.height
        == 1
    )
