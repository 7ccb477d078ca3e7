"""A Dask client: of the scheduler that the settings name, or of worker processes on this machine.

`cluster()` may be nested: a flow opens it once and each stage inside reuses it. Workers compute with one thread
each, so that two workers do not fight over a core.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, TypeVar

import dask
from distributed import Client, KilledWorker, LocalCluster, get_worker

from onefold_storage.errors import Unavailable
from onefold_workers.settings import WorkerSettings

T = TypeVar("T")
R = TypeVar("R")
_current: ContextVar[Client | None] = ContextVar("onefold_dask_client", default=None)
_THREADS = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_NUM_THREADS": "1",
}
_QUIET = {
    "distributed.nanny.pre-spawn-environ": _THREADS,
    "distributed.worker.preload": ["onefold_workers.worker_preload"],
    "distributed.admin.log-length": 0,
    # With Dask's own figures a cluster that waits, as the demo's does while it serves, takes a tenth of a core.
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.worker.profile.interval": "100ms",
}


@contextmanager
def cluster(settings: WorkerSettings | None = None) -> Iterator[Client]:
    """A connected client; the one already open in this context, where there is one."""
    open_already = _current.get()
    if open_already is not None:
        yield open_already
        return
    chosen = settings or WorkerSettings()
    with _connected(chosen) as client:
        token = _current.set(client)
        try:
            yield client
        finally:
            _current.reset(token)


@contextmanager
def _connected(settings: WorkerSettings) -> Iterator[Client]:
    if settings.dask_scheduler:
        with Client(settings.dask_scheduler, set_as_default=False) as client:
            yield client
        return
    for name in (
        "distributed",
        "distributed.client",
    ):  # what goes wrong is raised; what it mutters besides is noise
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dask.config.set(_QUIET):
        with _deaf_to_interrupts():
            started = LocalCluster(
                n_workers=settings.dask_workers or min(os.cpu_count() or 1, 8),
                threads_per_worker=1,
                processes=True,
                memory_limit=settings.dask_memory,
                host="127.0.0.1",
                dashboard_address=f"127.0.0.1:{settings.dask_dashboard_port}",
                silence_logs=logging.CRITICAL,
            )
        with started as local, Client(local, set_as_default=False) as client:
            yield client


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Workers and threads that are started inside do not hear Ctrl-C: it is for the command, which ends them.

    A terminal sends it to the whole group, and each worker would print where it was. It is blocked, not ignored, so
    that this thread hears it at the end.
    """
    resource_tracker.ensure_running()  # started later, it would open the thread's ears again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def spread(
    task: Callable[[T], R], chunks: Iterable[T], *, on_done: Callable[[int, int], None] | None = None
) -> list[R]:
    """Run `task` on each chunk, one Dask task a chunk, and return the results in order.

    The first error ends the rest. `on_done(finished, all)` is told after each. The signature suits
    `run_tasks` of the pure functions that are given a map.

    Raises:
        Unavailable: workers died over a task again and again.
    """
    listed = list(chunks)
    with cluster() as client:
        futures = client.map(task, listed, pure=False)
        if on_done is not None:
            from distributed import as_completed

            for n, done in enumerate(as_completed(futures, loop=client.loop), start=1):
                _gathered(client, [done])
                on_done(n, len(listed))
        return _gathered(client, futures)


@contextmanager
def hearing(heard: Callable[[str], None]) -> Iterator[str]:
    """Hear what the tasks that are spread inside `tell` under the name that is given."""
    with cluster() as client:
        topic = f"told-{client.id}"
        client.subscribe_topic(topic, lambda event: heard(event[1]))
        try:
            yield topic
        finally:
            client.unsubscribe_topic(topic)


def tell(topic: str, text: str) -> None:
    """From inside a task, to whoever is `hearing`; it holds nothing up, and is lost where nobody hears."""
    get_worker().log_event(topic, text)


@contextmanager
def shared_folder(below: Path) -> Iterator[Path | None]:
    """A folder for what passes between tasks, gone at the end; None where workers do not see the same folders.

    It is made in the folder that the settings name, else below `below`.
    """
    place = WorkerSettings().scratch or below
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=place))
    try:
        with cluster() as client:
            seen = client.run(_is_folder, str(folder))
        yield folder if seen and all(seen.values()) else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_folder(folder: str) -> bool:
    return Path(folder).is_dir()


def _gathered(client: Client, futures: list[Any]) -> list[Any]:
    try:
        results: list[Any] = client.gather(futures)
    except KilledWorker as error:
        raise Unavailable(
            "worker processes died again and again over one task, most likely for want of memory: give them more "
            "(ONEFOLD_DASK_MEMORY), or have fewer (ONEFOLD_DASK_WORKERS)"
        ) from error
    return results


def dashboard(client: Client) -> str:
    """Address of the dashboard."""
    return str(client.dashboard_link)


def describe(client: Client) -> dict[str, Any]:
    """Workers and threads, for reports."""
    info = client.scheduler_info(n_workers=-1)["workers"]
    return {"workers": len(info), "threads": sum(w["nthreads"] for w in info.values())}


@contextmanager
def worker_environment(client: Client) -> Iterator[None]:
    """Let processes that are started inside use this client's cluster instead of one of their own."""
    name = "ONEFOLD_DASK_SCHEDULER"
    before = os.environ.get(name)
    os.environ[name] = str(client.scheduler_info(n_workers=0)["address"])
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})
