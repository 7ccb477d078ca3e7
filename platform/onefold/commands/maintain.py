"""`onefold maintain`: what the schedule does every night, at once and without a Prefect server."""

from __future__ import annotations

from typing import Annotated

import typer

from onefold.terminal import err, out, print_json


def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    retention_hours: Annotated[
        int, typer.Option(min=0, help="Files that no newest version needs stay so long, for whoever reads them.")
    ] = 24,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write small files together, remove old ones, give logs a checkpoint. Landing goes on meanwhile."""
    from contextlib import nullcontext
    from datetime import timedelta

    from onefold_storage.installation import Installation
    from onefold_storage.maintenance import maintain as keep_up
    from onefold_storage.settings import StorageSettings

    shown = err.status("maintenance waits for the flows") if err.is_terminal else nullcontext()
    with shown as status:
        done = keep_up(
            Installation(StorageSettings()),
            retention=timedelta(hours=retention_hours),
            dry_run=dry_run,
            on_step=lambda text: status.update(text) if status else None,
        )
    if json:
        print_json(done.as_dict())
        return
    for table in done.tables:
        if not table.idle:
            did = [f"{table.compacted:,} small files into {table.into:,}"] if table.compacted else []
            did += [f"{table.removed:,} old files ({table.freed / 2**20:,.1f} MiB)"] if table.removed else []
            did += ["checkpoint"] if table.checkpoint else []
            did += ["busy: somebody is landing, its old files stay"] if table.busy else []
            out.print(f"{table.table:<32} {', '.join(did)}")
    out.print(done.line())
