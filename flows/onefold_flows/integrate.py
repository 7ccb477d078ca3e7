"""integrate: bronze becomes silver, records find their golden IDs, customers their golden records."""

from __future__ import annotations

from typing import Any

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact

from onefold_flows.identity_page import identity_page
from onefold_flows.progress import announce
from onefold_flows.stage import Outcome, run_stage, table
from onefold_storage.contracts import Contract
from onefold_storage.errors import QualityGate
from onefold_storage.installation import Installation
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.housing import build_households
from onefold_workers.stages.mapping import map_sources
from onefold_workers.stages.profiling import build_profiles
from onefold_workers.stages.resolving import Resolved, held_back, resolve_identities


@task(name="integrate")
def integrate_stage(retrain: bool = False, accept_changes: bool = False) -> Outcome:
    """Map, resolve, gather, build golden records: each only where its inputs have changed."""

    def body(installation: Installation, _run: str) -> Outcome:
        contracts = installation.workspace.contracts()
        announce("integrate", "step", "mapping to canonical tables")
        mapped = map_sources(installation, contracts)
        announce("integrate", "step", "resolving identities")
        resolved = _resolve(installation, contracts, retrain=retrain, accept_changes=accept_changes)
        announce("integrate", "step", "gathering by customer")
        gathered = gather(installation)
        announce("integrate", "step", "golden records and permissions")
        rebuilt = build_profiles(installation, contracts, gathered)
        build_households(installation)
        facts = {
            "mapped": mapped.added,
            "untimed": mapped.untimed,
            "records": resolved.records,
            "customers": resolved.customers,
            "orphans": gathered.orphans,
            "rebuilt": rebuilt,
            "identity": {k: resolved.report.get(k) for k in ("changes", "drift", "retraining", "mistaken_schemes")},
        }
        page = table(["table", "rows added"], [[k, v] for k, v in mapped.added.items()])
        line = f"{resolved.records:,} records are {resolved.customers:,} customers"
        line += "" if resolved.changed or rebuilt else " (unchanged)"
        for source, count in mapped.untimed.items():
            line += f"; {count:,} rows of {source} are no interactions: their time is absent or cannot be read"
        line += "".join(f"; {said}" for said in resolved.report.get("mistaken_schemes") or [])
        return Outcome(facts, line, page + identity_page(resolved.report))

    return run_stage("integrate", body)


def _resolve(installation: Installation, contracts: list[Contract], **how: bool) -> Resolved:
    """Resolve; what a stopped run would have done is shown as an artifact of its own."""
    try:
        return resolve_identities(installation, contracts, **how)
    except QualityGate:
        held = held_back(installation.lake)
        if held and runtime.flow_run.id:
            page = identity_page(held["report"], held["why"])
            create_markdown_artifact(page, key="onefold-identity-held", description="Why the run was stopped")
        raise


@flow(name="integrate")
def integrate(retrain: bool = False, accept_changes: bool = False) -> dict[str, Any]:
    """Integrate what has landed.

    `retrain` learns the identity model anew; `accept_changes` lets a run through that merges or splits more customers
    than was agreed.
    """
    return integrate_stage(retrain, accept_changes).facts
