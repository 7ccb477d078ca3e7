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
    """Draws a line a stage: a spinner while it runs on a terminal, a tick and its seconds when it is done."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._noted: dict[str, float] = {}
        self._status: Any = None

    def __call__(self, progress: Progress) -> None:
        """Hear one announcement."""
        if progress.event == "began":
            self._began[progress.stage] = self._noted[progress.stage] = time.monotonic()
            self._show(progress.stage, "")
        elif progress.event == "step":
            self._show(progress.stage, progress.text)
        else:
            self._hide()
            seconds = time.monotonic() - self._began.pop(progress.stage, time.monotonic())
            err.print(f"  ✓ {progress.stage:<10} {escape(progress.text)}  [dim]{seconds:.1f} s[/dim]")

    def close(self) -> None:
        """Take the spinner away."""
        self._hide()

    def _show(self, stage: str, text: str) -> None:
        message = escape(f"{stage:<10} {text}")
        if not err.is_terminal:
            self._note(stage, message)
            return
        if self._status is None:
            self._status = err.status(message)
            self._status.start()
        else:
            self._status.update(message)

    def _note(self, stage: str, message: str) -> None:
        """In a log: nothing of what is short, and of what takes long a line a minute."""
        if time.monotonic() - self._noted.setdefault(stage, time.monotonic()) >= _NOTE_S:
            self._noted[stage] = time.monotonic()
            err.print(f"  … {message}")

    def _hide(self) -> None:
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
