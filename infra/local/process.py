"""One replica as a process of this machine: started, asked how it is, started again, stopped.

The states are those of a container: `starting`, `healthy`, `unhealthy`, `done` (ended as it should), `failed`
(ended and not to be started again) and `stopped`. Times are of the monotonic clock, in seconds.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

from infra.local.images import Image, search_path
from infra.local.places import Places, Replica

KEPT = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""What a process has of this machine's environment; everything else the definition says."""
MARK = "ONEFOLD_LOCAL_RUN"
"""Set in everything that is started, so that it is found again whatever became of its parent."""
LOG_BYTES = 10_000_000
"""A log that is longer when its process starts is put aside, and the one put aside before goes."""
ENDED = frozenset({"done", "failed", "stopped"})


class Process:
    """A replica and what became of it."""

    def __init__(self, replica: Replica, image: Image, places: Places, mark: str) -> None:
        self.replica = replica
        self.log = places.root / "logs" / f"{replica.name}.log"
        self.state = "waiting"
        self.starts = 0
        service = replica.service
        given = dict(image.environment) | dict(service.environment)
        said = {name: value.replace("{address}", replica.address) for name, value in given.items()}
        self.environment = (
            {name: os.environ[name] for name in KEPT if name in os.environ}
            | {name: places.translate(value, replica) for name, value in said.items()}
            | {"PATH": search_path(), MARK: mark}
        )
        self._command = [*image.entry, *(places.translate(word, replica) for word in service.command)]
        self._test = [places.translate(word, replica) for word in service.check.test] if service.check else None
        self._account = image.account if os.getuid() == 0 and image.account and _known(image.account) else None
        self._files = places.files(replica, image.rewrite)
        self._places, self._stop = places, image.stop
        self._process: subprocess.Popen[bytes] | None = None
        self._probe: subprocess.Popen[bytes] | None = None
        self._began = self._probed = self._again = 0.0
        self._misses = 0
        self._wait = 0.1

    def definition(self) -> tuple[object, ...]:
        """What two processes have in common when the one need not be replaced by the other."""
        return self._command, self.environment, self._test, self._files, self.replica.service.restart

    def within(self, command: list[str]) -> list[str]:
        """Another command, said as it would be inside the service."""
        return [self._places.translate(word, self.replica) for word in command]

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def good(self) -> bool:
        """Whether it is as it is meant to be: healthy, or ended well where it is to end."""
        return self.state in ("healthy", "done")

    def start(self) -> None:
        """Start it in a session of its own, its output appended to its log."""
        volumes = self._places.lay(self.replica, self._files)
        for folder in volumes if self._account else ():
            _hand_over(folder, str(self._account))
        cwd = volumes[0] if volumes else self._places.root
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._process = self._open(self._command, log, cwd)
        self._began = self._probed = time.monotonic()
        self._misses, self.state = 0, "starting"
        self.starts += 1

    def look(self) -> None:
        """See how it is now; starts it again where its restart policy says so."""
        if self.state in ENDED or self.state == "waiting":
            return
        if self._process is None:
            if time.monotonic() >= self._again:
                self.start()
            return
        code = self._process.poll()
        if code is not None:
            self._ended(code)
        elif self._test:
            self._ask()
        elif not self.replica.service.once:
            self.state = "healthy"

    def stop(self) -> None:
        """Ask it to end; `wait` sees that it does."""
        self.state = "stopped"
        self._end_probe()
        self._signal(self._stop)

    def wait(self, until: float) -> None:
        """Wait for its end until a moment, then kill it and all of its session."""
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, until - time.monotonic()))
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _open(self, command: list[str], out: IO[bytes] | int, cwd: Path) -> subprocess.Popen[bytes]:
        program = shutil.which(command[0], path=self.environment["PATH"]) or command[0]
        account = pwd.getpwnam(self._account) if self._account else None
        return subprocess.Popen(  # noqa: S603 - the commands of this repository's own definition
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=cwd,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
        )

    def _ended(self, code: int) -> None:
        self._end_probe()
        self._signal(signal.SIGKILL)  # what it may have left behind
        policy = self.replica.service.restart
        if code == 0 and self.replica.service.once:
            self.state = "done"
        elif policy == "no":
            self.state = "failed"
        else:
            # As an engine does: at once, then at ever longer intervals, anew after it has held for a while.
            self._wait = 0.1 if time.monotonic() - self._began > 10 else min(self._wait * 2, 60)
            self._again = time.monotonic() + self._wait
            self._process, self.state = None, "starting"

    def _ask(self) -> None:
        check = self.replica.service.check
        assert check is not None and self._test is not None
        now = time.monotonic()
        if self._probe is None:
            waiting = check.interval if self.state == "healthy" else min(check.start_interval, check.interval)
            if now - self._probed >= waiting:
                self._probe, self._probed = self._open(self._test, subprocess.DEVNULL, self._places.root), now
            return
        code = self._probe.poll()
        if code is None and now - self._probed < check.timeout:
            return
        self._end_probe()
        self._probed = now
        if code == 0:
            self._misses, self.state = 0, "healthy"
        elif now - self._began > check.start_period or self.state == "healthy":
            self._misses += 1
            if self._misses >= check.retries:
                self.state = "unhealthy"

    def _end_probe(self) -> None:
        if self._probe:
            if self._probe.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._probe.pid, signal.SIGKILL)
            self._probe.wait()
            self._probe = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def _known(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True


def _hand_over(folder: Path, account: str) -> None:
    if folder.owner() != account:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, account, pwd.getpwnam(account).pw_gid)
