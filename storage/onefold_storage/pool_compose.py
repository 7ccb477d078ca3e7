"""A new pool as files of compose: its nodes and volumes in a fragment, and the longer list of pools beside it.

Every MinIO node reads the list of pools from one file (`/etc/minio/pools.yml` in its container), in the order in
which they were added, which may never change. The fragment mounts the longer list in every node, old and new, and
is laid over docker-compose.yml: by `COMPOSE_FILE` in .env, which docker compose and the local cluster both read.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from onefold_storage.errors import BadInput, NotFound
from onefold_storage.pools import PoolPlan

LIST = "/etc/minio/pools.yml"
"""Where a node finds the list of pools."""
_NAME = re.compile(r"^(.*?)(\d+)$")
_ARGUMENT = re.compile(r"^(https?)://([^/:]+)(:\d+)?(/.*?)(\d+)$")
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


@dataclass(frozen=True)
class Definition:
    """What compose files say of MinIO: its services, the last one whole as a pattern, and the list of pools."""

    folder: Path
    services: tuple[str, ...]
    pattern: dict[str, Any]
    pools: dict[str, Any]

    @property
    def arguments(self) -> list[list[str]]:
        """The drives of each pool, as URLs."""
        return [[str(a) for a in pool["args"]] for pool in self.pools["pools"]]


def compose_files(folder: Path) -> list[Path]:
    """The files that compose reads in a folder: `COMPOSE_FILE` of its .env, else docker-compose.yml."""
    named = environment(folder).get("COMPOSE_FILE") or "docker-compose.yml"
    return [folder / name for name in named.split(os.pathsep)]


def environment(folder: Path) -> dict[str, str]:
    """The variables of a folder's .env; none where there is no such file."""
    file = folder / ".env"
    lines = file.read_text().splitlines() if file.is_file() else []
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}


def read_definition(files: Sequence[Path]) -> Definition:
    """The MinIO services of compose files, later ones laid over earlier ones.

    Raises:
        NotFound: a file is not there. BadInput: no service mounts a list of pools, or they mount different ones.
    """
    tree: dict[str, Any] = {}
    for file in files:
        tree = _over(tree, _yaml(file))
    told = ", ".join(map(str, files))
    mounts = {n: m for n, s in (tree.get("services") or {}).items() if (m := _mount(s, LIST))}
    if not mounts:
        raise BadInput(f"{told}: no service mounts {LIST}; name the files that define MinIO")
    folder = files[0].absolute().parent
    sources = {_filled(m, environment(folder)) for m in mounts.values()}
    if len(sources) > 1:
        raise BadInput(f"{told}: the nodes mount different lists of pools: {', '.join(sorted(sources))}")
    pools = _yaml(folder / sources.pop())
    if not isinstance(pools, dict) or not all(
        isinstance(p, dict) and p.get("args") for p in pools.get("pools") or [0]
    ):
        raise BadInput(f"{told}: the list of pools must have `pools`, each with `args`")
    names = sorted(mounts, key=_natural)
    return Definition(folder, tuple(names), tree["services"][names[-1]], pools)


def draw(definition: Definition, plan: PoolPlan, at: Path) -> dict[Path, str]:
    """The files that add the pool, with their text: the fragment at `at`, the list of pools beside it.

    Raises:
        BadInput: the last node's name or drives are not numbered, so that there is no next one.
    """
    last, arguments = definition.services[-1], definition.arguments[-1]
    name, argument = _NAME.match(last), _ARGUMENT.match(arguments[-1])
    if not name or not argument or argument[2] != last:
        raise BadInput(f"{arguments[-1]}: expected the last pool's drives as http://minio-4:9000/drive-2")
    scheme, _, port, drive, _ = argument.groups()
    numbers = range(int(name[2]) + 1, int(name[2]) + 1 + plan.nodes)
    drives = [f"{drive}{n}" for n in range(1, plan.drives_per_node + 1)]
    nodes = [f"{name[1]}{number}" for number in numbers]
    beside = at.with_name(f"{at.stem}.pools.yml")
    mounted = f"{_relative(beside, definition.folder)}:{LIST}:ro"
    services = {n: [mounted] for n in definition.services}
    volumes: list[str] = []
    for node in nodes:
        own = {f"{node}-{n}": path for n, path in enumerate(drives, 1)}
        volumes += own
        services[node] = [*(f"{v}:{p}" for v, p in own.items()), mounted]
    pool = {
        "set-drive-count": plan.set_drives,
        "args": [f"{scheme}://{node}{port or ''}{path}" for node in nodes for path in drives],
    }
    pools = {**definition.pools, "pools": [*definition.pools["pools"], pool]}
    head = (
        f"# Pool {plan.number} of MinIO: {plan.nodes} nodes of {plan.drives_per_node} drives of "
        f"{plan.drive_bytes:,} bytes or more,\n# in erasure sets of {plan.set_drives} drives with {plan.parity} of "
        f"parity: {plan.usable_bytes:,} usable bytes.\n# Put each volume on a drive of its own. Added by: onefold "
        "storage add-pool\n"
    )
    order = "# The pools of the storage, in the order in which they were added, which may not change.\n"
    return {at: head + _fragment(definition.pattern, services, volumes, nodes), beside: order + _text(pools)}


