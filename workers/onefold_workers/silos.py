"""The silo report: what each source knows that no other does, and how far the sources overlap.

A source knows a customer who has a contact record, an interaction or a case of it. What connecting a source added
are the customers, the fields, the interactions and the cases that would be missing without it. All figures are sums over
customers, so that each partition of customers can be counted on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from onefold_workers.survivorship import PERSON_FIELDS


@dataclass(frozen=True)
class Counted:
    """Sums by source: customers it knows, those that it alone knows, shared with each other source, and added."""

    customers: dict[str, int] = field(default_factory=dict)
    only_here: dict[str, int] = field(default_factory=dict)
    shared: dict[tuple[str, str], int] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    interactions: dict[str, int] = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)


def count(records: pl.DataFrame, interactions: pl.LazyFrame, cases: pl.LazyFrame) -> Counted:
    """Count some customers, all rows of whom are given.

    `records`: contact records as they stand, with golden_id; `interactions`, `cases`: their rows with golden_id.
    """
    told = [records.lazy(), interactions, cases]
    known = pl.concat([f.select("golden_id", "source").unique() for f in told]).unique().collect()
    alone = known.filter(pl.len().over("golden_id") == 1)
    pairs = known.join(known, on="golden_id", suffix="_other").filter(pl.col("source") != pl.col("source_other"))
    shared = pairs.group_by("source", "source_other").len()
    return Counted(
        customers=_by_source(known),
        only_here=_by_source(alone),
        shared={(a, b): n for a, b, n in shared.iter_rows()},
        fields=_fields_added(records),
        interactions=_by_source(interactions.select("source").collect()),
        cases=_by_source(cases.select("source").collect()),
    )


def report(counted: Iterable[Counted], orphans: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The report by source: customers, only_here, orphans (rows of nobody), shared and added."""
    parts = list(counted)
    sums = {
        name: _summed(getattr(part, name) for part in parts)
        for name in ("customers", "only_here", "shared", "fields", "interactions", "cases")
    }
    sources = sorted({*sums["customers"], *orphans})
    return {
        source: {
            "customers": sums["customers"].get(source, 0),
            "only_here": sums["only_here"].get(source, 0),
            "orphans": orphans.get(source, 0),
            "shared": {b: n for (a, b), n in sorted(sums["shared"].items()) if a == source},
            "added": {
                "customers": sums["only_here"].get(source, 0),
                "fields": sums["fields"].get(source, 0),
                "interactions": sums["interactions"].get(source, 0),
                "cases": sums["cases"].get(source, 0),
            },
        }
        for source in sources
    }


def _by_source(rows: pl.DataFrame) -> dict[str, int]:
    return dict(rows.group_by("source").len().iter_rows())


def _fields_added(records: pl.DataFrame) -> dict[str, int]:
    """Fields of a customer that one source alone fills."""
    alone = [
        records.filter(pl.col(name).is_not_null())
        .group_by("golden_id")
        .agg(pl.col("source").first(), sources=pl.col("source").n_unique())
        .filter(pl.col("sources") == 1)
        .select("source")
        for name in PERSON_FIELDS
    ]
    return _by_source(pl.concat(alone))


def _summed(parts: Iterable[dict[Any, int]]) -> dict[Any, int]:
    total: dict[Any, int] = {}
    for part in parts:
        for key, n in part.items():
            total[key] = total.get(key, 0) + n
    return total
