"""What a resolution leaves behind: its edges as the table `identity/edges`, and its figures for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_workers.identity.blocking import Rule
from onefold_workers.identity.coding import StoredPeople
from onefold_workers.identity.comparing import CLOSE, STEPS
from onefold_workers.identity.fields import derive
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.pairing import Candidates
from onefold_workers.identity.people import Rows
from onefold_workers.identity.weighed import PAIR, PairRows
from onefold_workers.identity.weights import Bits


def edges(
    keys: pl.Series,
    first: Rows,
    place: Rows,
    found: Iterable[PairRows],
    own: Bits,
    copies: npt.NDArray[np.integer],
    model: IdentityModel,
    rules: tuple[Rule, ...],
) -> pl.DataFrame:
    """Pairs from the grey zone up with their weight and first rule; copies point to their first record."""
    names = pl.Series([*(r.name for r in rules), "component", "identical"], dtype=pl.String)
    a, b, weight, rule = _slim(found, model.threshold + CLOSE, len(rules))
    copied = np.flatnonzero((copies[place] > 1) & (first[place] != np.arange(len(place))))
    copied = copied[own[place[copied]] > model.threshold + CLOSE]
    left = np.concatenate([first[a], first[place[copied]]])
    right = np.concatenate([first[b], copied])
    order = np.argsort(left << 32 | right, kind="stable")  # rows are in the order of their keys
    bits = np.concatenate([weight, own[place[copied]]])[order]
    return pl.DataFrame(
        {
            "left_key": keys.gather(left[order]),
            "right_key": keys.gather(right[order]),
            "match_weight": bits,
            "probability": 1.0 / (1.0 + np.exp2(-np.clip(bits, -60, 60))),
            "rule": names.gather(np.append(rule, np.full(len(copied), len(names) - 1, dtype=np.uint8))[order]),
            "model_version": pl.Series([model.version]).new_from_index(0, len(bits))
            if len(bits)
            else pl.Series([], dtype=pl.String),
        }
    )


def _slim(found: Iterable[PairRows], least: float, rules: int) -> tuple[Any, Any, Bits, npt.NDArray[np.uint8]]:
    """Left, right, weight and first rule (`rules`, where none brought it) of the pairs above `least`; 17 bytes each."""
    parts = []
    for rows in found:
        kept = np.asarray(rows[rows["weight"] > least])
        lowest = kept["rules"] & (~kept["rules"] + np.uint64(1))
        rule = np.where(lowest > 0, np.log2(np.maximum(lowest, 1).astype(np.float64)), rules).astype(np.uint8)
        parts.append((kept["left"].copy(), kept["right"].copy(), kept["weight"].copy(), rule))
    none = np.zeros(0, dtype=PAIR)
    empty = (none["left"], none["right"], none["weight"], np.zeros(0, dtype=np.uint8))
    left, right, weight, rule = (np.concatenate(c) for c in zip(empty, *parts, strict=True))
    return left, right, weight, rule


def figures(
    cluster: Rows,
    stored: StoredPeople,
    candidates: Candidates,
    inner: int,
    histogram: npt.NDArray[np.int64],
    likely: int,
    expected: dict[str, float],
    model: IdentityModel,
) -> dict[str, Any]:
    """Counts and distributions, without personal data.

    `histogram`: of the candidates' match weights (`comparing.STEPS`); `inner`: pairs that were compared besides.
    """
    sizes = np.bincount(np.bincount(cluster)) if len(cluster) else np.zeros(0, dtype=np.int64)
    return {
        "records": len(cluster),
        "profiles": stored.size,
        "clusters": int(cluster.max()) + 1 if len(cluster) else 0,
        "fields": [f.name for f in derive(stored.columns)],
        "pairs": int(histogram.sum()) + inner,
        "pairs_by_rule": candidates.report,
        "expected_matches_by_rule": expected,
        "pairs_above_threshold": likely,
        "match_weights": {
            f"{lo}": int(c) for lo, c in zip(STEPS[:-1].tolist(), histogram.tolist(), strict=True) if c
        },
        "cluster_sizes": {int(s): int(c) for s, c in enumerate(sizes.tolist()) if c},
        "model_version": model.version,
    }
