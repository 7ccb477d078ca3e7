"""How good clusters are, measured against a known truth, pair by pair but without listing the pairs."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from onefold_storage.errors import BadInput


@dataclass(frozen=True)
class Quality:
    """Pairwise precision, recall and F1, and the pairs behind them: found, true, and both."""

    precision: float
    recall: float
    f1: float
    found: int
    true: int
    both: int


def pairwise_quality(clusters: pl.DataFrame, truth: pl.DataFrame) -> Quality:
    """Compare clusters (record_key, cluster) with the truth (record_key, truth).

    Records without a known truth are left out. With no pair found precision is 1, with none to find recall is 1.

    Raises:
        BadInput: a column is missing.
    """
    for frame, column in ((clusters, "cluster"), (truth, "truth")):
        missing = {"record_key", column} - set(frame.columns)
        if missing:
            raise BadInput(
                f"pairwise quality: expected columns record_key and {column}, missing {', '.join(missing)}"
            )
    known = clusters.select("record_key", "cluster").join(
        truth.select("record_key", "truth").drop_nulls(), on="record_key"
    )
    found, true, both = (_pairs(known, by) for by in (["cluster"], ["truth"], ["cluster", "truth"]))
    precision = both / found if found else 1.0
    recall = both / true if true else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Quality(precision, recall, f1, found, true, both)


def _pairs(frame: pl.DataFrame, by: list[str]) -> int:
    counts = frame.group_by(by).len()["len"].cast(pl.Int64)
    return int((counts * (counts - 1) // 2).sum())
