"""docker-compose.yml read: which services there are, and what each one runs, needs, listens on and keeps.

Only what the files of this repository use is understood; a key that is not known is an error, so that nothing that
a container would do is silently left out here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from infra.local.interpolation import fill, read_env

_READ = {
    "image", "build", "command", "environment", "volumes", "ports", "healthcheck", "depends_on", "restart",
    "deploy", "networks", "profiles", "stop_grace_period", "env_file",
}  # fmt: skip
_OF_CONTAINERS = {"cap_drop", "security_opt", "logging", "init", "user", "shm_size"}
"""What bounds a container and has no meaning for a process of this machine."""
_ADDED = {"volumes", "ports", "cap_drop", "security_opt"}
"""Lists that a later file adds to; others it replaces."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class DefinitionError(Exception):
    """The definition says what cannot be done here."""


@dataclass(frozen=True)
class Check:
    """How a service says that it is well: a command, and times in seconds."""

    test: tuple[str, ...]
    interval: float
    timeout: float
    retries: int
    start_period: float
    start_interval: float


@dataclass(frozen=True)
class Mount:
    """A folder or file that a service sees at `target`: a path of the repository, a volume, or (None) its own."""

    source: str | None
    target: str

    @property
    def bound(self) -> bool:
        """Whether it is a path of the repository."""
        return self.source is not None and self.source.startswith((".", "/"))


@dataclass(frozen=True)
class Service:
    """One service, all variables filled in."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    ports: tuple[int, ...]
    check: Check | None
    needs: Mapping[str, str]
    restart: str
    replicas: int
    scales: bool
    aliases: tuple[str, ...]
    grace: float

    @property
    def once(self) -> bool:
        """Whether it is to end by itself."""
        return self.restart in ("no", "on-failure")


def load(files: Iterable[Path], variables: Mapping[str, str], profiles: Iterable[str] = ()) -> dict[str, Service]:
    """The services of the files, later ones laid over earlier ones, without those of profiles not asked for.

    Files of variables that they name are looked for beside the first one.

    Raises:
        UndefinedError: a required variable is not set. DefinitionError: a file says what is not understood here.
    """
    files = list(files)
    folder = files[0].parent
    tree: dict[str, Any] = {}
    for file in files:
        tree = _over(tree, yaml.safe_load(file.read_text()))
    asked = set(profiles)
    wanted = {
        name: said
        for name, said in tree.get("services", {}).items()
        if not said.get("profiles") or asked & set(said["profiles"])
    }
    services = {name: _service(name, said, folder) for name, said in fill(wanted, variables).items()}
    for service in services.values():
        for needed in service.needs.keys() - services.keys():
            raise DefinitionError(f"{service.name} depends on {needed}, which there is not")
    return services


def chosen(services: Mapping[str, Service], names: Iterable[str]) -> dict[str, Service]:
    """The named services and all that they depend on; every service when none is named.

    Raises:
        DefinitionError: a name is no service.
    """
    found: dict[str, Service] = {}
    waiting = list(names) or list(services)
    while waiting:
        name = waiting.pop()
        if name not in services:
            raise DefinitionError(f"no service {name}; there are {', '.join(services)}")
        if name not in found:
            found[name] = services[name]
            waiting += services[name].needs
    return {name: service for name, service in services.items() if name in found}


def _over(lower: Any, upper: Any, key: str = "") -> Any:
    if isinstance(lower, dict) and isinstance(upper, dict):
        return lower | {name: _over(lower.get(name), value, name) for name, value in upper.items()}
    if isinstance(lower, list) and isinstance(upper, list) and key in _ADDED:
        return lower + [item for item in upper if item not in lower]
    return upper


def _service(name: str, said: dict[str, Any], folder: Path) -> Service:
    if unknown := said.keys() - _READ - _OF_CONTAINERS:
        raise DefinitionError(f"service {name}: {', '.join(sorted(unknown))} is not understood here")
    if "image" not in said:
        raise DefinitionError(f"service {name}: has no image")
    needs = said.get("depends_on") or {}
    mounts = [_mount(volume) for volume in said.get("volumes", [])]
    networks = said.get("networks") or {}
    nets = networks.values() if isinstance(networks, dict) else ()
    return Service(
        name=name,
        image=said["image"],
        command=_words(said.get("command")),
        environment=_given(said.get("env_file"), folder) | _pairs(said.get("environment")),
        mounts=tuple({mount.target: mount for mount in mounts}.values()),
        ports=tuple(int(str(port).rpartition(":")[2]) for port in said.get("ports", [])),
        check=_check(said["healthcheck"]) if "healthcheck" in said else None,
        needs={n: how["condition"] for n, how in needs.items()}
        if isinstance(needs, dict)
        else dict.fromkeys(needs, "service_started"),
        restart=said.get("restart", "no").partition(":")[0],
        replicas=int((said.get("deploy") or {}).get("replicas", 1)),
        scales="deploy" in said,
        aliases=tuple(alias for net in nets if net for alias in net.get("aliases", ())),
        grace=_seconds(said.get("stop_grace_period", "10s")),
    )


def _words(said: str | list[Any] | None) -> tuple[str, ...]:
    return tuple(shlex.split(said) if isinstance(said, str) else map(str, said or ()))


def _pairs(said: dict[str, Any] | list[str] | None) -> dict[str, str]:
    if isinstance(said, list):
        return {name: value for name, _, value in (item.partition("=") for item in said)}
    return {name: "" if value is None else str(value) for name, value in (said or {}).items()}


def _given(said: str | list[Any] | None, folder: Path) -> dict[str, str]:
    """The variables of the files that a service names."""
    found: dict[str, str] = {}
    for item in [said] if isinstance(said, str) else said or []:
        named = item if isinstance(item, dict) else {"path": item}
        path = folder / named["path"]
        if named.get("required", True) and not path.is_file():
            raise DefinitionError(f"{path}: a service takes variables from this file, and it is not there")
        found |= read_env(path)
    return found


def _mount(said: str | dict[str, Any]) -> Mount:
    if isinstance(said, dict):
        return Mount(said.get("source"), said["target"])
    parts = said.split(":")
    return Mount(None, parts[0]) if len(parts) == 1 else Mount(parts[0], parts[1])


def _check(said: dict[str, Any]) -> Check:
    test = said["test"]
    words = ["CMD-SHELL", test] if isinstance(test, str) else list(map(str, test))
    interval = _seconds(said.get("interval", "30s"))
    return Check(
        test=("sh", "-c", words[1]) if words[0] == "CMD-SHELL" else tuple(words[1:]),
        interval=interval,
        timeout=_seconds(said.get("timeout", "30s")),
        retries=int(said.get("retries", 3)),
        start_period=_seconds(said.get("start_period", "0s")),
        start_interval=_seconds(said.get("start_interval", "5s")),
    )


def _seconds(said: str) -> float:
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", said)
    if not parts or "".join(number + unit for number, unit in parts) != said:
        raise DefinitionError(f"{said!r} is no duration such as 10s or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
