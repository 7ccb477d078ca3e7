"""What else a customer did: visits, clicks, calls, cases; whatever is neither a purchase nor a campaign."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from onefold_workers.feature_view import Feature, FeatureView
from onefold_workers.point_in_time import Tables

_ELSEWHERE = ("purchase", "campaign_sent", "coupon_redeemed")
_CLOSED = ("closed", "resolved", "done", "won", "lost", "cancelled", "paid", "completed")


def _compute(tables: Tables, cutoff: datetime) -> pl.LazyFrame:
    age = (pl.lit(cutoff) - pl.col("effective_at")).dt.total_seconds() / 86400
    other = (
        tables.interactions.filter(~pl.col("kind").is_in(_ELSEWHERE))
        .group_by("golden_id")
        .agg(
            contacts_28=(age <= 28).sum(),
            contacts_90=(age <= 90).sum(),
            contact_days=age.min(),
            contact_kinds=pl.col("kind").filter(age <= 90).n_unique(),
        )
    )
    closed = pl.col("closed_at").is_not_null() | pl.col("state").str.to_lowercase().str.contains_any(list(_CLOSED))
    cases = tables.cases.group_by("golden_id").agg(
        cases_open=(~closed.fill_null(False)).sum(),
        cases_90=(age <= 90).sum(),
        case_days=age.min(),
    )
    return other.join(cases, on="golden_id", how="full", coalesce=True)


def _count(name: str, doc: str, text: str, theme: str) -> Feature:
    return Feature(name, doc, text, theme, fill=0)


VIEW = FeatureView(
    name="engagement",
    version=1,
    doc="Interactions that are neither purchases nor campaigns, and cases.",
    features=(
        _count("contacts_28", "contacts in the last 28 days", "{contacts_28:contact} in 28 days", "contacts"),
        _count("contacts_90", "contacts in the last 90 days", "{contacts_90:contact} in 90 days", "contacts"),
        Feature(
            "contact_days",
            "days since the last contact",
            "last contact {contact_days:day} ago",
            "contacts",
            "no contact",
        ),
        _count(
            "contact_kinds", "kinds of contact in 90 days", "{contact_kinds:kind} of contact in 90 days", "contacts"
        ),
        _count("cases_open", "open cases", "{cases_open:case} open", "cases"),
        _count("cases_90", "cases that changed in the last 90 days", "{cases_90:case} in 90 days", "cases"),
        Feature("case_days", "days since a case last changed", "last case {case_days:day} ago", "cases", "no case"),
    ),
    compute=_compute,
)
