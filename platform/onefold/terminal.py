"""What a person sees in the terminal: results on standard output, progress on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from onefold_flows.progress import Progress

out = Console(highlight=False, soft_wrap=True)
_NOTE_S = 60.0
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON object, indented, on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def print_json_line(value: Any) -> None:
    """One JSON object on one line of standard output."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show what is waited for, on a terminal."""
    with err.status(escape(what)) if err.is_terminal else nullcontext():
        yield


@contextmanager
def following(told: Callable[[], str]) -> Iterator[None]:
    """On a terminal, show what `told` says, anew each second, while entered."""
    if not err.is_terminal:
        yield
        return
    ended = threading.Event()
    with err.status(escape(told())) as shown:

        def look() -> None:
            while not ended.wait(1.0):
                shown.update(escape(told()))

        thread = threading.Thread(target=look, daemon=True, name="following")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Stages:
    """Draws a line a stage: a spinner while it runs on a terminal, a tick and its seconds when it is done.

    A log gets nothing of what is short, and of what takes long a line a minute, whether or not it says anything.
    """

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._said: dict[str, str] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._status: Any = None

    def __call__(self, progress: Progress) -> None:
        """Hear one announcement."""
        if progress.event == "began":
            self._began[progress.stage] = time.monotonic()
            self._show(progress.stage, "")
        elif progress.event == "step":
            self._show(progress.stage, progress.text)
        else:
            self._hide(progress.stage)
            err.print(f"  ✓ {progress.stage:<10} {escape(progress.text)}  {self._seconds(progress.stage)}")
            self._began.pop(progress.stage, None)

    def close(self) -> None:
        """Take the spinner away."""
        self._hide(*self._timers)

    def _show(self, stage: str, text: str) -> None:
        self._said[stage] = escape(f"{stage:<10} {text}")
        if not err.is_terminal:
            if stage not in self._timers:
                self._tell_later(stage)
        elif self._status is None:
            self._status = err.status(self._said[stage])
            self._status.start()
        else:
            self._status.update(self._said[stage])

    def _tell_later(self, stage: str) -> None:
        self._timers[stage] = timer = threading.Timer(_NOTE_S, self._tell, (stage,))
        timer.daemon = True
        timer.start()

    def _tell(self, stage: str) -> None:
        if stage in self._timers:
            err.print(f"  … {self._said[stage]}  {self._seconds(stage)}")
            self._tell_later(stage)

    def _seconds(self, stage: str) -> str:
        return f"[dim]{time.monotonic() - self._began.get(stage, time.monotonic()):.1f} s[/dim]"

    def _hide(self, *stages: str) -> None:
        for stage in stages:
            if timer := self._timers.pop(stage, None):
                timer.cancel()
        if self._status is not None:
            self._status.stop()
            self._status = None


@contextmanager
def stages() -> Iterator[Stages]:
    """Draw the stages of the flows that run inside."""
    from onefold_flows.progress import listening

    drawn = Stages()
    try:
        with listening(drawn):
            yield drawn
    finally:
        drawn.close()
