"""A worker that is killed in the middle of a stage costs its own task: it runs again elsewhere, and nothing else does."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from distributed import Client

from onefold_workers.cluster import cluster, shared_folder, spread
from onefold_workers.identity import resolve
from onefold_workers.settings import WorkerSettings

pytestmark = pytest.mark.needs_dask


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster(WorkerSettings(dask_workers=2)) as found:
        yield found


def deadly(task: Callable[[Any], Any], folder: Path) -> Callable[[Any], Any]:
    """The task, which notes that it began; the first one is killed when it has done its work and not yet said so.

    What it refers to is its own, so that workers need not find this module.
    """
    import os
    import signal

    kill = signal.SIGKILL

    def run(numbered: tuple[int, Any]) -> Any:
        number, chunk = numbered
        with (folder / f"began-{number}").open("a") as noted:
            noted.write(f"{os.getpid()}\n")
        try:
            os.close(os.open(folder / "first", os.O_CREAT | os.O_EXCL))
            mine = True
        except FileExistsError:
            mine = False
        found = task(chunk)
        if mine:
            os.kill(os.getpid(), kill)
        return found

    return run


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("_code", marks=pytest.mark.chaos),
        "_run_rule",
        pytest.param("_compare_share", marks=pytest.mark.chaos),
        pytest.param("_weigh_share", marks=pytest.mark.chaos),
        pytest.param("_count", marks=pytest.mark.chaos),
        pytest.param("_stars", marks=pytest.mark.chaos),
        pytest.param("_by_component", marks=pytest.mark.chaos),
        "_cluster_share",
    ],
)
def test_a_killed_worker_costs_its_own_task(client: Client, people: ModuleType, tmp_path: Path, stage: str) -> None:
    records, _ = people.customers(3_000, seed=15)
    notes = tmp_path / "notes"
    notes.mkdir()
    calls: Counter[str] = Counter()

    def run(task: Callable[[Any], Any], chunks: Iterable[Any]) -> Iterable[Any]:
        name = getattr(task, "__name__", "")
        calls[name] += 1
        if name != stage or calls[name] > 1:
            return spread(task, chunks)
        return spread(deadly(task, notes), enumerate(chunks))

    with shared_folder(tmp_path / "scratch") as folder:
        found = resolve(records, run_tasks=run, scratch=folder)
    began = {f.name: f.read_text().split() for f in notes.glob("began-*")}
    again = [n for n, pids in began.items() if len(pids) > 1]
    assert began, f"nothing ran in {stage}"
    assert (notes / "first").exists()
    assert len(again) == 1, "one task was lost with its worker, and one ran again"
    assert str(os.getpid()) not in {p for pids in began.values() for p in pids}
    assert found.clusters.equals(resolve(records).clusters)
