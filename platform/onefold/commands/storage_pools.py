"""`onefold storage plan | add-pool | rebalance | drain | heal`: the storage grows, evens out, gives a pool up, heals."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from onefold.commands.storage import size_of
from onefold.commands.storage_outlook import size
from onefold.terminal import err, following, out, print_json, waiting

if TYPE_CHECKING:
    from onefold_storage.expansion import Step
    from onefold_storage.healing import Healed
    from onefold_storage.minio_admin import AdminApi

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object when done.")]
Folder = Annotated[Path, typer.Option(help="The folder of docker-compose.yml and its .env.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")]
HERE = Path()


def plan(
    days: Annotated[int, typer.Option(min=1, help="Days that there is to be room for.")] = 180,
    output: Annotated[
        Path | None, typer.Option("--out", help="Write the compose fragment here, the list of pools beside it.")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes; as few as will do when left out.")] = None,
    drives: Annotated[int | None, typer.Option(min=1, help="Drives of a node; as in the first pool.")] = None,
    drive_size: Annotated[str | None, typer.Option(help="Size of a drive: 4TB; as in the last pool.")] = None,
    per_day: Annotated[str | None, typer.Option(help="Growth per day, where no forecast can tell: 20GB.")] = None,
    folder: Folder = HERE,
    json: Json = False,
) -> None:
    """Propose the next pool: nodes, drives and their size, with a margin; and write its compose fragment."""
    from onefold_storage.installation import Installation
    from onefold_storage.planning import plan_pool
    from onefold_storage.settings import StorageSettings

    installation = Installation(StorageSettings())
    with waiting("growth is looked at"):
        made = plan_pool(
            installation,
            days,
            nodes=nodes,
            drives_per_node=drives,
            drive_bytes=size_of(drive_size) if drive_size else None,
            bytes_per_day=float(size_of(per_day)) if per_day else None,
        )
    written = _write(made.pool, output, folder) if output and made.pool else []
    if json:
        print_json(made.facts() | {"written": [str(f) for f in written]})
        return
    grown = made.growth.high
    out.print(f"In {days} days {size(made.growth.expected)} are added, {size(grown)} with caution; then no more than "
              f"{made.share_used:.0%} is to be taken: {size(made.needed_bytes)} more are needed")  # fmt: skip
    if made.pool is None:
        out.print("There is room enough; no pool is needed")
        return
    pool = made.pool
    out.print(f"Pool {pool.number}: {pool.nodes} nodes of {pool.drives_per_node} drives of {size(pool.drive_bytes)}, in "
              f"erasure sets of {pool.set_drives} with {pool.parity} of parity: {size(pool.usable_bytes)} usable; "
              f"written to with {pool.nodes_may_fail} of its nodes away")  # fmt: skip
    for file in written:
        out.print(f"Wrote {file}")
    if written:
        out.print(f"Next, run as this was: onefold storage add-pool {written[0]}")


def add_pool(
    fragment: Annotated[Path, typer.Argument(help="The compose fragment that `onefold storage plan --out` wrote.")],
    folder: Folder = HERE,
    restart_with: Annotated[
        str | None,
        typer.Option(
            help="Command that starts the nodes again; found when left out: docker compose, or the local one."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for every node.")] = 300,
    json: Json = False,
) -> None:
    """Bring a pool in: checks, one start of every node with the longer list of pools, and a look at the result."""
    from onefold_storage import expansion, pool_compose

    api = _api()
    files = pool_compose.compose_files(folder)
    before, after = pool_compose.added(fragment, files)
    capacity = expansion.pools_of(api)
    wanted = len(after.arguments)
    changed = len(capacity.pools) < wanted
    if len(capacity.pools) not in (wanted, wanted - 1):
        _refuse(
            f"the cluster has {len(capacity.pools)} pools, the fragment makes {wanted}: expected {wanted - 1} now"
        )
    if changed:
        expansion.sound(capacity)
        expansion.calm(api)
    services = sorted({*before.services, *after.services})
    command = _starting(folder, services, restart_with) if changed else []
    pool_compose.keep_in_use(folder, fragment)
    if changed:
        err.print(f"  starting every node with {wanted} pools: {escape(shlex.join(command))}")
        done = subprocess.run(command, cwd=folder, check=False, stdout=2)  # noqa: S603 - what the person asked for
        if done.returncode:
            _refuse(f"`{shlex.join(command)}` ended with {done.returncode}; see above, then ask again")
    with waiting(f"{wanted} pools"):
        found = expansion.wait_for_pools(api, wanted, timeout, lambda _seen: None)
    if json:
        print_json({"changed": changed, "pools": [asdict(p) | {"number": p.number + 1} for p in found.pools],
                    "usable_bytes": found.usable_bytes, "free_bytes": found.free_bytes})  # fmt: skip
        return
    out.print(f"{wanted} pools, {size(found.free_bytes)} free of {size(found.usable_bytes)} usable")


def rebalance(
    wait: Wait = True,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the one that runs.")] = False,
    json: Json = False,
) -> None:
    """Even out how full the pools are; asked again while it runs, it is followed."""
    from onefold_storage import expansion

    api = _api()
    if stop:
        expansion.stop_rebalance(api)
    else:
        expansion.start_rebalance(api)
    follows = wait and not stop
    steps = expansion.follow(lambda: expansion.rebalances(api), _tell) if follows else expansion.rebalances(api)
    _show(steps, json=json, nothing="the pools are even")


def drain(
    pool: Annotated[int, typer.Argument(min=1, help="The pool's number, as `onefold storage status` shows it.")],
    wait: Wait = True,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Stop draining it: what is in it stays, nothing new comes.")
    ] = False,
    json: Json = False,
) -> None:
    """Move everything out of a pool, so that its nodes can be taken away; asked again, it is followed."""
    from onefold_storage import expansion

    api = _api()
    if wait and not cancel:
        steps = expansion.drain(api, pool, _tell)
    else:
        if cancel:
            expansion.stop_drain(api, pool)
        else:
            expansion.start_drain(api, pool)
        steps = [expansion.drain_of(api, pool)]
    _show(steps, json=json, nothing="nothing to drain")
    if steps[0].state == "done" and not json:
        out.print(f"Pool {pool} is empty: take it out of the list of pools and start every node again")


def heal(json: Json = False) -> None:
    """Make whole what drives lack after nodes were away; all nodes must be there."""
    from onefold_storage.buckets import bucket_of
    from onefold_storage.healing import Healed
    from onefold_storage.healing import heal as look_through
    from onefold_storage.settings import StorageSettings

    api, bucket = _api(), bucket_of(StorageSettings())
    far = deque([Healed(0, 0, 0)], maxlen=1)
    with following(lambda: f"looking at every object of {bucket}: {_healed(far[0])}"):
        done = look_through(api, bucket, far.append)
    if json:
        print_json(asdict(done))
        return
    out.print(_healed(done))


COMMANDS: dict[str, Callable[..., None]] = {
    "plan": plan,
    "add-pool": add_pool,
    "rebalance": rebalance,
    "drain": drain,
    "heal": heal,
}


def _healed(far: Healed) -> str:
    return f"{far.seen:,} objects looked at: drives lacked a part of {far.lacking:,}, and still do of {far.left:,}"


def _tell(step: Step) -> None:
    if err.is_terminal:
        err.print(f"  {_line(step)}")


def _show(steps: list[Step], *, json: bool, nothing: str) -> None:
    if json:
        print_json({"steps": [asdict(s) | {"over": s.over} for s in steps]})
        return
    for step in steps:
        out.print(f"{_line(step)} moved")
    if not steps:
        out.print(nothing)


def _line(step: Step) -> str:
    return f"{step.what} of pool {step.pool}: {step.state}, {step.objects:,} objects, {size(step.bytes)}"


def _api() -> AdminApi:
    from onefold_storage.minio_admin import AdminApi
    from onefold_storage.settings import StorageSettings

    settings = StorageSettings()
    api = AdminApi.of(settings)
    if api is None or not settings.s3_root_user or not settings.s3_root_password:
        _refuse("pools are changed by MinIO's root user: set ONEFOLD_S3_ENDPOINT, ONEFOLD_S3_ROOT_USER and "
                "ONEFOLD_S3_ROOT_PASSWORD, with ONEFOLD_LAKE_URL at s3://…")  # fmt: skip
    assert api is not None
    return api


def _starting(folder: Path, services: list[str], told: str | None) -> list[str]:
    """The command that starts the nodes, as the person told it or as it is found; refused where there is none."""
    if told is None:
        return _engine(folder, services)
    command = shlex.split(told)
    program = command[0] if command else ""
    if not shutil.which(folder.absolute() / program if "/" in program else program):
        _refuse(f"--restart-with {shlex.quote(told)}: there is no such program; nothing was changed")
    return command


def _engine(folder: Path, services: list[str]) -> list[str]:
    """What starts the nodes: docker compose where it runs, else the local cluster of processes where that does."""
    docker = shutil.which("docker")
    if docker:
        asked = [docker, "compose", "ps", "--quiet"]
        running = subprocess.run(asked, capture_output=True, check=False, cwd=folder)  # noqa: S603 - looked up in PATH
        if running.returncode == 0 and running.stdout.strip():
            return [docker, "compose", "up", "--detach", "--wait", "--no-deps", *services]
    local = [".venv/bin/python", "-m", "infra.local"]
    if (folder / "infra" / "local").is_dir() and (folder / local[0]).exists():
        running = subprocess.run([*local, "ps"], capture_output=True, check=False, cwd=folder)  # noqa: S603 - ours
        if running.returncode == 0:
            return [*local, "up", *services]
    _refuse("neither docker compose nor a local cluster runs in this folder; say how the nodes are started again with "
            "--restart-with COMMAND, or give --folder")  # fmt: skip
    return []


def _refuse(message: str) -> None:
    from onefold_storage.errors import Conflict

    raise Conflict(message)


def _write(pool: Any, output: Path, folder: Path) -> list[Path]:
    from onefold_storage import pool_compose
    from onefold_storage.errors import Conflict

    made = pool_compose.draw(pool_compose.read_definition(pool_compose.compose_files(folder)), pool, output)
    for file in made:
        if file.exists():
            raise Conflict(f"{file}: exists already, perhaps in use; nothing was changed")
    for file, text in made.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(made)
