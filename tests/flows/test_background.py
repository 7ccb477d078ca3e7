"""Background processes: found again, not mistaken for others, ended with their children."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from onefold_flows.background import Background

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
WITH_CHILD = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
    "print(child.pid, flush=True); child.wait()",
]


def until(true: object, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_a_started_process_is_found_by_another_who_knows_the_home(tmp_path: Path) -> None:
    process = Background("sleeper", tmp_path)
    assert process.find() is None
    facts = process.start(SLEEP, os.environ, port=4711)
    try:
        assert Background("sleeper", tmp_path).find() == facts
        assert facts["port"] == 4711
    finally:
        assert process.stop()
    assert process.find() is None
    assert process.remembered()["port"] == 4711
    assert process.stop() is False


def test_a_number_that_the_system_gave_to_another_process_is_not_taken_for_ours(tmp_path: Path) -> None:
    process = Background("sleeper", tmp_path)
    me = psutil.Process()
    process.record.write_text(json.dumps({"pid": me.pid, "born": me.create_time() - 100}))
    assert process.find() is None
    assert process.stop() is False


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": "7", "born": 1}', '{"pid": 7}'])
def test_a_damaged_record_is_no_process(tmp_path: Path, text: str) -> None:
    process = Background("sleeper", tmp_path)
    process.record.write_text(text)
    assert process.find() is None


def test_stop_ends_a_stubborn_process_and_its_children(tmp_path: Path) -> None:
    process = Background("family", tmp_path)
    process.start(WITH_CHILD, os.environ)
    assert until(lambda: process.log.read_text().strip())
    child = int(process.log.read_text())
    assert psutil.pid_exists(child)
    assert process.stop(patience=0.5)
    assert until(lambda: not psutil.pid_exists(child))


def test_a_process_that_ended_by_itself_leaves_its_last_words(tmp_path: Path) -> None:
    process = Background("short", tmp_path)
    process.start([sys.executable, "-c", "print('one'); print('two'); print('three'); print('four')"], os.environ)
    assert until(lambda: process.find() is None)
    assert process.last_words(2) == "three / four"


def test_a_process_runs_in_the_home_or_where_it_is_told(tmp_path: Path) -> None:
    """Relative settings, and the default home, mean the place where they were set."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for cwd, expected in ((None, home), (elsewhere, elsewhere)):
        process = Background("somewhere", home)
        process.start([sys.executable, "-c", "import os; print(os.getcwd())"], os.environ, cwd=cwd)
        ends = time.monotonic() + 60
        while process.find() and time.monotonic() < ends:
            time.sleep(0.05)
        assert process.last_words() == str(expected)
