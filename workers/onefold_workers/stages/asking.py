"""Questions about who is who, answered from the lake; nothing is written. Answers hold personal data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from onefold_storage.as_of import as_of
from onefold_storage.decisions import Decisions, Side
from onefold_storage.errors import BadInput, NotFound
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import CONTACT_RECORDS, EDGES, EVIDENCE, LINKS
from onefold_storage.survivors import survivor
from onefold_workers import identity
from onefold_workers.identity.explaining import explain_groups, explain_pair
from onefold_workers.identity.tasks import RunTasks
from onefold_workers.stages.identity_model import KnownModel, known_model
from onefold_workers.stages.records import current_links, current_records, latest
from onefold_workers.stages.resolving import last_report

GREY = 6.0
"""Bits around the threshold within which a person's word says most."""
MOST_RECORDS = 60
"""Records of a side that are compared one by one."""
_SHOWN = 20


def explain(installation: Installation, left: str, right: str) -> dict[str, Any]:
    """Why two records, or two customers (by golden ID), are one or are not.

    `pair` explains the likeliest pair between the two, field by field; `mean` is the mean weight of all pairs between
    them, which decides (`threshold`); `decisions` are people's.

    Raises:
        NotFound: no such record or customer, or nothing was resolved yet. BadInput: the same record twice.
    """
    lake, book, known = installation.lake, Decisions(installation, ""), _known(installation.lake)
    a, b = book.side(left), book.side(right)
    if a.record and a.keys == b.keys:
        raise BadInput("explain: expected two records, found the same one twice")
    one, other = list(a.keys[:MOST_RECORDS]), list(b.keys[:MOST_RECORDS])
    records = latest(lake.scan(CONTACT_RECORDS.name).filter(pl.col("record_key").is_in([*one, *other]))).collect()
    row = {k: n for n, k in enumerate(records["record_key"])}
    pairs = sorted({(min(x, y), max(x, y)) for x in one for y in other if x != y and {x, y} <= row.keys()})
    if not pairs:
        raise NotFound("explain: there are no two records to compare; the source may have deleted them")
    places = np.array([(row[x], row[y]) for x, y in pairs])
    run = _Run.last(lake)
    found = explain_groups(records, places[:, 0], places[:, 1], known.model, run.fields)
    order = np.argsort(-found.weights, kind="stable")
    best = pairs[int(order[0])]
    said = book.standing().filter(pl.col("left_key").is_in(list(row)) & pl.col("right_key").is_in(list(row)))
    return {
        "left": _side(a),
        "right": _side(b),
        "same_customer": a.golden_id is not None and a.golden_id == b.golden_id,
        "model_version": known.model.version,
        "threshold": known.model.threshold,
        "mean": round(found.mean, 2),
        "pair": _pair(lake, records, best, known, run),
        "pairs": [
            {"left_key": pairs[i][0], "right_key": pairs[i][1], "match_weight": round(float(found.weights[i]), 2)}
            for i in order[:_SHOWN].tolist()
        ],
        "pairs_in_all": len(pairs),
        "decisions": said.sort("decided_at").to_dicts(),
    }


def review(installation: Installation, limit: int = 20) -> list[dict[str, Any]]:
    """Pairs in the grey zone around the threshold that nobody decided yet, the most informative first.

    One pair of every two customers (or within one), the nearest to the threshold; those that concern more records come
    first among equals. Each with its explanation as `explain` gives it under `pair`.

    Raises:
        NotFound: nothing was resolved yet.
    """
    lake, known = installation.lake, _known(installation.lake)
    decided = Decisions(installation, "").standing().select("left_key", "right_key").lazy()
    links = current_links(lake)
    sizes = links.group_by("golden_id").len("records")
    pairs = lake.scan(EDGES.name).with_columns(distance=(pl.col("match_weight") - known.model.threshold).abs())
    pairs = pairs.filter(pl.col("distance") <= GREY).join(decided, on=["left_key", "right_key"], how="anti")
    for side in ("left", "right"):
        own = links.rename({"record_key": f"{side}_key", "golden_id": f"{side}_id"})
        count = sizes.rename({"golden_id": f"{side}_id", "records": f"{side}_records"})
        pairs = pairs.join(own, on=f"{side}_key").join(count, on=f"{side}_id")
    customers = [
        pl.min_horizontal("left_id", "right_id").alias("_a"),
        pl.max_horizontal("left_id", "right_id").alias("_b"),
    ]
    concerned = pl.col("left_records") + pl.col("right_records")
    first = (
        pairs.with_columns(*customers, _near=pl.col("distance").round(1), _many=concerned)
        .sort(["_near", "_many", "left_key", "right_key"], descending=[False, True, False, False])
        .unique(["_a", "_b"], keep="first", maintain_order=True)
        .head(limit)
        .collect()
    )
    keys = pl.concat([first["left_key"], first["right_key"]]).unique()
    records = latest(lake.scan(CONTACT_RECORDS.name).filter(pl.col("record_key").is_in(keys.implode()))).collect()
    run = _Run.last(lake)
    return [
        {
            "left": {"record": p["left_key"], "golden_id": p["left_id"], "records": p["left_records"]},
            "right": {"record": p["right_key"], "golden_id": p["right_id"], "records": p["right_records"]},
            "same_customer": p["left_id"] == p["right_id"],
            "pair": _pair(lake, records, (p["left_key"], p["right_key"]), known, run, p),
        }
        for p in first.to_dicts()
        if {p["left_key"], p["right_key"]} <= set(records["record_key"])
    ]


