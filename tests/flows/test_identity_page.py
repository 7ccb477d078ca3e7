"""The identity report as a page: every figure that is watched stands on it, and a stopped run says why."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs_prefect

REPORT = {
    "records": 12,
    "clusters": 7,
    "model_version": "im-1",
    "single_source_share": 0.25,
    "pairs_by_rule": {"email": {"pairs": 5, "skipped_pairs": 2}},
    "match_weights": {"-5": 3, "10": 4},
    "cluster_sizes": {"1": 4, "2": 3},
    "conflicts": {"several_birth_dates": 1},
    "changes": {"merged": 2, "split": 0},
    "drift": {"match_weights": 0.5},
    "retraining": ["it was learned from 10 records"],
}


def test_every_figure_stands_on_the_page() -> None:
    from onefold_flows.identity_page import identity_page

    page = identity_page(REPORT)
    for said in (
        "25.0%",
        "im-1",
        "| email | 5 | 2 |",
        "| 10 | 4 |",
        "| 2 | 3 |",
        "several_birth_dates in conflict",
    ):
        assert said in page
    for said in ("customers merged | 2", "drift of match_weights | 0.5", "it was learned from 10 records"):
        assert said in page
    assert "Stopped" not in page
    assert "too many" in identity_page(REPORT, "too many")
    assert identity_page({}) == ""
