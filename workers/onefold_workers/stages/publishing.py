"""Gold to a publication: built beside the lake, passed through the quality gates, shipped, pointed at."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onefold_storage.errors import QualityGate
from onefold_storage.installation import Installation
from onefold_storage.publications import SERVING_FORMAT, Publication, Publications
from onefold_storage.schema import (
    CONSENTS,
    CUSTOMERS,
    HOUSEHOLDS,
    ITEMS,
    LINKS,
    OFFERS,
    PERMISSIONS,
    SCORES,
    SEGMENTS,
    TRAITS,
)
from onefold_storage.status import sources, status
from onefold_storage.unmanaged import told_of
from onefold_workers.publication import check
from onefold_workers.publication.gates import as_facts, measures
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.gathering import Gathered
from onefold_workers.stages.reckoning import money_of
from onefold_workers.stages.shares import build_shares, surveyed
from onefold_workers.stages.silos import silo_report

FILE = "serving.sqlite"
_KEPT = 3
_PASSING = ("age_s", "fresh", "rows_per_day")
"""Facts of a source that pass with time alone; the API tells them as they are when it is asked."""


@dataclass(frozen=True)
class Published:
    """The publication that is current, and whether it is new."""

    publication: Publication
    changed: bool


def publish_snapshot(installation: Installation, gathered: Gathered) -> Published:
    """Build and publish; nothing is done where the inputs stand as they did.

    Raises:
        QualityGate: a gate is not passed; the last good publication stays.
    """
    lake = installation.lake
    publications = Publications(lake.objects, lambda: lake.lock("publications"))
    tables = [
        t.name
        for t in (CUSTOMERS, PERMISSIONS, LINKS, HOUSEHOLDS, TRAITS, SEGMENTS, SCORES, OFFERS, CONSENTS, ITEMS)
    ]
    facts = _facts(installation) | {"currency": money_of(installation, gathered).reckoning.currency}
    lasting = [{k: v for k, v in s.items() if k not in _PASSING} for s in facts["sources"]]
    inputs = fingerprint(
        lake,
        tables,
        gathered=gathered.version,
        models=facts["models"],
        sources=lasting,
        strays=facts["unmanaged"],
        currency=facts["currency"],
        layout=SERVING_FORMAT,
    )
    current = publications.current()
    log = installation.ledger.publications
    recorded = {entry.version for entry in log.list()}
    if current and inputs in (current.facts.get("inputs"), *current.facts.get("declined", ())):
        if current.version not in recorded:  # a run was killed after it had published
            log.record(current.version, current.built_at, "published", {"counts": current.facts.get("counts")})
        return Published(current, changed=False)
    silos = silo_report(installation, gathered)
    facts["sources"] = [s | silos.get(s["source"], {}) for s in facts["sources"]]
    found = surveyed(installation, gathered)
    try:
        gates = check(found, facts, previous=current.facts.get("measures") if current else None)
    except QualityGate as error:
        log.record(f"refused-{inputs[:12]}", installation.clock.now(), "refused", {"why": str(error)})
        raise
    facts |= {"inputs": inputs, "gates": as_facts(gates), "measures": measures(found)}
    with tempfile.TemporaryDirectory(prefix="onefold-") as folder:
        path = Path(folder) / FILE
        facts["counts"] = build_shares(installation, gathered, found, path, facts)
        made = publications.publish({FILE: path}, installation.clock.now(), facts)
    log.record(made.version, made.built_at, "published", {"counts": facts["counts"]})
    for version in publications.prune(_KEPT):
        if version in recorded:  # a ledger that was lost knows nothing of older ones
            log.mark(version, "pruned")
    return Published(made, changed=True)


def _facts(installation: Installation) -> dict[str, Any]:
    state = status(installation)
    strays, problem = told_of(installation.settings, installation.workspace.sound_contracts()[0])
    return {
        "as_of": installation.clock.now().isoformat(),
        "tables": state["tables"],
        "identity": state["identity"],
        "models": state["models"],
        "sources": sources(installation),
        "unmanaged": strays,
        "landing_problem": problem,
    }