def what_if(installation: Installation, threshold: float, run_tasks: RunTasks = map) -> dict[str, Any]:
    """What another threshold would change; nothing is written. Golden IDs and counts, no personal data.

    Raises:
        NotFound: nothing was resolved yet.
    """
    lake, known = installation.lake, _known(installation.lake)
    result = identity.resolve(
        current_records(lake),
        model=known.model,
        evidence=identity.obeyed(lake.scan(EVIDENCE.name).collect()),
        run_tasks=run_tasks,
        threshold=threshold,
        many=installation.workspace.settings.identity.several_keys,
    )
    both = result.clusters.join(current_links(lake).collect(), on="record_key")
    merged = (
        both.group_by("cluster").agg(pl.col("golden_id").unique().sort()).filter(pl.col("golden_id").list.len() > 1)
    )
    split = both.group_by("golden_id").agg(pl.col("cluster").n_unique().alias("parts")).filter(pl.col("parts") > 1)
    return {
        "threshold": threshold,
        "threshold_now": known.model.threshold,
        "model_version": known.model.version,
        "records": both.height,
        "customers_now": both["golden_id"].n_unique(),
        "customers_then": both["cluster"].n_unique(),
        "merges": merged.height,
        "splits": split.height,
        "merged": merged.sort(pl.col("golden_id").list.len(), descending=True)["golden_id"].head(_SHOWN).to_list(),
        "split": split.sort(["parts", "golden_id"], descending=[True, False]).head(_SHOWN).to_dicts(),
    }


def who_was_who(installation: Installation, named: list[str], at: datetime | None) -> list[dict[str, Any]]:
    """Of each record key or golden ID: the customer it belonged to at a moment, and that customer's records then.

    Raises:
        NotFound: no such golden ID was known by then.
    """
    lake = installation.lake
    links = as_of(LINKS.name, lake.scan(LINKS.name), at).select("record_key", "golden_id")
    found = []
    for name in named:
        linked = links.filter(record_key=name).collect()["golden_id"] if ":" in name else None
        golden_id = _survivor(lake, name, at) if linked is None else linked.first()
        own = links.filter(pl.col("golden_id") == (golden_id or "")).sort("record_key").collect()["record_key"]
        found.append({"named": name, "golden_id": golden_id, "records": own.to_list()})
    return found


def _survivor(lake: Lake, golden_id: str, at: datetime | None) -> str:
    try:
        return survivor(lake, golden_id, at)[0]
    except NotFound:  # what was named is not repeated: it may be anything
        raise NotFound("no customer had one of these golden IDs by then") from None


def _known(lake: Lake) -> KnownModel:
    known = known_model(lake)
    if known is None:
        raise NotFound("identity: nothing was resolved yet; `onefold integrate` does it")
    return known


@dataclass(frozen=True)
class _Run:
    """What is known of the last run: the fields it compared, and which sources know customers by their own keys."""

    fields: list[str] | None
    keys_of: frozenset[tuple[str, str]]

    @classmethod
    def last(cls, lake: Lake) -> _Run:
        report = last_report(lake) or {}
        return cls(report.get("fields"), frozenset((s, k) for s, k in report.get("own_keys", [])))


def _side(side: Side) -> dict[str, Any]:
    return {"record": side.keys[0] if side.record else None, "golden_id": side.golden_id, "records": len(side.keys)}


def _pair(
    lake: Lake,
    records: pl.DataFrame,
    keys: tuple[str, str],
    known: KnownModel,
    run: _Run,
    edge: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The explanation of a pair as JSON, with what the last run wrote about it (`recorded`)."""
    two = pl.concat([records.filter(record_key=k) for k in keys])
    if edge is None:
        low, high = sorted(keys)
        rows = lake.scan(EDGES.name).filter(left_key=low, right_key=high).collect().to_dicts()
        edge = rows[0] if rows else None
    told = asdict(explain_pair(two, known.model, run.fields, run.keys_of))
    recorded = edge and {k: edge[k] for k in ("match_weight", "probability", "rule", "model_version")}
    probability = 1.0 / (1.0 + 2.0 ** -max(min(told["total"], 60.0), -60.0))
    return {"left_key": keys[0], "right_key": keys[1], **told, "probability": probability, "recorded": recorded}
