"""The identity report of a run as a page of Markdown: what Prefect shows as an artifact."""

from __future__ import annotations

from typing import Any

from onefold_flows.stage import table


def identity_page(report: dict[str, Any], why: str | None = None) -> str:
    """Pairs by blocking rule, match weights, cluster sizes, conflicts, changes and drift. `why`: the run was stopped."""
    if not report:
        return ""
    rules = report.get("pairs_by_rule") or {}
    facts = sorted({f for found in rules.values() for f in found})
    weights, sizes = report.get("match_weights") or {}, report.get("cluster_sizes") or {}
    told = [
        *(["## Stopped: nothing of this is in force", f"{why}\n"] if why else []),
        "## Identity",
        table(
            ["figure", "value"],
            [
                ["records", report["records"]],
                ["customers", report["clusters"]],
                ["known to one source alone", f"{report.get('single_source_share', 0):.1%}"],
                ["identity model", report["model_version"]],
                *([f"{k} in conflict", v] for k, v in (report.get("conflicts") or {}).items()),
                *([f"customers {k}", v] for k, v in (report.get("changes") or {}).items()),
                *([f"drift of {k}", v] for k, v in (report.get("drift") or {}).items()),
                *(["retraining is advised", said] for said in report.get("retraining") or []),
                *(["a scheme is mistaken", said] for said in report.get("mistaken_schemes") or []),
            ],
        ),
        "### Pairs by blocking rule",
        table(["rule", *facts], [[rule, *(found.get(f, "") for f in facts)] for rule, found in rules.items()]),
        "### Match weights (bits)",
        table(["from", "pairs"], [[k, v] for k, v in weights.items()]),
        "### Records of a customer",
        table(["records", "customers"], [[k, v] for k, v in sizes.items()]),
    ]
    return "\n".join(told)