def _fragment(
    pattern: dict[str, Any], services: dict[str, list[str]], volumes: list[str], new: Sequence[str]
) -> str:
    """Services with their volumes; new ones take everything else from one pattern."""
    shared = {key: value for key, value in pattern.items() if key != "volumes"}
    lines = ["x-minio-node: &minio-node", textwrap.indent(_text(shared), "  ").rstrip(), "", "services:"]
    for name, mounts in services.items():
        lines += [f"  {name}:", *(["    <<: *minio-node"] if name in new else []), "    volumes:"]
        lines += [f"      - {mount}" for mount in mounts]
    return "\n".join([*lines, "", "volumes:", *(f"  {name}:" for name in volumes)]) + "\n"


def added(fragment: Path, files: Sequence[Path]) -> tuple[Definition, Definition]:
    """The definition before and after a fragment, which adds one pool and leaves the others as they are.

    Raises:
        NotFound: a file is not there. BadInput: it adds no pool, or changes those that there are.
    """
    if fragment.absolute() == files[0].absolute():
        raise BadInput(
            f"{fragment}: is the file that a fragment is laid over; name what `storage plan --out` wrote"
        )
    before = read_definition([f for f in files if f.absolute() != fragment.absolute()])
    after = read_definition([*(f for f in files if f.absolute() != fragment.absolute()), fragment])
    old, new = before.arguments, after.arguments
    if new[: len(old)] != old:
        raise BadInput(f"{fragment}: changes the pools that there are; they must stay as they are, in their order")
    if len(new) != len(old) + 1:
        raise BadInput(f"{fragment}: adds {len(new) - len(old)} pools; one at a time is added")
    return before, after


def keep_in_use(folder: Path, fragment: Path) -> bool:
    """Name the fragment in `COMPOSE_FILE` of the folder's .env; False where it is named already."""
    files = compose_files(folder)
    if fragment.absolute() in [f.absolute() for f in files]:
        return False
    named = os.pathsep.join(_relative(f, folder).removeprefix("./") for f in [*files, fragment])
    file = folder / ".env"
    lines = file.read_text().splitlines() if file.is_file() else []
    kept = [line for line in lines if not line.startswith("COMPOSE_FILE=")]
    aside = file.with_name(".env.new")
    aside.touch(mode=0o600)
    aside.write_text("\n".join([*kept, f"COMPOSE_FILE={named}"]) + "\n")
    aside.replace(file)
    return True


class _Plain(yaml.SafeDumper):
    """Writes everything out: another file cannot refer to an anchor."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """No anchors."""
        return True


def _text(tree: dict[str, Any]) -> str:
    return yaml.dump(tree, Dumper=_Plain, sort_keys=False, width=110)


def _yaml(file: Path) -> Any:
    if not file.is_file():
        raise NotFound(f"{file}: no such file")
    try:
        return yaml.safe_load(file.read_text()) or {}
    except yaml.YAMLError as error:
        raise BadInput(f"{file}: is no YAML: {str(error).splitlines()[0]}") from None


def _over(lower: Any, upper: Any, key: str = "") -> Any:
    """One file laid over another as compose does it: mappings merge, volumes by where they are mounted."""
    if isinstance(lower, dict) and isinstance(upper, dict):
        return lower | {name: _over(lower.get(name), value, name) for name, value in upper.items()}
    if key == "volumes" and isinstance(lower, list) and isinstance(upper, list):
        return list({_target(v): v for v in [*lower, *upper]}.values())
    return lower if upper is None else upper


def _target(volume: Any) -> str:
    return str(volume["target"]) if isinstance(volume, dict) else _parts(volume)[1]


def _mount(service: Any, target: str) -> str | None:
    for volume in (service or {}).get("volumes") or []:
        if _target(volume) == target:
            return str(volume["source"]) if isinstance(volume, dict) else _parts(volume)[0]
    return None


def _parts(volume: str) -> tuple[str, str]:
    """Source and target; a default in `${NAME:-value}` has a colon too."""
    held = re.sub(r"\$\{[^}]*\}", lambda m: m[0].replace(":", "\0"), volume)
    parts = [p.replace("\0", ":") for p in held.split(":")]
    return (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])


def _filled(text: str, variables: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda m: variables.get(m[1]) or m[2] or "", text)


def _relative(path: Path, folder: Path) -> str:
    try:
        return f"./{path.absolute().relative_to(folder.absolute())}"
    except ValueError:
        return str(path.absolute())


def _natural(name: str) -> tuple[str, int]:
    match = _NAME.match(name)
    return (match[1], int(match[2])) if match else (name, 0)
