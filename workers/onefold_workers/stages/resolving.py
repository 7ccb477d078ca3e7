"""Contact records to golden IDs: who is who, kept stable over runs, with every merge and split recorded.

Order of the commits: edges, history (numbered, so that a second try adds nothing), links. Links decide.
The identity model is kept in the lake and used again until the sources or their kinds change, or a person asks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson
import polars as pl

from onefold_storage.contracts import Contract
from onefold_storage.errors import NotFound
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import CONTACT_RECORDS, EDGES, EVIDENCE, HISTORY, LINKS
from onefold_workers import identity
from onefold_workers.cluster import spread
from onefold_workers.identity import IdentityModel
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.records import current_links, current_records

MODEL = "identity/model.json"
REPORT = "identity/report.json"


QUALITY = "identity/quality.json"


@dataclass(frozen=True)
class Resolved:
    """What a resolution came to."""

    records: int
    customers: int
    changed: bool
    report: dict[str, Any]


def resolve_identities(installation: Installation, contracts: list[Contract], *, retrain: bool = False) -> Resolved:
    """Link the records and give each cluster its golden ID; nothing is done where nothing has changed."""
    lake = installation.lake
    kinds = sorted({f"{c.id}.{n}.{k}" for c in contracts for n, k in c.kinds.items()})
    inputs = fingerprint(lake, [CONTACT_RECORDS.name, EVIDENCE.name], kinds=kinds)
    if not retrain and lake.inputs(LINKS.name) == inputs:
        return _resolved(lake, changed=False)
    with lake.lock("identity"):
        records = current_records(lake)
        evidence = lake.scan(EVIDENCE.name).collect()
        model = None if retrain else _known_model(lake, kinds)
        salt = installation.keyed_hash.of("identity", "salt")
        result = identity.resolve(records, model=model, evidence=evidence, run_tasks=spread, salt=salt)
        links = lake.scan(LINKS.name).collect()
        now_links, history = identity.assign_golden_ids(
            result.clusters, links, installation.clock.now(), cause=result.model.version, salt=salt
        )
        lake.objects.put(MODEL, orjson.dumps({"kinds": kinds, "model": result.model.to_json()}))
        lake.objects.put(REPORT, orjson.dumps(result.report, option=orjson.OPT_NON_STR_KEYS))
        lake.replace(EDGES.name, lake.frame_to_arrow(EDGES.name, result.edges))
        _append_history(lake, history)
        lake.replace(LINKS.name, lake.frame_to_arrow(LINKS.name, now_links), inputs=inputs)
        measure_quality(installation)
    return _resolved(lake, changed=True)


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


def _append_history(lake: Lake, history: pl.DataFrame) -> None:
    """Add what happened, once for each version of the links that it leads to."""
    target = lake.version(LINKS.name) + 1
    with lake.lock(HISTORY.name):
        if lake.transaction(HISTORY.name, "resolve") < target and history.height:
            parts = lake.parts(HISTORY.name, lake.frame_to_arrow(HISTORY.name, history))
            lake.commit(HISTORY.name, parts, transaction=("resolve", target))


def _known_model(lake: Lake, kinds: list[str]) -> IdentityModel | None:
    data = lake.objects.get(MODEL)
    known = orjson.loads(data) if data else {}
    return IdentityModel.from_json(known["model"]) if known.get("kinds") == kinds else None


def _resolved(lake: Lake, *, changed: bool) -> Resolved:
    data = lake.objects.get(REPORT)
    standing = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null())
    counts = standing.select(pl.len(), pl.col("golden_id").n_unique().alias("ids")).collect()
    return Resolved(
        int(counts["len"].item()), int(counts["ids"].item()), changed, orjson.loads(data) if data else {}
    )
