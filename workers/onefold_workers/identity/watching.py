"""What is watched about every run: what it changed, what is in conflict, how it differs from the run before.

Counts and shares only, no personal data. A run that would merge or split more customers than was agreed says so in
`too_much`, before anything of it is in force.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from onefold_workers.identity.conflicts import sole_holders
from onefold_workers.identity.model import IdentityModel

LEAST_CHANGED = 10
"""Customers merged or split up to which no run is stopped: a share of few says nothing."""
ENOUGH = 20
"""Shared numbers from which on their share says something of a scheme."""
_PERSON = ("given_name", "family_name", "full_name", "birth_date")
OUTGROWN = 10
"""A model is learned anew where this many times the records stand that it was learned from."""
ADVISED = 2
"""From here on, new learning is advised."""


def changes(history: pl.DataFrame, before: int) -> dict[str, Any]:
    """Customers created, merged and split by a run, and the share of those `before` that it merged or split."""
    merged = history.filter(pl.col("event") == "merged")["golden_id"].unique()
    split = history.filter(pl.col("event") == "split")["golden_id"].unique()
    touched = pl.concat([merged, split]).n_unique()
    return {
        "customers_before": before,
        "created": history.filter(pl.col("event") == "created").height,
        "merged": len(merged),
        "split": len(split),
        "changed": touched,
        "share": round(touched / before, 6) if before else 0.0,
    }


def too_much(found: dict[str, Any], most: float) -> str | None:
    """Why a run is to stop, or None. `most`: the share of customers that one run may merge or split."""
    if not found["customers_before"] or found["changed"] <= LEAST_CHANGED or found["share"] <= most:
        return None
    return (
        f"{found['merged']:,} of {found['customers_before']:,} customers would be merged and {found['split']:,} split: "
        f"{found['share']:.1%}, at most {most:.0%} were agreed"
    )


def conflicts(
    records: pl.DataFrame,
    clusters: pl.DataFrame,
    edges: pl.DataFrame,
    threshold: float,
    decisions: pl.DataFrame,
    keys_of: frozenset[tuple[str, str]],
) -> dict[str, int]:
    """Customers with several birth dates, with several keys of one source; likely pairs that were kept apart; pairs
    that a person told apart and other decisions hold together.

    `records`: as `resolve` takes them. `clusters`: record_key, cluster. `decisions`: those that hold. `keys_of`: as
    `conflicts.own_keys` gives it.
    """
    codes = sole_holders(records, known=keys_of)
    known = records.select(
        "record_key",
        scheme=pl.Series(codes[:, 0]),
        value=pl.Series(codes[:, 1]),
        birth=pl.col("birth_date") if "birth_date" in records.columns else pl.lit(None),
    ).join(clusters, on="record_key")
    births = known.drop_nulls("birth").group_by("cluster").agg(pl.col("birth").n_unique())
    keys = known.filter(pl.col("scheme") >= 0).group_by("cluster", "scheme").agg(pl.col("value").n_unique())
    likely = _placed(edges.filter(pl.col("match_weight") > threshold), clusters)
    parted = _placed(decisions.filter(verdict="cannot_link"), clusters)
    return {
        "several_birth_dates": births.filter(pl.col("birth") > 1).height,
        "several_keys": keys.filter(pl.col("value") > 1)["cluster"].n_unique(),
        "likely_pairs_apart": likely.filter(pl.col("left") != pl.col("right")).height,
        "decisions_that_contradict": parted.filter(pl.col("left") == pl.col("right")).height,
    }


def mistaken_schemes(records: pl.DataFrame, clusters: pl.DataFrame) -> list[str]:
    """Schemes of external IDs under which two sources number different people, in words.

    Of the numbers by which two sources both know somebody by name or birth date, half or more are of different
    customers, though the scheme says that equal numbers are one: what else mentions them follows either at random.
    `records`: as `resolve` takes them. `clusters`: record_key, cluster.
    """
    if records.schema.get("external_ids") in (None, pl.Null):
        return []
    told = [c for c in _PERSON if c in records.columns]
    known = records.filter(pl.any_horizontal(pl.col(c).is_not_null() for c in told)) if told else records.clear()
    numbers = (
        known.select("record_key", "source", "external_ids")
        .explode("external_ids")
        .drop_nulls("external_ids")
        .unnest("external_ids")
        .join(clusters.select("record_key", "cluster"), on="record_key")
        .group_by("scheme", "value", "source")
        .agg(pl.col("cluster").first())
    )
    found = (
        numbers.join(numbers, on=["scheme", "value"], suffix="_other")
        .filter(pl.col("source") < pl.col("source_other"))
        .group_by("scheme", "source", "source_other")
        .agg(pl.len().alias("shared"), (pl.col("cluster") != pl.col("cluster_other")).sum().alias("apart"))
        .filter(pl.col("shared") >= ENOUGH, pl.col("apart") * 2 >= pl.col("shared"))
        .sort("scheme", "source", "source_other")
    )
    return [
        f"external IDs of scheme {r['scheme']}: {r['apart']:,} of {r['shared']:,} numbers that {r['source']} and "
        f"{r['source_other']} share are of different people; give each of them a scheme of its own"
        for r in found.iter_rows(named=True)
    ]


def _placed(pairs: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
    """Pairs of record keys with the cluster of each: left, right."""
    pairs = pairs.select("left_key", "right_key")
    for side in ("left", "right"):
        named = clusters.select(pl.col("record_key").alias(f"{side}_key"), pl.col("cluster").alias(side))
        pairs = pairs.join(named, on=f"{side}_key")
    return pairs


def single_source(records: pl.DataFrame, clusters: pl.DataFrame) -> float:
    """Share of customers that one source alone knows."""
    if not clusters.height:
        return 0.0
    of = records.select("record_key", "source").join(clusters, on="record_key").group_by("cluster")
    return round(float(of.agg(one=pl.col("source").n_unique() == 1)["one"].mean() or 0.0), 6)  # type: ignore[arg-type]


def drift(now: dict[str, Any], last: dict[str, Any] | None) -> dict[str, Any] | None:
    """How a run's report differs from the last one's; None where there was none.

    Distributions differ by their total variation: 0 the same, 1 nothing in common.
    """
    if not last:
        return None
    rules = {r: int(f["pairs"]) for r, f in (now.get("pairs_by_rule") or {}).items()}
    then = {r: int(f["pairs"]) for r, f in (last.get("pairs_by_rule") or {}).items()}
    return {
        "records": now["records"] - last["records"],
        "customers": now["clusters"] - last["clusters"],
        "match_weights": _apart(now.get("match_weights"), last.get("match_weights")),
        "cluster_sizes": _apart(now.get("cluster_sizes"), last.get("cluster_sizes")),
        "pairs_by_rule": _apart(rules, then),
        "single_source_share": round(now.get("single_source_share", 0) - last.get("single_source_share", 0), 6),
        "model_changed": now["model_version"] != last["model_version"],
    }


def _apart(one: dict[Any, int] | None, two: dict[Any, int] | None) -> float:
    """Total variation distance of two counted distributions."""
    a, b = ({str(k): v for k, v in (d or {}).items()} for d in (one, two))
    n, m = sum(a.values()) or 1, sum(b.values()) or 1
    return round(sum(abs(a.get(k, 0) / n - b.get(k, 0) / m) for k in a.keys() | b.keys()) / 2, 6)


def retraining(model: IdentityModel, fields: list[str], records: int, learned_from: int) -> list[str]:
    """Why learning the model anew is advised; empty where it is not.

    `fields`: those that the records have now. `learned_from`: records that it was learned from.
    """
    new = sorted(set(fields) - {f.name for f in model.fields})
    said = []
    if new:
        said.append(f"it knows only beliefs about {', '.join(new)}")
    if learned_from and records >= ADVISED * learned_from:
        said.append(f"it was learned from {learned_from:,} records, {records:,} stand now")
    return said
