"""What must be known of all customers before one of them is written: figures for the gates, and who gets which number.

Surveys of partitions of customers add up to the survey of all: golden IDs stand in one partition each.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Survey:
    """Counts of rows.

    `repeated`: customers beyond the first of a golden ID; `stated`: cells of customer, data use and channel;
    `nameless`, `wrong`, `orphans`, `double`: scores that break a gate. `versions`: every (model, version) of the
    scores. `scored`, `members`, `offered`: customers by model, segment, and model of offers.
    """

    customers: int = 0
    repeated: int = 0
    permissions: int = 0
    allowed: int = 0
    groundless: int = 0
    stated: int = 0
    nameless: int = 0
    wrong: int = 0
    orphans: int = 0
    double: int = 0
    uses: frozenset[tuple[str, str]] = frozenset()
    reasons: frozenset[str] = frozenset()
    versions: frozenset[tuple[str, str | None]] = frozenset()
    scored: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    offered: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Survey) -> Survey:
        """Both together, where they have no customer in common."""
        both = {n: (getattr(self, n), getattr(other, n)) for n in vars(self)}
        return Survey(**{n: a | b if isinstance(a, frozenset) else a + b for n, (a, b) in both.items()})

    def models(self) -> dict[str, tuple[int, str]]:
        """Number and version by model, in order; where scores of several versions stand, the last by name."""
        newest: dict[str, str] = {}
        for model, version in self.versions:
            if model in self.scored:
                newest[model] = max(newest.get(model, ""), version or "")
        return {model: (n, newest[model]) for n, model in enumerate(sorted(newest))}

    def segments(self) -> dict[str, int]:
        """Number by segment, in order."""
        return {segment: n for n, segment in enumerate(sorted(self.members))}


def together(surveys: list[Survey]) -> Survey:
    """The survey of all partitions."""
    return reduce(add, surveys, Survey())


def survey(
    customers: pl.DataFrame,
    permissions: pl.DataFrame,
    segments: pl.DataFrame,
    scores: pl.DataFrame,
    offers: pl.DataFrame,
) -> Survey:
    """Look through gold frames; of scores and offers the model, its version and the score are needed."""
    known = customers.select("golden_id")
    cell = ["data_use", "channel"]
    allowed = pl.col("allowed").fill_null(False)
    owned = permissions.join(known, on="golden_id", how="semi")
    permitted = permissions.filter(allowed)
    every = pl.concat([f.select("golden_id", "model", "model_version", "score") for f in (scores, offers)])
    return Survey(
        customers=known.height,
        repeated=known.height - known["golden_id"].n_unique(),
        permissions=permissions.height,
        allowed=permitted.height,
        groundless=permitted.filter(pl.col("lawful_basis").fill_null("").str.strip_chars() == "").height,
        stated=owned.select("golden_id", *cell).unique().height,
        nameless=every.filter(pl.col("model_version").fill_null("").str.strip_chars() == "").height,
        wrong=every.filter(pl.col("score").is_null() | ~pl.col("score").is_finite()).height,
        orphans=every.join(known, on="golden_id", how="anti").height,
        double=scores.select(pl.struct("golden_id", "model").is_duplicated().sum()).item(),
        uses=frozenset(permissions.select(cell).unique().rows()),
        reasons=frozenset(owned.filter(~allowed)["reason"].drop_nulls().unique()),
        versions=frozenset(scores.select("model", "model_version").unique().rows()),
        scored=_by(scores, "model", known),
        members=_by(segments.select("golden_id", "segment").unique(), "segment", known),
        offered=_by(offers.select("golden_id", "model").unique(), "model", known),
    )


def _by(frame: pl.DataFrame, column: str, known: pl.DataFrame) -> Counter[str]:
    counted: Any = frame.join(known, on="golden_id", how="semi").group_by(column).len().iter_rows()
    return Counter(dict(counted))
