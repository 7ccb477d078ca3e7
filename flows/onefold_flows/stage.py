"""The frame around every stage: it opens the installation and the cluster, keeps the run in the ledger, shows the
result as an artifact and announces progress. The stage itself says only what is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prefect import runtime
from prefect.artifacts import create_markdown_artifact

from onefold_flows.progress import announce
from onefold_storage.installation import FLOW, Installation
from onefold_storage.registry import register
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import cluster


@dataclass(frozen=True)
class Outcome:
    """What a stage came to: facts for machines (no personal data), a line for people, a page for the artifact."""

    facts: dict[str, Any]
    line: str
    page: str = ""
    status: str = "done"
    errors: tuple[str, ...] = field(default=())


Body = Callable[[Installation, str], Outcome]


def run_stage(name: str, body: Body) -> Outcome:
    """Run one stage's body: `body(installation, run_id)`; one stage at a time works on a lake."""
    installation = Installation(StorageSettings())
    run_id = str(runtime.flow_run.id or "local")
    runs = installation.ledger.runs
    announce(name, "began")
    runs.start(run_id, name)
    try:
        register(installation.lake, installation.workspace, installation.clock)
        installation.law.copy()
        with installation.lake.lock(FLOW), cluster():
            outcome = body(installation, run_id)
    except BaseException as error:
        runs.finish(run_id, name, "failed", {"error": type(error).__name__})
        raise
    else:
        runs.finish(run_id, name, outcome.status, outcome.facts)
    finally:
        installation.ledger.close()
    if runtime.flow_run.id:
        page = outcome.page or f"{outcome.line}\n"
        create_markdown_artifact(page, key=f"onefold-{name}", description=f"What the stage {name} came to")
    announce(name, "ended", outcome.line)
    return outcome


def table(headers: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    lines += ["| " + " | ".join(str(v) for v in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
