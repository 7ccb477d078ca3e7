"""Killed at any moment, run again without help: the same tables as if nothing had happened.

Two homes hold the same data, the same clock and the same `secret`. In one, `onefold refresh` runs undisturbed. In
the other it is cut off again and again, each time going on from there; in the end it runs through.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import psutil
import pytest
from polars.testing import assert_frame_equal

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.slow,
    pytest.mark.needs_prefect,
    pytest.mark.needs_dask,
    pytest.mark.timeout(900),
]

RUN_OF_ITS_OWN = {"_landed_at", "landed_at", "registered_at", "computed_at", "run_id"}
"""Columns that tell when or by which run a row was written, not what is true."""


@pytest.fixture(scope="module")
def files(stranger: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A few hundred customers."""
    return stranger.build(tmp_path_factory.mktemp("stranger"), members=200, customers=400)


@pytest.fixture(scope="module")
def home(new_home: Callable[..., Any], files: Any) -> Any:
    """A home whose contracts are drafted and nothing has run yet; its commands start their own Dask workers."""
    made = new_home(now="1998-07-01T00:00:00Z", own_cluster=True)
    for path in (files.orders, files.members):
        assert made.run("source", "draft", str(path), "--out", str(made.contract(path.stem))).returncode == 0
    (made.path / "secret").write_bytes(os.urandom(32).hex().encode())
    (made.path / "secret").chmod(0o600)
    return made


def copy_of(home: Any, folder: Path) -> Any:
    """Another home with the same workspace and secret."""
    shutil.copytree(home.path, folder)
    return type(home)(folder, {**home.environment, "ONEFOLD_HOME": str(folder)})


@pytest.fixture(scope="module")
def undisturbed(home: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """A home where the run was left alone, and what it told."""
    quiet = copy_of(home, tmp_path_factory.mktemp("undisturbed") / "home")
    return quiet, quiet.told("refresh")


class Victim:
    """A running `onefold refresh`, its processes and what it has said so far."""

    def __init__(self, home: Any) -> None:
        self.process: subprocess.Popen[str] = home.begin("refresh", stdout=subprocess.DEVNULL)
        self.said: list[str] = []
        self._heard = threading.Condition()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._heard:
                self.said.append(line)
                self._heard.notify_all()

    def wait_for(self, stage: str) -> None:
        """Until `stage` is done and the next one begins, or the process has ended."""
        with self._heard:
            self._heard.wait_for(lambda: self.done(stage) or self.process.poll() is not None, timeout=120)

    def done(self, stage: str) -> bool:
        """Whether it said that the stage is done."""
        return any(f"✓ {stage}" in line for line in self.said)

    def family(self) -> list[psutil.Process]:
        """It and all that it started."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def end(self, how: signal.Signals, *, group: bool = True) -> str:
        """Send the signal to the whole group or the command alone, wait until nothing of it lives; what it said."""
        family = self.family()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, how) if group else self.process.send_signal(how)
        self.process.wait(60)
        self._reader.join(30)
        end = time.monotonic() + 30
        while alive := [p for p in family if _lives(p)]:
            assert time.monotonic() < end, f"left behind: {[p.cmdline() for p in alive]}"
            time.sleep(0.1)
        return "".join(self.said)


def _lives(process: psutil.Process) -> bool:
    """Whether it still runs; what nobody has reaped yet does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def tables(home: Any) -> Iterator[tuple[str, pl.DataFrame]]:
    """Every table of a home's lake, without the columns that are a run's own, in an order of its own."""
    for log in sorted((home.path / "lake").rglob("_delta_log")):
        name = str(log.parent.relative_to(home.path / "lake"))
        frame = home.table(name)
        frame = frame.select(sorted(set(frame.columns) - RUN_OF_ITS_OWN))
        yield name, frame.sort(pl.all().hash(seed=1)) if frame.width else frame


def check_same(home: Any, facts: dict[str, Any], undisturbed: tuple[Any, dict[str, Any]]) -> None:
    """Same tables, rows, decimals and golden IDs; the publication holds as much (`facts`: of the last run)."""
    expected, told = undisturbed
    ours, theirs = dict(tables(home)), dict(tables(expected))
    assert ours.keys() == theirs.keys()
    for name, frame in ours.items():
        key = [c for c in ("record_key", "golden_id", "model", "_package_id", "_row_id") if c in frame.columns]
        by = [*key, *(c for c in frame.columns if c not in key and not frame.schema[c].is_nested())]
        assert_frame_equal(frame.sort(by), theirs[name].sort(by), check_exact=False, rel_tol=1e-9)
    found, wanted = home.told("status"), expected.told("status")
    for part in ("identity", "left_out"):
        assert found[part] == wanted[part]
    assert found["packages"] == wanted["packages"]
    assert [m["name"] for m in found["models"]] == [m["name"] for m in wanted["models"]]
    for ours_, theirs_ in zip(found["models"], wanted["models"], strict=True):
        assert ours_["value"] == pytest.approx(theirs_["value"], rel=1e-9)
    assert facts["publish"]["counts"] == told["publish"]["counts"]


ATTACKS = (
    ("", signal.SIGKILL, True),
    ("", signal.SIGINT, True),
    ("land", signal.SIGKILL, False),
    ("integrate", signal.SIGINT, True),
    ("train", signal.SIGKILL, True),
)
"""After which stage's end (nothing: from the start), by which signal, to all its processes or to the first alone."""


def test_cut_off_again_and_again_it_ends_as_if_nothing_had_happened(
    home: Any,
    undisturbed: tuple[Any, dict[str, Any]],
    plain: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """kill -9 and Ctrl-C, as stages begin and a random while after; each run goes on from where it was cut off."""
    chance = random.Random(5)
    struck = copy_of(home, tmp_path_factory.mktemp("struck") / "home")
    for stage, how, group in ATTACKS:
        victim = Victim(struck)
        if stage:
            victim.wait_for(stage)
        time.sleep(chance.uniform(0, 1.5) if stage else chance.uniform(2, 6))
        said = victim.end(how, group=group)
        assert victim.process.returncode == (130 if how == signal.SIGINT else -how), said
        if how == signal.SIGINT:
            plain(said)
            rest = [line for line in said.splitlines() if "✓" not in line]
            assert rest == ["onefold: interrupted; run it again to go on"]
    check_same(struck, struck.told("refresh"), undisturbed)


def test_its_own_prefect_server_is_found_again(home: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """kill -9 leaves the server that the command had started; the next command uses it, and it can be stopped."""
    from onefold_flows import server
    from onefold_flows.background import Background

    alone = copy_of(home, tmp_path_factory.mktemp("alone") / "home")
    for name in ("ONEFOLD_PREFECT_API_URL", "PREFECT_API_URL"):
        alone.environment.pop(name, None)
    process = Background(server.NAME, alone.path)
    try:
        victim = Victim(alone)
        end = time.monotonic() + 60
        while (facts := process.find()) is None:
            assert time.monotonic() < end, "no server was started"
            time.sleep(0.1)
        os.killpg(victim.process.pid, signal.SIGKILL)
        victim.process.wait(30)
        alone.told("land")
        assert process.find() == facts
    finally:
        process.stop()
    assert process.find() is None
