"""Processes that outlive the command which started them: one of each name in a home, found again by a record.

The record (`run/<name>.json`) holds the process id and when that process was born, so that a number the system
has given to another process since is not taken for it. What the process prints goes to `logs/<name>.log`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

_started: dict[int, subprocess.Popen[bytes]] = {}
"""Children of this process, kept so that they are reaped when they end."""


class Background:
    """A named process of a home: started at most once, found by every later command, stopped by whoever may."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home
        self.record = home / "run" / f"{name}.json"
        self.log = home / "logs" / f"{name}.log"
        for folder in (self.record.parent, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)

    def lock(self) -> FileLock:
        """Held while one looks for the process and starts it, so that two commands do not start two."""
        return FileLock(self.record.with_suffix(".lock"))

    def remembered(self) -> dict[str, Any]:
        """The facts of the last start, whether or not that process lives; empty when there was none."""
        try:
            facts = json.loads(self.record.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    def find(self) -> dict[str, Any] | None:
        """The facts of the living process, or None."""
        facts = self.remembered()
        return facts if self._process(facts) else None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None, **facts: Any
    ) -> dict[str, Any]:
        """Start the command in a process group of its own; gives the recorded facts (`pid`, `born` and `facts`).

        `cwd`: where it runs, the home by default. A process that reads `ONEFOLD_…` settings runs where they were
        set: relative paths in them, and the default home, mean another place elsewhere.
        """
        with self.log.open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 - commands of ours, without a shell
                list(command),
                cwd=cwd or self.home,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _started[child.pid] = child
        try:
            born = psutil.Process(child.pid).create_time()
        except psutil.NoSuchProcess:
            born = 0.0
        recorded = {"pid": child.pid, "born": born, **facts}
        draft = self.record.with_suffix(".new")
        draft.write_text(json.dumps(recorded))
        draft.replace(self.record)
        return recorded

    def stop(self, patience: float = 10) -> bool:
        """End the recorded process and its group: politely, and after `patience` seconds by force.

        Returns whether there was one. The record stays, for what it remembers.
        """
        process = self._process(self.remembered())
        if process is None:
            return False
        members = [process, *process.children(recursive=True)]
        self._interrupt(process)
        _, left = psutil.wait_procs(members, timeout=patience)
        for member in left:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=patience)
        if child := _started.pop(process.pid, None):
            child.wait()
        return True

    def last_words(self, lines: int = 3) -> str:
        """The end of the log, in one line."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return " / ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])

    @staticmethod
    def _interrupt(process: psutil.Process) -> None:
        """As Ctrl-C in a terminal would: servers and Prefect's runner end in good order on it."""
        try:
            os.killpg(process.pid, signal.SIGINT)
        except (ProcessLookupError, PermissionError):
            return

    @staticmethod
    def _process(facts: Mapping[str, Any]) -> psutil.Process | None:
        """The recorded process if it lives and is the same one."""
        pid, born = facts.get("pid"), facts.get("born")
        if not isinstance(pid, int) or not isinstance(born, int | float):
            return None
        if child := _started.get(pid):
            child.poll()
        try:
            process = psutil.Process(pid)
            same = abs(process.create_time() - born) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None
