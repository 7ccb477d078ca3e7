"""`onefold spool`: the write-ahead log of events on this machine: what waits, and draining it without the API."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from onefold.terminal import out, print_json, waiting
from onefold_storage.errors import HeldBack

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]


@app.command()
def status(json: Json = False) -> None:
    """What waits in the log: bytes, the oldest event's age, and sources that are held until their contract fits."""
    from onefold_storage.settings import StorageSettings
    from onefold_storage.spool import Spool

    settings = StorageSettings()
    spool = Spool(settings.spool_folder)
    depth = spool.depth()
    held = {s: {"bytes": n, "message": spool.why(s).get("message")} for s, n in sorted(depth.held.items())}
    damaged = [str(p) for p in spool.damaged()]
    if json:
        facts = {"folder": str(spool.folder), "bytes": depth.bytes, "max_bytes": settings.spool_max_bytes}
        waits = {"segments": depth.segments, "oldest_seconds": depth.oldest, "held": held, "damaged": damaged}
        print_json(facts | waits)
        return
    out.print(f"{spool.folder}: {depth.bytes:,} of {settings.spool_max_bytes:,} bytes wait", highlight=False)
    if depth.segments:
        out.print(f"  {depth.segments} segment{'s' * (depth.segments != 1)}, the oldest {depth.oldest:.1f} s old")
    for source, facts in held.items():
        out.print(f"  {source}: {facts['bytes']:,} bytes are held: {escape(str(facts['message']))}")
    for path in damaged:
        out.print(f"  {path} is damaged; what was whole of it has landed")


@app.command()
def drain(json: Json = False) -> None:
    """Land what waits in logs that no process writes any more, such as those of an API that will not start again."""
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings
    from onefold_workers.stages.draining import Drainer

    outcomes: list[dict[str, Any]] = []
    installation = Installation(StorageSettings())
    drainer = Drainer(installation, report=lambda told: outcomes.append(told["sources"]))
    with waiting("events are landed"):
        drainer.step()
    drainer.close()
    held = sorted({f"{o['message']}" for told in outcomes for o in told.values() if o["status"] == "held"})
    counts = {
        name: sum(o.get(name, 0) for told in outcomes for o in told.values())
        for name in ("sent", "landed", "failed", "repeated", "suppressed")
    }
    if json:
        print_json({"segments": len(outcomes), **counts, "held": held})
    else:
        told = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n)
        out.print(f"{len(outcomes)} segment{'s' * (len(outcomes) != 1)}: {told or 'nothing waited'}")
    if held:
        raise HeldBack.after(held, counts)
