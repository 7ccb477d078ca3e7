"""maintain: small files become few, old ones go, logs get checkpoints. It changes nothing that the lake says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact

from onefold_flows.progress import announce
from onefold_flows.stage import table
from onefold_storage.installation import Installation
from onefold_storage.maintenance import Upkeep
from onefold_storage.maintenance import maintain as keep_up
from onefold_storage.settings import StorageSettings

_COLUMNS = ("table", "compacted", "into", "removed", "freed", "checkpoint", "busy")


@task(name="maintain")
def maintain_stage(retention_hours: int = 24) -> Upkeep:
    """Maintain the lake; it needs no cluster, and takes the lock of the flows by itself."""
    installation = Installation(StorageSettings())
    run_id, runs = str(runtime.flow_run.id or "local"), installation.ledger.runs
    announce("maintain", "began")
    runs.start(run_id, "maintain")
    try:
        done = keep_up(
            installation,
            retention=timedelta(hours=retention_hours),
            on_step=lambda text: announce("maintain", "step", text),
        )
    except BaseException as error:
        runs.finish(run_id, "maintain", "failed", {"error": type(error).__name__})
        raise
    else:
        runs.finish(run_id, "maintain", "done", done.as_dict())
    finally:
        installation.ledger.close()
    if runtime.flow_run.id:
        rows = [[t[c] for c in _COLUMNS] for t in done.as_dict()["tables"]]
        page = f"{done.line()}\n\n{table(list(_COLUMNS), rows)}"
        create_markdown_artifact(page, key="onefold-maintain", description="What maintenance came to")
    announce("maintain", "ended", done.line())
    return done


@flow(name="maintain")
def maintain(retention_hours: int = 24) -> dict[str, Any]:
    """Maintain the lake; files that no newest version needs stay for so many hours."""
    return maintain_stage(retention_hours).as_dict()
