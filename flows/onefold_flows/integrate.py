"""integrate: bronze becomes silver, records find their golden IDs, customers their golden records."""

from __future__ import annotations

from typing import Any

from prefect import flow, task

from onefold_flows.progress import announce
from onefold_flows.stage import Outcome, run_stage, table
from onefold_storage.installation import Installation
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.mapping import map_sources
from onefold_workers.stages.profiling import build_profiles
from onefold_workers.stages.resolving import resolve_identities


@task(name="integrate")
def integrate_stage(retrain: bool = False) -> Outcome:
    """Map, resolve, gather, build golden records: each only where its inputs have changed."""

    def body(installation: Installation, _run: str) -> Outcome:
        contracts = installation.workspace.contracts()
        announce("integrate", "step", "mapping to canonical tables")
        added = map_sources(installation, contracts)
        announce("integrate", "step", "resolving identities")
        resolved = resolve_identities(installation, contracts, retrain=retrain)
        announce("integrate", "step", "gathering by customer")
        gathered = gather(installation)
        announce("integrate", "step", "golden records and permissions")
        rebuilt = build_profiles(installation, contracts, gathered)
        facts = {
            "mapped": added,
            "records": resolved.records,
            "customers": resolved.customers,
            "orphans": gathered.orphans,
            "rebuilt": rebuilt,
        }
        page = table(["table", "rows added"], [[k, v] for k, v in added.items()])
        line = f"{resolved.records:,} records are {resolved.customers:,} customers"
        return Outcome(facts, line if resolved.changed or rebuilt else f"{line} (unchanged)", page)

    return run_stage("integrate", body)


@flow(name="integrate")
def integrate(retrain: bool = False) -> dict[str, Any]:
    """Integrate what has landed; `retrain` learns the identity model anew."""
    return integrate_stage(retrain).facts
