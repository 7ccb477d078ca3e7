"""What a person sees of long work: a spinner on a terminal, and in a log a line a minute instead of a flood."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from onefold import terminal
from onefold_flows.progress import Progress


def _shown(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> str:
    held = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=held, force_terminal=is_terminal, width=100))
    stages = terminal.Stages()
    stages(Progress("land", "began"))
    for n in range(500):
        stages(Progress("land", "step", f"crm: {n} rows read"))
    stages(Progress("land", "ended", "500 rows landed from 1 source"))
    stages.close()
    return held.getvalue()


def test_a_log_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = _shown(monkeypatch, is_terminal=False).splitlines()
    assert "500 rows landed" in line


def test_a_log_tells_of_what_takes_long_though_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    held = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=held, force_terminal=False, width=100))
    monkeypatch.setattr(terminal, "_NOTE_S", 0.01)
    stages = terminal.Stages()
    stages(Progress("train", "began"))
    stages(Progress("train", "step", "1 of 4 models"))
    end = time.monotonic() + 10
    while held.getvalue().count("… train      1 of 4 models") < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert held.getvalue().count("… train      1 of 4 models") >= 3
    stages(Progress("train", "ended", "4 models"))
    stages.close()
    assert any("✓ train      4 models" in line for line in held.getvalue().splitlines()[-2:])


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _shown(monkeypatch, is_terminal=True)
    assert "rows read" in shown
    assert shown.count("\n") < 20
