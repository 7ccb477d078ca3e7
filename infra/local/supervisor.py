"""The process that keeps the others: starts them in the order of their needs, looks after them, and ends them.

It stands behind `make up-local` as an engine stands behind `docker compose up --detach`. What is wanted is the file
`wanted.json`; SIGHUP makes it read that again (services that are new or changed are started, those that are gone are
stopped), SIGTERM and SIGINT end everything. How all are is the file `state.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.local.definition import DefinitionError, Service, chosen, load
from infra.local.images import ALSO, REPOSITORY, bare, image, lacking
from infra.local.interpolation import read_env
from infra.local.places import Places, Replica
from infra.local.process import MARK, Process

_LOOK_SECONDS = 0.1
_SWEEP_SECONDS = 10
_DOOR = 61_999
"""Port that a supervisor holds on its net while it lives, so that two never share one."""
_NETS = range(77, 127)


class LackingError(Exception):
    """This machine has not all programs."""


def defined(asked: Mapping[str, Any]) -> dict[str, Service]:
    """All services of the definition, as they are asked for.

    Args:
        asked: `variables` by name, `profiles`, `scale` by service, `only` (services; all if empty), `stopped`
            (replicas), and `turn`, which the state tells back.

    Raises:
        UndefinedError, DefinitionError: the definition cannot be used.
    """
    variables = read_env(REPOSITORY / ".env") | dict(asked["variables"])
    files = [REPOSITORY / name for name in variables.get("COMPOSE_FILE", "docker-compose.yml").split(":")]
    services = load(files, variables, asked["profiles"])
    unknown = asked["scale"].keys() - services.keys()
    if unknown:
        raise DefinitionError(f"no service {', '.join(sorted(unknown))} to scale; there are {', '.join(services)}")
    for name, service in services.items():
        if asked["scale"].get(name, service.replicas) > 1 and (not service.scales or re.search(r"-\d+$", name)):
            raise DefinitionError(
                f"service {name} is not scaled: only those are that have `deploy: {{replicas: N}}` in the compose "
                "file and no number in their name; add a numbered one there under the next number"
            )
    return {name: replace(s, replicas=asked["scale"].get(name, s.replicas)) for name, s in services.items()}


def check(picked: Mapping[str, Service]) -> None:
    """See that this machine has the programs of the services.

    Raises:
        DefinitionError: no program stands in for an image. LackingError: programs are missing.
    """
    for service in picked.values():
        try:
            image(service.image)
        except KeyError:
            raise DefinitionError(
                f"service {service.name}: no program here stands in for {service.image}"
            ) from None
    if steps := lacking(set(_programs(picked))):
        raise LackingError(f"this machine lacks programs: {'; '.join(steps)}")


def processes(root: Path, net: int) -> dict[str, Process]:
    """A process, not started, for every replica that is wanted; each room is kept between starts.

    Raises:
        UndefinedError, DefinitionError: the definition cannot be used.
    """
    asked = json.loads((root / "wanted.json").read_text())
    services = defined(asked)
    picked = chosen(services, asked["only"])
    remembered = root / "rooms.json"
    rooms = json.loads(remembered.read_text()) if remembered.exists() else {}
    places = Places(root, REPOSITORY, net, services, rooms)
    _write(remembered, json.dumps(rooms))
    replicas = [replica for replica in places.replicas if replica.service.name in picked]
    return {r.name: Process(r, image(r.service.image), places, str(root)) for r in replicas}


def _programs(services: Mapping[str, Service]) -> Iterator[str]:
    for service in services.values():
        yield ((*image(service.image).entry, *service.command) or ("",))[0]
        yield from ALSO.get(bare(service.image), ())
        if service.check:
            yield service.check.test[0]


class Supervisor:
    """Everything that runs in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._door, self._net = _enter(root)
        self._processes: dict[str, Process] = {}
        self._asked: list[signal.Signals] = []
        self._turn = 0
        self._said = ""

    def run(self) -> None:
        """Work until told to end."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda given, _: self._asked.append(signal.Signals(given)))
        try:
            self._take_in()
            while not any(number != signal.SIGHUP for number in self._asked):
                if self._asked:
                    self._asked.clear()
                    self._take_in()
                for process in self._processes.values():
                    if process.state == "waiting" and self._may_start(process.replica):
                        process.start()
                    process.look()
                self._tell()
                time.sleep(_LOOK_SECONDS)
        finally:
            self._stop(list(self._processes))
            sweep(self.root)
            (self.root / "state.json").unlink(missing_ok=True)

    def _take_in(self) -> None:
        new = processes(self.root, self._net)
        same = {
            name for name, old in self._processes.items()
            if name in new and old.definition() == new[name].definition()
        }  # fmt: skip
        self._stop([name for name in self._processes if name not in same])
        self._processes = {name: self._processes[name] if name in same else new[name] for name in new}
        asked = json.loads((self.root / "wanted.json").read_text())
        held, self._turn = asked["stopped"], asked["turn"]
        for name, process in self._processes.items():
            if name in held and process.state != "stopped":
                process.stop()
                process.wait(time.monotonic() + process.replica.service.grace)
            elif name not in held and process.state == "stopped":
                process.state = "waiting"
        self._tell()

    def _may_start(self, replica: Replica) -> bool:
        for needed, condition in replica.service.needs.items():
            replicas = [p for p in self._processes.values() if p.replica.service.name == needed]
            if condition == "service_started" and not all(p.starts for p in replicas):
                return False
            if condition != "service_started" and not all(p.good for p in replicas):
                return False
        return True

    def _stop(self, names: list[str]) -> None:
        """Stop processes, those that need others before these; at once where none needs another."""
        left = {name: self._processes[name] for name in names}
        while left:
            needed = {n for p in left.values() for n in p.replica.service.needs}
            now = [p for p in left.values() if p.replica.service.name not in needed] or list(left.values())
            for process in now:
                process.stop()
            begin = time.monotonic()
            for process in now:
                process.wait(begin + process.replica.service.grace)
                left.pop(process.replica.name)
        for name in names:
            self._processes.pop(name)

    def _tell(self) -> None:
        services = {
            name: {
                "state": p.state, "pid": p.pid, "address": p.replica.address, "ports": p.replica.service.ports,
                "starts": p.starts, "log": str(p.log),
            }
            for name, p in self._processes.items()
        }  # fmt: skip
        said = json.dumps({"supervisor": os.getpid(), "turn": self._turn, "services": services})
        if said != self._said:
            _write(self.root / "state.json", said)
            self._said = said


def sweep(root: Path) -> int:
    """Kill whatever was started for the folder and is still there; gives how many processes that were.

    It returns once none is left, or after some seconds where the system does not end one.
    """
    killed: set[int] = set()
    end = time.monotonic() + _SWEEP_SECONDS
    while (there := _started(root)) and time.monotonic() < end:
        for number in there:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        killed |= there
        time.sleep(0.02)
    return len(killed)


def _started(root: Path) -> set[int]:
    mark, mine, found = f"{MARK}={root}".encode(), os.getpid(), set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != mine and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
    return found


def _enter(root: Path) -> tuple[socket.socket, int]:
    """A net that no other supervisor is on: the one of the last time, if it is free."""
    remembered = root / "net"
    last = [int(remembered.read_text())] if remembered.exists() else []
    for net in (*last, *_NETS):
        door = socket.socket()
        try:
            door.bind((f"127.{net}.0.1", _DOOR))
        except OSError:
            door.close()
            continue
        _write(remembered, str(net))
        return door, net
    raise DefinitionError("every net from 127.77 to 127.126 is in use; end one with make down-local")


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text)
    draft.replace(path)
