"""The next resolution begins where the last one ended: what it kept, what has changed since, and when that will do.

Kept are the table `identity/marks` and the object `identity/kept.json`, which says what they were made under. They
serve while the model, people's decisions and the fields are the same and nothing was erased; else, and where much
has changed, all is resolved anew, to the same clusters.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import orjson
import polars as pl

from onefold_storage.lake import Lake
from onefold_storage.schema import EDGES, EVIDENCE, MARKS
from onefold_workers.identity import IdentityModel, Resolution
from onefold_workers.identity.incremental import Added, resolve_more
from onefold_workers.identity.keeping import Kept
from onefold_workers.identity.marking import hashed
from onefold_workers.identity.people import mixed
from onefold_workers.stages.fingerprint import fingerprint

KEPT = "identity/kept.json"
MUCH = 0.2
"""Share of changed records from which resolving everything is no slower."""


def resolve_changed(
    lake: Lake,
    records: pl.DataFrame,
    model: IdentityModel,
    evidence: pl.DataFrame,
    last: dict[str, Any] | None,
    many: tuple[str, ...],
    aliases: str = "",
) -> Resolution | None:
    """The resolution of all records, made from the last one and what has changed since; None where that will not do.

    `records`: as they stand now. `evidence`: the decisions that are obeyed. `last`: the last run's report.
    `aliases`: digest of the pairs among them that sources told.
    """
    facts = orjson.loads(lake.objects.get(KEPT) or b"null")
    if facts is None or last is None or facts["under"] != _under(lake, model, many, aliases):
        return None
    if {lake.inputs(EDGES.name), lake.inputs(MARKS.name)} != {facts["run"]}:
        return None
    table = lake.read(MARKS.name)
    if table.num_rows != facts["records"]:
        return None
    before = pl.DataFrame({"record_key": table["record_key"], "was": table["seen"]})
    now = records.select("record_key", seen=seen(records)).join(before, on="record_key", how="left")
    changed = now.filter(pl.col("was").is_null() | (pl.col("was") != pl.col("seen")))["record_key"]
    gone = before.join(now, on="record_key", how="anti")["record_key"]
    if len(changed) + len(gone) > MUCH * records.height:
        return None
    found = resolve_more(
        Kept.of(table, facts),
        lake.scan(EDGES.name).collect(),
        records.filter(pl.col("record_key").is_in(changed.implode())),
        gone,
        lambda keys: records.filter(pl.col("record_key").is_in(keys.implode())),
        model,
        evidence=evidence,
        many=many,
    )
    if found is None:
        return None
    clusters = pl.DataFrame({"record_key": found.kept.keys, "cluster": found.kept.cluster}).sort("record_key")
    return Resolution(clusters, found.edges, model, _report(last, found, len(changed), len(gone)), found.kept)


def keep(lake: Lake, records: pl.DataFrame, result: Resolution, many: tuple[str, ...], aliases: str = "") -> str:
    """Write down what the next run needs; returns the run's name, under which its edges are to be committed."""
    run = uuid.uuid4().hex
    if result.kept is None:
        lake.objects.delete(KEPT)
        return run
    frame, facts = result.kept.table()
    frame = frame.join(records.select("record_key", seen=seen(records)), on="record_key", how="left")
    lake.replace(MARKS.name, lake.frame_to_arrow(MARKS.name, frame.select(MARKS.arrow.names)), inputs=run)
    facts |= {"run": run, "records": frame.height, "under": _under(lake, result.model, many, aliases)}
    lake.objects.put(KEPT, orjson.dumps(facts))
    return run


def seen(records: pl.DataFrame) -> pl.Series:
    """A digest of where each record's row came from: another row, another digest."""
    packages = records["package_id"].fill_null("").unique().sort()
    codes = records["package_id"].fill_null("").cast(pl.Enum(packages)).to_physical().to_numpy()
    key = hashed(packages, "")[codes] if len(packages) else np.zeros(records.height, dtype=np.uint64)
    for column in ("row_id", "effective_at"):
        key = mixed(key, records[column].to_physical().cast(pl.Int64).fill_null(0).to_numpy())
    return pl.Series("seen", key.view(np.int64))


def _under(lake: Lake, model: IdentityModel, many: tuple[str, ...], aliases: str) -> str:
    said = {"aliases": aliases} if aliases else {}
    return fingerprint(lake, [EVIDENCE.name], model=model.version, many=sorted(many), **said)


def _report(last: dict[str, Any], found: Added, changed: int, gone: int) -> dict[str, Any]:
    """The last report, with what this run counted anew; the pairs of a whole run are those of the last one."""
    sizes = np.bincount(np.unique(found.kept.cluster, return_counts=True)[1])
    return last | {
        "records": len(found.kept.keys),
        "profiles": int(found.kept.lead.sum()),
        "clusters": int(sizes.sum()),
        "cluster_sizes": {int(s): int(c) for s, c in enumerate(sizes.tolist()) if c},
        "since_last_run": {
            "changed": changed,
            "gone": gone,
            "looked_at": found.looked_at,
            "pairs": found.pairs,
            "clustered_anew": found.touched,
        },
    }
