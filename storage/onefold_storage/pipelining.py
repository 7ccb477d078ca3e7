"""Work on batches in several threads, with results in order and a bounded number of batches in memory.

Arrow, Polars and numpy let go of Python's lock while they compute, so threads of one process use every core.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 4
"""Items taken ahead of what was handed out, for each thread. With one, whoever makes the items waits for the oldest
while threads run dry: a million rows of CSV took a quarter longer."""


def threads() -> int:
    """Threads worth having here: one a core, four at most."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4)


def in_order(work: Callable[[T], R], items: Iterable[T], abreast: int) -> Generator[R, None, None]:
    """`work` of each item, in the items' order; at most `AHEAD` a thread are taken ahead of what was handed out.

    Items are made in the caller's thread. The first error ends everything; what runs is waited for.
    """
    with ThreadPoolExecutor(abreast) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                while waiting and (len(waiting) >= AHEAD * abreast or waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def while_read_ahead(work: Callable[[], R], items: Iterator[T]) -> tuple[R, Iterator[T]]:
    """What `work` gives, in a thread of its own, and the items, of which the first are made meanwhile.

    An error of `work` is raised here; one of the items where they are taken, after those before it.
    """
    ahead: list[T] = []
    rest: Iterator[T] = items
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            while len(ahead) < AHEAD * threads() and not working.done():
                ahead.append(next(items))
        except StopIteration:
            rest = iter(())
        except Exception as error:
            rest = _raising(error)
        return working.result(), chain(ahead, rest)


def _raising(error: Exception) -> Iterator[Any]:
    raise error
    yield
