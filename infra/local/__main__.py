"""The services of docker-compose.yml as processes of this machine: `python -m infra.local up|ps|exec|stop|down`.

`up` returns when every service is well, and leaves them running (Ctrl-C before that ends them again); asked once
more it brings what runs to what is asked for. `down` ends them; volumes stay, unless --volumes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from infra.local.definition import DefinitionError, chosen
from infra.local.images import REPOSITORY
from infra.local.interpolation import UndefinedError, read_env
from infra.local.process import MARK
from infra.local.supervisor import LackingError, Supervisor, check, defined, processes, sweep

_PATIENCE = 300
_STACK = "ONEFOLD_LOCAL_ROOT"
"""What `exec` tells its command: the folder of the services that it runs among."""
_MOST = 250
"""Replicas of a service: the last number of an address tells them apart."""


def say(line: str) -> None:
    """One line for the person at the terminal."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def state(root: Path) -> dict[str, Any] | None:
    """What the supervisor last told; None where none lives."""
    try:
        told: dict[str, Any] = json.loads((root / "state.json").read_text())
        command = Path(f"/proc/{told['supervisor']}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return told if b"infra.local" in command else None


def up(root: Path, asked: argparse.Namespace) -> int:
    """Start or change what runs, and wait until all of it is well."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o711)  # accounts of single services pass through; what they may read says each folder
    variables = {name: os.environ[name] for name in _named_by_definition()}
    scale = _scaled(asked.scale)
    profiles = [*asked.profile, *filter(None, os.environ.get("COMPOSE_PROFILES", "").split(","))]
    running = state(root)
    named = list(asked.only)
    before = json.loads((root / "wanted.json").read_text()) if running else {}
    if running and named:  # beside what runs already, as an engine does
        asked.only = [*before["only"], *named] if before["only"] else []
        profiles, scale = [*before["profiles"], *profiles], before["scale"] | scale
    if running and os.environ.get(_STACK) == str(root):
        variables = before["variables"]  # those here are what one service is told, not what the stack was told
    turn = time.monotonic_ns()
    draft = {
        "variables": variables, "profiles": profiles, "scale": scale, "only": asked.only, "stopped": [], "turn": turn,
    }  # fmt: skip
    every = defined(draft)
    chosen(every, named)  # also names that are not needed, as all runs, are to be right
    services = chosen(every, draft["only"])
    check(services)
    say(f"{len(services)} services; logs in {root / 'logs'}")
    (root / "wanted.json").touch(mode=0o600)
    (root / "wanted.json").write_text(json.dumps(draft))
    if running:
        os.kill(running["supervisor"], signal.SIGHUP)
    else:
        sweep(root)
        (root / "state.json").unlink(missing_ok=True)
        with (root / "supervisor.log").open("w") as log:
            subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-m", "infra.local", "--root", str(root), "supervise"],
                cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
    try:
        return _wait(root, turn, asked.timeout)
    except KeyboardInterrupt:
        say("interrupted: ending what was started")
        down(root, volumes=False)
        return 130


def stop(root: Path, names: list[str]) -> int:
    """Stop replicas until the next `up`, as a machine that is gone."""
    told = state(root)
    if unknown := set(names) - set(told["services"] if told else ()):
        raise DefinitionError(f"{', '.join(sorted(unknown))}: nothing of that name is running")
    draft = json.loads((root / "wanted.json").read_text())
    draft["stopped"] = sorted({*draft["stopped"], *names})
    (root / "wanted.json").write_text(json.dumps(draft))
    assert told is not None
    os.kill(told["supervisor"], signal.SIGHUP)
    while any(s["state"] != "stopped" for n, s in (state(root) or told)["services"].items() if n in names):
        time.sleep(0.1)
    return 0


def down(root: Path, volumes: bool) -> int:
    """End everything that runs in the folder."""
    told = state(root)
    if told:
        os.kill(told["supervisor"], signal.SIGTERM)
        while state(root):
            time.sleep(0.1)
    left = sweep(root)
    say("everything has ended" if told or left else "nothing was running")
    if volumes:
        shutil.rmtree(root, ignore_errors=True)
        say(f"removed {root}")
    return 0


def execute(root: Path, name: str, command: list[str]) -> int:
    """Run a command with what a service has: its variables, and its addresses and paths in the command."""
    if not command:
        raise DefinitionError(f"exec {name}: say the command too, such as: exec {name} onefold status")
    if not state(root):
        raise DefinitionError("nothing is running: make up-local")
    known = processes(root, int((root / "net").read_text()))
    process = known.get(name) or known.get(f"{name}-1")
    if process is None:
        raise DefinitionError(f"no service {name}; there are {', '.join(known)}")
    environment = dict(process.environment)
    del environment[MARK]  # it is the caller's, and is not ended with the services
    environment[_STACK] = str(root)
    program, *arguments = process.within(command)
    found = shutil.which(program, path=environment["PATH"])
    if found is None:
        raise DefinitionError(f"no program {program}")
    return subprocess.run([found, *arguments], env=environment, check=False).returncode  # noqa: S603 - the user's own


def ps(root: Path) -> int:
    """How everything is."""
    told = state(root)
    if not told:
        say("nothing is running: make up-local")
        return 1
    wide = max(len(name) for name in told["services"])
    for name, service in told["services"].items():
        addresses = " ".join(f"{service['address']}:{port}" for port in service["ports"])
        again = f" (started {service['starts']} times)" if service["starts"] > 1 else ""
        say(f"  {name:<{wide}}  {service['state']:<9}  {addresses or service['address']}{again}")
    say(f"  logs: {root / 'logs'}")
    return 0


def _wait(root: Path, turn: int, patience: float) -> int:
    begin = time.monotonic()
    seen: dict[str, tuple[str, int]] = {}
    while time.monotonic() - begin < patience:
        told = state(root)
        if told is None and time.monotonic() - begin > 10:
            say((root / "supervisor.log").read_text().strip() or "the supervisor did not start")
            return 1
        if told is None or told["turn"] != turn:
            time.sleep(0.1)
            continue
        services = told["services"]
        for name, service in services.items():
            now = (service["state"], service["starts"])
            if now != seen.get(name) and service["state"] != "waiting":
                again = f", start {service['starts']}" if service["starts"] > 1 else ""
                say(f"  {time.monotonic() - begin:5.1f} s  {name}: {service['state']}{again}")
            seen[name] = now
        if all(s["state"] in ("healthy", "done") for s in services.values()):
            return ps(root)
        if lost := [name for name, service in services.items() if service["state"] == "failed"]:
            return _complain(services, lost, "ended")
        time.sleep(0.1)
    services = (state(root) or {"services": {}})["services"]
    late = [name for name, service in services.items() if service["state"] not in ("healthy", "done")]
    return _complain(services, late, f"not well after {patience:g} s")


def _complain(services: dict[str, Any], names: list[str], what: str) -> int:
    for name in names:
        log = Path(services[name]["log"])
        words = log.read_text(errors="replace").strip().splitlines()[-5:] if log.exists() else []
        say(f"{name}: {what}; {log} ends with:")
        for line in words:
            say(f"    {line}")
    say("what runs is left running; make down-local ends it")
    return 1


def _scaled(items: list[str]) -> dict[str, int]:
    """`SERVICE=N` as asked for."""
    scale = {}
    for item in items:
        name, _, number = item.rpartition("=")
        if not name or not re.fullmatch("[0-9]{1,3}", number) or int(number) > _MOST:
            raise DefinitionError(f"scale {item}: say SERVICE=N, with N a number from 0 to {_MOST}")
        scale[name] = int(number)
    return scale


def _named_by_definition() -> set[str]:
    files = os.environ.get("COMPOSE_FILE") or read_env(REPOSITORY / ".env").get(
        "COMPOSE_FILE", "docker-compose.yml"
    )
    text = "".join((REPOSITORY / name).read_text() for name in files.split(":"))
    return {name for name in os.environ if f"${{{name}" in text or name == "COMPOSE_FILE"}


def main() -> int:
    """Read the command line; errors of the user's are one line."""
    home = Path(os.environ.get("ONEFOLD_HOME", REPOSITORY / ".onefold")).expanduser().absolute()
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    stack = Path(os.environ.get(_STACK) or home / "local")
    parser.add_argument("--root", type=Path, default=stack, help="folder of state, logs and volumes")
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start, and wait until all are well")
    starting.add_argument("--scale", action="append", default=[], metavar="SERVICE=N")
    starting.add_argument("--profile", action="append", default=[])
    starting.add_argument("--timeout", type=float, default=_PATIENCE)
    starting.add_argument("only", nargs="*", metavar="SERVICE", help="these, and what they need; all if none")
    commands.add_parser("ps", help="how they are")
    within = commands.add_parser("exec", help="run a command as inside a service")
    within.add_argument("service")
    within.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND …")
    holding = commands.add_parser("stop", help="stop some until the next up, to see what their loss does")
    holding.add_argument("names", nargs="+", metavar="NAME")
    ending = commands.add_parser("down", help="end them")
    ending.add_argument("--volumes", action="store_true", help="and remove what they kept")
    commands.add_parser("supervise", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    root: Path = asked.root.absolute()
    try:
        if asked.command == "up":
            return up(root, asked)
        if asked.command == "supervise":
            Supervisor(root).run()
            return 0
        if asked.command == "exec":
            return execute(root, asked.service, asked.words)
        if asked.command == "stop":
            return stop(root, asked.names)
        return down(root, asked.volumes) if asked.command == "down" else ps(root)
    except UndefinedError as error:
        say(f"{error} (.env, which make secrets writes)")
    except (DefinitionError, LackingError, OSError) as error:
        say(str(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
