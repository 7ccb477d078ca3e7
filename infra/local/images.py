"""Which programs of this machine stand in for an image. It goes by image: no service has anything of its own here.

`{address}` in a variable is the replica's address. A program is looked up in `.venv`, `.tools`, PostgreSQL's folder
and PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.places import Places

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


def _as_it_is(text: str, _: Places) -> str:
    return text


@dataclass(frozen=True)
class Image:
    """How an image's work is done here.

    Attributes:
        entry: what the image puts before the command.
        environment: variables that the image sets, or that only hold for processes.
        account: whom root runs it as, for programs that refuse root or give it up by themselves.
        stop: the signal that asks it to end.
        rewrite: what mounted files say in a way that needs a name server, said without one.
    """

    entry: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    stop: signal.Signals = signal.SIGTERM
    rewrite: Callable[[str, Places], str] = _as_it_is


def _servers(text: str, places: Places) -> str:
    """HAProxy: one `server` for each address that a name stands for, where it would ask a name server."""

    def each(match: re.Match[str]) -> str:
        prefix, name, port, rest = match.groups()
        addresses = places.names.get(name, ())
        return "".join(f"  server {prefix}{n} {ip}:{port}{rest}\n" for n, ip in enumerate(addresses, 1))

    return re.sub(r"^ *server-template (\S+) \d+ ([\w.-]+):(\d+)(.*)\n", each, text, flags=re.MULTILINE)


def _targets(text: str, places: Places) -> str:
    """Prometheus: the addresses that a name stands for, where it would ask a name server."""

    def each(match: re.Match[str]) -> str:
        targets = ", ".join(f'"{ip}:{match[2]}"' for ip in places.names.get(match[1], ()))
        return f"static_configs: [{{targets: [{targets}]}}]"

    return re.sub(r"dns_sd_configs: \[\{names: \[([\w.-]+)\], type: A, port: (\d+)\}\]", each, text)


IMAGES: Mapping[str, Image] = {
    "onefold-api": Image(),
    "onefold-worker": Image(),
    "onefold-minio": Image(
        environment={
            # Drives may share a file system, and of all nodes on this machine the one with this address is itself:
            # MinIO asks for the latter only where it believes in an orchestrator.
            "MINIO_CI_CD": "1",
            "KUBERNETES_SERVICE_HOST": "this-machine",
            "_MINIO_SERVER_LOCAL": "{address}:9000",
        }
    ),
    "postgres": Image(
        entry=("sh", str(HERE / "postgres.sh")),
        environment={"PGDATA": "/var/lib/postgresql/data", "FIRST": "/docker-entrypoint-initdb.d"},
        account="postgres",
        stop=signal.SIGINT,  # without waiting for clients
    ),
    "haproxy": Image(rewrite=_servers),
    "eclipse-mosquitto": Image(account="mosquitto"),
    "quay.io/prometheuscommunity/postgres-exporter": Image(entry=("prometheus-postgres-exporter",)),
    "prom/prometheus": Image(entry=("prometheus",), rewrite=_targets),
}

PACKAGES = {
    "haproxy": "haproxy",
    "initdb": "postgresql",
    "postgres": "postgresql",
    "pg_isready": "postgresql",
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
    "prometheus": "prometheus",
    "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    "wget": "wget",
}
"""Debian's package of a program."""
TARGETS = {"minio": "make minio", "onefold": "make setup", "dask": "make setup"}
"""How to get what no package has."""
ALSO = {"postgres": ("initdb",), "eclipse-mosquitto": ("mosquitto", "mosquitto_passwd")}
"""Programs that an image's own scripts call."""


def image(name: str) -> Image:
    """The stand-in of an image, whatever its version.

    Raises:
        KeyError: there is none.
    """
    return IMAGES[bare(name)]


def bare(name: str) -> str:
    """An image's name without its version."""
    return re.sub(r"(:[\w.-]+)?(@\w+:\w+)?$", "", name)


def search_path() -> str:
    """PATH for everything that is started."""
    postgres = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))[-1:]
    tools = [REPOSITORY / ".venv" / "bin", REPOSITORY / ".tools" / "minio", *postgres]
    return os.pathsep.join([*map(str, tools), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def lacking(programs: set[str]) -> list[str]:
    """What to do for the programs that this machine has not; empty when it has all."""
    path = search_path()
    missing = sorted(name for name in programs if not shutil.which(name, path=path))
    packages = sorted({PACKAGES[name] for name in missing if name in PACKAGES})
    steps = [f"apt install {' '.join(packages)}"] if packages else []
    steps += sorted({TARGETS[name] for name in missing if name in TARGETS})
    unknown = [name for name in missing if name not in PACKAGES and name not in TARGETS]
    return steps + [f"put {name} on the PATH" for name in unknown]
