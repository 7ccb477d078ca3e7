"""land: every source's new deliveries become load packages in bronze."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import copy_context
from typing import Any

from prefect import flow, task

from onefold_flows.progress import announce
from onefold_flows.stage import Outcome, run_stage, table
from onefold_storage.contracts import Contract
from onefold_storage.errors import HeldBack
from onefold_storage.installation import Installation
from onefold_storage.packages import Package
from onefold_storage.sending import SENT
from onefold_storage.spool import Spool
from onefold_workers.stages.landing import land_sources

COUNTS = ("sent", "landed", "failed", "repeated", "suppressed")


@task(name="land")
def land_stage(sources: list[str] | None = None) -> Outcome:
    """Land the named sources, or all of the workspace's contracts. A held delivery stops no other.

    Nor does a contract that is not valid: it is among the errors, and the fact `invalid` counts such ones.
    """

    def body(installation: Installation, _run: str) -> Outcome:
        contracts, broken = installation.workspace.sound_contracts()
        if sources:
            contracts, broken = [installation.workspace.contract(s) for s in sources], []
        here = copy_context()  # what tells of rows does so from another thread
        results = land_sources(
            installation,
            contracts,
            on_done=lambda n, of: announce("land", "step", f"{n} of {of} sources"),
            on_rows=lambda text: here.run(announce, "land", "step", text),
        )
        totals = {k: sum(getattr(p, k) for r in results for p in r.packages) for k in COUNTS}
        errors = (*map(str, broken), *(e for r in results for e in (*r.errors, *_failed(r.packages))))
        packages = [_counts(p) for r in results for p in r.packages]
        page = table(["source", "origin", "status", *COUNTS], [list(p.values()) for p in packages])
        page += "".join(f"\n- held: {e}" for e in errors)
        notes = [n for r in results for n in (*_noted(r.packages), *([r.away] if r.away else []))]
        notes += _waiting(installation, contracts)
        page += "".join(f"\n- {n}" for n in notes)
        line = f"{totals['landed']:,} rows landed from {len(contracts)} source{'s' * (len(contracts) != 1)}"
        line += "".join(f", {totals[k]:,} {k}" for k in COUNTS[2:] if totals[k])
        line += "".join(f"; {n}" for n in notes)
        facts = {"packages": packages, "errors": list(errors), "notes": notes, "invalid": len(broken), **totals}
        return Outcome(facts, line, page, errors=errors)

    return run_stage("land", body)


def _failed(packages: Iterable[Package]) -> Iterator[str]:
    """A line for each package of this run that has bad rows; sent again, they are repeated and told no more."""
    return (f"{p.origin}: {p.message}" for p in packages if p.failed and p.message)


def _noted(packages: Iterable[Package]) -> Iterator[str]:
    """What is new about a delivery's columns, where no row is at fault."""
    fine = (p for p in packages if p.message and not p.failed and p.status == "committed")
    return (f"{p.origin}: {p.message}" for p in fine)


def _waiting(installation: Installation, contracts: Iterable[Contract]) -> Iterator[str]:
    """What was sent over HTTP and waits in this machine's log, which is no source's to read."""
    sent = {c.id for c in contracts if c.rules.connector in SENT}
    for source, events in Spool(installation.settings.spool_folder).events(sent).items():
        yield (
            f"{source}: {events:,} event{'s' * (events != 1)} wait in the log: a running API lands them within "
            "seconds, those of one that has ended `onefold spool drain`"
        )


def _counts(package: Package) -> dict[str, Any]:
    facts = {"source": package.source, "origin": package.origin, "status": package.status}
    return facts | {k: getattr(package, k) for k in COUNTS}


@flow(name="land")
def land(sources: list[str] | None = None) -> dict[str, Any]:
    """Land the named sources, or all; raises at the end if a delivery was held back or rows failed."""
    outcome = land_stage(sources)
    if outcome.errors:
        raise HeldBack.after(outcome.errors, outcome.facts)
    return outcome.facts
