"""Golden records and permissions: one task a partition of customers, one commit a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from onefold_storage.contracts import Contract
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.parts import Part
from onefold_storage.schema import CONSENTS, CONTACT_RECORDS, CUSTOMERS, LINKS, OVERRIDES, PERMISSIONS
from onefold_storage.settings import StorageSettings
from onefold_storage.wish_consents import consents_of
from onefold_storage.workspace import FILES, Workspace
from onefold_workers.cluster import spread
from onefold_workers.permissions import DataUses, permissions
from onefold_workers.profiles import golden_records
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.gathering import Gathered, customer_records, customer_rows
from onefold_workers.survivorship import Survivorship


@dataclass(frozen=True)
class ProfileTask:
    """What a worker needs to know to build one partition's golden records."""

    settings: StorageSettings
    gathered: Gathered
    survivorship: Survivorship
    uses: DataUses
    purposes: dict[str, tuple[str, ...]]
    undated: tuple[str, ...]


def build_profiles(installation: Installation, contracts: list[Contract], gathered: Gathered) -> bool:
    """Build golden records and permissions; False where nothing had changed."""
    lake, workspace = installation.lake, installation.workspace
    survivorship = survivorship_of(workspace, contracts)
    uses = DataUses.of(workspace.yaml("data_uses"), str(workspace.folder / FILES["data_uses"]))
    facts: dict[str, Any] = {
        "survivorship": survivorship.model_dump(mode="json"),
        "uses": uses.model_dump(mode="json"),
        "purposes": purposes_of(contracts),
        "undated": undated_of(contracts),
        "columns": [CUSTOMERS.arrow.names, PERMISSIONS.arrow.names],
    }
    tables = [LINKS.name, CONTACT_RECORDS.name, CONSENTS.name, OVERRIDES.name]
    facts["wishes"] = installation.ledger.wishes.revision()
    inputs = fingerprint(lake, tables, gathered=gathered.version, **facts)
    if lake.inputs(CUSTOMERS.name) == inputs and lake.inputs(PERMISSIONS.name) == inputs:
        return False
    task = ProfileTask(
        installation.settings, gathered, survivorship, uses, purposes_of(contracts), undated_of(contracts)
    )
    results = spread(partial(_profile, task), range(gathered.partitions))
    for name, place in ((PERMISSIONS.name, 1), (CUSTOMERS.name, 0)):
        with lake.lock(name):
            lake.commit(name, [p for r in results for p in r[place]], replace=True, inputs=inputs)
    return True


def survivorship_of(workspace: Workspace, contracts: list[Contract]) -> Survivorship:
    """The workspace's rules, with each source's trust taken from its contract where the rules name none."""
    given = workspace.yaml("survivorship")
    trust = {c.id: c.rules.trust for c in contracts}
    stated = given.get("trust")
    rules = {**given, "trust": {**trust, **stated}} if isinstance(stated, dict) else {"trust": trust, **given}
    return Survivorship.of(rules, str(workspace.folder / FILES["survivorship"]))


def purposes_of(contracts: list[Contract]) -> dict[str, tuple[str, ...]]:
    """The data uses that each source's contract names."""
    return {c.id: c.rules.data_use for c in contracts}


def undated_of(contracts: list[Contract]) -> tuple[str, ...]:
    """The sources whose contract names no time for a wish, so that one counts from its landing."""
    wishes = {c.id: [m for m in c.maps if m.table == "consents"] for c in contracts}
    return tuple(
        sorted(
            s
            for s, maps in wishes.items()
            if any(not m.effective_at and "effective_at" not in m.fields for m in maps)
        )
    )


def _profile(task: ProfileTask, partition: int) -> tuple[list[Part], list[Part]]:
    installation = Installation(task.settings)
    lake: Lake = installation.lake
    records = customer_records(lake, task.gathered.partitions, partition)
    seen = (
        customer_rows(lake, task.gathered, "interactions", partition)
        .group_by("golden_id")
        .agg(first_seen=pl.col("effective_at").min(), last_seen=pl.col("effective_at").max())
        .collect()
    )
    customers = golden_records(records, task.survivorship, seen, lake.scan(OVERRIDES.name).collect())
    live = consents_of(installation.ledger.wishes, records, installation.keyed_hash)
    landed = lake.scan(CONSENTS.name).filter(pl.col("subject").is_in(_subjects(records).implode())).collect()
    said = pl.concat([landed, live], how="diagonal")
    allowed = permissions(said, records, task.uses, task.purposes, task.undated)
    installation.ledger.close()
    return (
        lake.parts(CUSTOMERS.name, lake.frame_to_arrow(CUSTOMERS.name, customers)),
        lake.parts(PERMISSIONS.name, lake.frame_to_arrow(PERMISSIONS.name, allowed)),
    )


def _subjects(records: pl.DataFrame) -> pl.Series:
    """Values that a wish about these records can be about, whatever their kind: each once."""
    ids = pl.col("external_ids").explode().struct.field("value")
    found = [records.select(subject=c) for c in ("record_key", "email", "phone", ids)]
    return pl.concat(found).to_series().drop_nulls().unique()
