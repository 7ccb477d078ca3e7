"""Where a service of the definition is on this machine: an address of its own, and a folder for each volume.

A container has a network and a file system of its own; a process has neither. So each replica gets an address out of
127.0.0.0/8 (ports stay as they are, and any number of replicas fit), each volume a folder, and every text that a
service reads (command, variables, mounted files) is told so: names of services become addresses, its own loopback
its own address, and paths inside the container paths of this machine.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.definition import Mount, Service

_SELF = re.compile(r"(?<![\w.])(?:0\.0\.0\.0|127\.0\.0\.1|localhost)(?![\w.])")


@dataclass(frozen=True)
class Replica:
    """One process of a service; `number` counts from 1."""

    service: Service
    number: int
    address: str

    @property
    def name(self) -> str:
        """The service's name, with the number where there may be several."""
        return f"{self.service.name}-{self.number}" if self.service.scales else self.service.name


class Places:
    """Addresses and folders of one running definition.

    Args:
        root: folder that everything is kept in.
        repository: what mounted files are relative to.
        net: second number of all addresses, 127.<net>.….
        rooms: third number by stem of a service's name; grows with every new one, and is kept between starts.
    """

    def __init__(
        self, root: Path, repository: Path, net: int, services: Mapping[str, Service], rooms: dict[str, int]
    ) -> None:
        self.root = root
        self._repository = repository
        self._services = services
        self.replicas: list[Replica] = []
        self.names: dict[str, list[str]] = {}
        for service in services.values():
            stem, number = _numbered(service.name)
            room = rooms.setdefault(stem, max(rooms.values(), default=0) + 1)
            for index in range(service.replicas):
                replica = Replica(service, index + 1, f"127.{net}.{room}.{number + index}")
                self.replicas.append(replica)
                for name in (service.name, *service.aliases):
                    self.names.setdefault(name, []).append(replica.address)
        known = "|".join(sorted(map(re.escape, self.names), key=len, reverse=True))
        # A name counts where a port follows; what follows the port as a path is a path of that service.
        self._named = re.compile(rf"(?<![\w.-])({known})(:\d+)((?:/[\w.-]+)*)")

    def folder(self, replica: Replica, mount: Mount) -> Path:
        """The folder or file that a mount is here."""
        if mount.bound:
            return self.root / "files" / replica.name / mount.target.strip("/").replace("/", "-")
        own = f"{replica.name}{mount.target.replace('/', '-')}"
        return self.root / "volumes" / (mount.source or own)

    def translate(self, text: str, replica: Replica) -> str:
        """A text of the definition as it holds here for one replica."""
        text = _SELF.sub(replica.address, text)
        text = self._named.sub(self._located, text)
        return self._paths(text, replica)

    def files(self, replica: Replica, rewrite: Callable[[str, Places], str]) -> dict[Path, str]:
        """The mounted files of a replica as they are to be here.

        `rewrite` is what the image's program needs said otherwise in a file, beside names and paths.
        """
        texts = {}
        for mount in replica.service.mounts:
            if mount.bound:
                here, source = self.folder(replica, mount), self._repository / str(mount.source)
                for file in [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file()):
                    text = self.translate(rewrite(file.read_text(), self), replica)
                    texts[here if source.is_file() else here / file.relative_to(source)] = text
        return texts

    def lay(self, replica: Replica, files: Mapping[Path, str]) -> list[Path]:
        """Write a replica's mounted files, and make the folders of its volumes, which are given."""
        shutil.rmtree(self.root / "files" / replica.name, ignore_errors=True)
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        volumes = [self.folder(replica, mount) for mount in replica.service.mounts if not mount.bound]
        for folder in volumes:
            folder.parent.mkdir(mode=0o711, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        return volumes

    def _located(self, match: re.Match[str]) -> str:
        name, port, path = match.groups()
        address = self.names[name][0]
        if path and name in self._services:
            path = self._paths(path, Replica(self._services[name], 1, address))
        return f"{address}{port}{path}"

    def _paths(self, text: str, replica: Replica) -> str:
        mounts = sorted(replica.service.mounts, key=lambda mount: -len(mount.target))
        if not mounts:
            return text
        targets = {mount.target: str(self.folder(replica, mount)) for mount in mounts}
        pattern = rf"(?<![\w/.-])({'|'.join(map(re.escape, targets))})(?![\w.-])"
        return re.sub(pattern, lambda match: targets[match[1]], text)


def _numbered(name: str) -> tuple[str, int]:
    """`minio-3` is the third of `minio`; a name without a number the first of its own."""
    match = re.fullmatch(r"(.+)-(\d{1,3})", name)
    return (match[1], int(match[2])) if match else (name, 1)
