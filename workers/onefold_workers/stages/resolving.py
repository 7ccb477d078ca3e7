"""Contact records to golden IDs: who is who, kept stable over runs, with every merge and split recorded.

What a run comes to is worked out here, and committed by `putting_in_force.py`. The identity model is kept in the lake
and frozen: it is learned anew when a person asks, or when it is outgrown (`watching.OUTGROWN`). A run that would merge
or split more customers than was agreed changes nothing and says why.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson
import polars as pl

from onefold_storage.contracts import Contract
from onefold_storage.errors import NotFound, QualityGate
from onefold_storage.evidence import pins, standing
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import CONTACT_RECORDS, EVIDENCE, LINKS
from onefold_workers import identity
from onefold_workers.cluster import shared_folder, spread
from onefold_workers.identity import watching
from onefold_workers.identity.conflicts import own_keys
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.identity_model import KnownModel, known_model
from onefold_workers.stages.putting_in_force import HELD, REPORT, Run, as_json, moments, put_in_force
from onefold_workers.stages.records import current_links, current_records, with_aliases
from onefold_workers.stages.resolving_more import resolve_changed

QUALITY = "identity/quality.json"


@dataclass(frozen=True)
class Resolved:
    """What a resolution came to."""

    records: int
    customers: int
    changed: bool
    report: dict[str, Any]


def resolve_identities(
    installation: Installation, contracts: list[Contract], *, retrain: bool = False, accept_changes: bool = False
) -> Resolved:
    """Link the records and give each cluster its golden ID; nothing is done where nothing has changed.

    `retrain`: learn the identity model anew. `accept_changes`: however many customers that merges or splits.

    Raises:
        QualityGate: more customers would be merged or split than the workspace allows; everything stays as it was.
    """
    lake, agreed = installation.lake, installation.workspace.settings.identity
    kinds = sorted({f"{c.id}.{n}.{k}" for c in contracts for n, k in c.kinds.items()})
    facts = {"kinds": kinds, "several_keys": agreed.several_keys}
    inputs = fingerprint(lake, [CONTACT_RECORDS.name, EVIDENCE.name], **facts)
    if not retrain and lake.inputs(LINKS.name) == inputs:
        return _resolved(lake, changed=False)
    with lake.lock("identity"):
        run = _run(installation, inputs, retrain=retrain)
        why = watching.too_much(run.report["changes"], agreed.most_changed)
        if why and not accept_changes:
            lake.objects.put(HELD, as_json({"why": why, "report": run.report}))
            raise QualityGate(
                f"identity: {why}; nothing was changed. Look at `onefold identity report`, then either correct the "
                "cause or let it through with `--accept-changes`"
            )
        put_in_force(lake, run)
        measure_quality(installation)
    return _resolved(lake, changed=True)


def _run(installation: Installation, inputs: str, *, retrain: bool) -> Run:
    """What resolving comes to, and how that differs from what stands; nothing is written."""
    lake, many = installation.lake, installation.workspace.settings.identity.several_keys
    at, since = moments(lake, installation.clock.now())
    records = current_records(lake)
    evidence = lake.scan(EVIDENCE.name).collect()
    obeyed, aliases = with_aliases(lake, records, identity.obeyed(evidence))
    known = None if retrain else known_model(lake, records.height)
    result = _resolution(installation, records, known, obeyed, aliases)
    known = known or KnownModel(result.model, records.height, installation.clock.now())
    before, links = current_links(lake).collect(), lake.scan(LINKS.name).collect()
    salt = installation.keyed_hash.of("identity", "salt")
    links, history = identity.assign_golden_ids(result.clusters, links, at, salt=salt, pins=pins(evidence))
    held, own = standing(evidence), own_keys(records, many)
    report = _watched(lake, records, result, known, history, before["golden_id"].n_unique())
    threshold = known.model.threshold
    report["conflicts"] = watching.conflicts(records, result.clusters, result.edges, threshold, held, own)
    report["own_keys"] = sorted(own)
    after = links.filter(pl.col("valid_to").is_null()).select("record_key", "golden_id")
    cause = f"{'records' if report['drift'] and not report['drift']['model_changed'] else 'model'}: {known.model.version}"
    history, behind = identity.with_causes(history, before, after, result.edges, held, cause)
    return Run(at, since, inputs, records, result, known, report, links, history, behind, many, aliases)


def _resolution(
    installation: Installation, records: pl.DataFrame, known: KnownModel | None, obeyed: pl.DataFrame, aliases: str
) -> identity.Resolution:
    """The clusters of all records, from what has changed since the last run where that will do."""
    many = installation.workspace.settings.identity.several_keys
    if known:
        lake = installation.lake
        more = resolve_changed(lake, records, known.model, obeyed, last_report(lake), many, aliases)
        if more is not None:
            return more
    with shared_folder(installation.settings.root / "scratch") as folder:
        return identity.resolve(
            records,
            model=known.model if known else None,
            evidence=obeyed,
            run_tasks=spread if folder else map,
            scratch=folder,
            salt=installation.keyed_hash.of("identity", "salt"),
            many=many,
            keep=True,
        )


def held_back(lake: Lake) -> dict[str, Any] | None:
    """`why` and `report` of the run that was stopped, if the last one was."""
    found: dict[str, Any] | None = orjson.loads(lake.objects.get(HELD) or b"null")
    return found


def last_report(lake: Lake) -> dict[str, Any] | None:
    """The report of the last run that is in force; without personal data."""
    found: dict[str, Any] | None = orjson.loads(lake.objects.get(REPORT) or b"null")
    return found


def _watched(
    lake: Lake,
    records: pl.DataFrame,
    result: identity.Resolution,
    known: KnownModel,
    history: pl.DataFrame,
    before: int,
) -> dict[str, Any]:
    """The run's report: what it found, changed and left in conflict, and how that differs from the last run."""
    report = dict(result.report)
    report["single_source_share"] = watching.single_source(records, result.clusters)
    report["changes"] = watching.changes(history, before)
    report["retraining"] = watching.retraining(known.model, report["fields"], records.height, known.records)
    report["mistaken_schemes"] = watching.mistaken_schemes(records, result.clusters)
    report["drift"] = watching.drift(report, last_report(lake))
    return report


def measure_quality(installation: Installation) -> None:
    """Measure the links against the workspace's truth, where it names one; the truth decides nothing."""
    lake, workspace = installation.lake, installation.workspace
    if not workspace.settings.truth:
        lake.objects.delete(QUALITY)
        return
    path = workspace.folder / workspace.settings.truth
    if not path.is_file():
        raise NotFound(f"{path}: the file that onefold.yaml names as truth is missing")
    truth = pl.read_parquet(path).select("record_key", truth="person")
    links = current_links(lake).select("record_key", cluster="golden_id").collect()
    quality = identity.pairwise_quality(links, truth)
    lake.objects.put(QUALITY, orjson.dumps(asdict(quality)))


def _resolved(lake: Lake, *, changed: bool) -> Resolved:
    data = lake.objects.get(REPORT)
    standing = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null())
    counts = standing.select(pl.len(), pl.col("golden_id").n_unique().alias("ids")).collect()
    return Resolved(
        int(counts["len"].item()), int(counts["ids"].item()), changed, orjson.loads(data) if data else {}
    )
