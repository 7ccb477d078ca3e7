"""What people see of long work: each stage says when it begins, how far it is, and what it came to.

Flows announce; whoever runs them listens (the command line draws lines; a worker's log keeps them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """One announcement: `began`, `step` (with a text) or `ended` (with what it came to)."""

    stage: str
    event: Literal["began", "step", "ended"]
    text: str = ""


Listener = Callable[[Progress], None]
_listener: ContextVar[Listener | None] = ContextVar("onefold_progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear what the flows inside announce."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def announce(stage: str, event: Literal["began", "step", "ended"], text: str = "") -> None:
    """Tell the listener, if there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(Progress(stage, event, text))
