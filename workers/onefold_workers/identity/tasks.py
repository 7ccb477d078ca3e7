"""How pieces of work are handed out: the one signature that a plain `map` and a cluster both have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

RunTasks = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Like `map`: runs a function on each chunk, anywhere, and gives the results in order. A function and a chunk that
ran once may run again (a worker died): the answer is the same."""


def run(run_tasks: RunTasks, task: Callable[[Any], Any], chunks: Iterable[Any]) -> list[Any]:
    """Run the task on every chunk; a single chunk is not worth the journey but is sent all the same."""
    return list(run_tasks(task, list(chunks)))
