"""Quality gates: what a publication must pass before it may replace the last good one.

Each gate is a row of figures, so that a refusal says by how much; `check` raises when one is not passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from onefold_storage.errors import QualityGate
from onefold_workers.publication.survey import Survey


@dataclass(frozen=True)
class GateLimits:
    """`most_lost`: share of customers that may vanish between two publications; `most_opened`: by how much the
    share of allowed contacts may grow; `least_f1`: pairwise F1 where the truth is known.
    """

    most_lost: float = 0.2
    most_opened: float = 0.3
    least_f1: float | None = None


@dataclass(frozen=True)
class GateResult:
    """One gate: what was found, in words with figures."""

    gate: str
    passed: bool
    found: str


def check(
    found: Survey,
    facts: Mapping[str, Any],
    *,
    previous: Mapping[str, Any] | None = None,
    limits: GateLimits | None = None,
) -> list[GateResult]:
    """Run every gate; gives the results, which belong into the publication's facts.

    `previous`: the `gates` measures of the current publication (`measures`), None for the first.
    `facts["identity"]["f1"]`, where it stands, is held against `least_f1`.

    Raises:
        QualityGate: at least one gate is not passed; the message names each with its figures.
    """
    limits = limits or GateLimits()
    results = [
        *_customers(found, previous, limits),
        *_scores(found),
        *_permissions(found, previous, limits),
        *_identity(facts, limits),
    ]
    failed = [r for r in results if not r.passed]
    if failed:
        said = "; ".join(f"{r.gate}: {r.found}" for r in failed)
        raise QualityGate(f"not published, the last publication stays: {said}")
    return results


def measures(found: Survey) -> dict[str, float]:
    """Figures of a publication that the next one is held against."""
    return {"customers": found.customers, "allowed_share": found.allowed / max(found.permissions, 1)}


def as_facts(results: list[GateResult]) -> list[dict[str, Any]]:
    """Results as JSON."""
    return [asdict(r) for r in results]


def _customers(found: Survey, previous: Mapping[str, Any] | None, limits: GateLimits) -> list[GateResult]:
    there = found.customers
    results = [GateResult("customers are there", there > 0, f"{there} customers")]
    results.append(
        GateResult("golden IDs are unique", found.repeated == 0, f"{found.repeated} stand more than once")
    )
    before = int(previous["customers"]) if previous else 0
    lost = max(before - there, 0) / before if before else 0.0
    said = f"{there} customers after {before}: {lost:.1%} fewer, at most {limits.most_lost:.0%} are allowed"
    results.append(GateResult("customers did not vanish", lost <= limits.most_lost, said))
    return results


def _scores(found: Survey) -> list[GateResult]:
    versions = Counter(model for model, _ in found.versions)
    several = sorted(model for model, n in versions.items() if n > 1)
    mixed = ", ".join(several) or "none"
    return [
        GateResult("every score has a model version", found.nameless == 0, f"{found.nameless} scores have none"),
        GateResult("every score is a number", found.wrong == 0, f"{found.wrong} scores are not"),
        GateResult("every score has a customer", found.orphans == 0, f"{found.orphans} scores belong to nobody"),
        GateResult("one version a model", not several, f"models with several: {mixed}"),
        GateResult("one score a customer and model", found.double == 0, f"{found.double} scores are double"),
    ]


def _permissions(found: Survey, previous: Mapping[str, Any] | None, limits: GateLimits) -> list[GateResult]:
    uses, groundless = len(found.uses), found.groundless
    missing = (found.customers - found.repeated) * uses - found.stated
    share, before = measures(found)["allowed_share"], float(previous["allowed_share"]) if previous else None
    opened = 0.0 if before is None else share - before
    said = f"{share:.1%} of contacts are allowed, {opened:+.1%}; at most {limits.most_opened:+.0%} is"
    return [
        GateResult("permissions are stated", uses > 0, f"{uses} data uses by channel"),
        GateResult("permissions are complete", missing == 0, f"{missing} of customers by use and channel lack one"),
        GateResult("every permission names its basis", groundless == 0, f"{groundless} allow without one"),
        GateResult("permissions did not open", opened <= limits.most_opened, said),
    ]


def _identity(facts: Mapping[str, Any], limits: GateLimits) -> list[GateResult]:
    f1 = (facts.get("identity") or {}).get("f1")
    if f1 is None or limits.least_f1 is None:
        return []
    said = f"pairwise F1 {f1:.4f}, at least {limits.least_f1:.2f} is expected"
    return [GateResult("identity is good enough", f1 >= limits.least_f1, said)]
