"""Examples of the identity routes for the OpenAPI pages: made up, and nobody's."""

from __future__ import annotations

from typing import Any, Final

from onefold.api.examples import answers

__all__ = ["answers"]

EXPLAIN: Final[dict[str, Any]] = {
    "two records": {"value": {"left": "crm_contacts:17", "right": "shop_accounts:91"}},
    "two customers": {"value": {"left": "g_7f3a52c09d1e4b68", "right": "g_1e4b687f3a52c09d"}},
}
REVIEW: Final[dict[str, Any]] = {"ten": {"value": {"limit": 10}}}
WHAT_IF: Final[dict[str, Any]] = {"stricter": {"value": {"threshold": 4}}}
AS_OF: Final[dict[str, Any]] = {"a day": {"value": {"named": ["g_7f3a52c09d1e4b68"], "as_of": "2017-06-30"}}}
DECISIONS: Final[dict[str, Any]] = {
    "merge": {
        "value": {
            "decision": "merge",
            "named": ["g_7f3a52c09d1e4b68", "g_1e4b687f3a52c09d"],
            "reason": "told us on the phone",
        }
    },
    "unmerge": {"value": {"decision": "unmerge", "named": ["g_1e4b687f3a52c09d"], "reason": "father and son"}},
    "accept": {"value": {"decision": "accept", "named": ["crm_contacts:17", "shop_accounts:91"]}},
    "pin": {"value": {"decision": "pin", "named": ["crm_contacts:17", "g_7f3a52c09d1e4b68"]}},
}
OVERRIDES: Final[dict[str, Any]] = {
    "set": {
        "value": {
            "named": "g_7f3a52c09d1e4b68",
            "field": "birth_date",
            "value": "1980-02-03",
            "reason": "seen on a passport",
        }
    },
    "take back": {"value": {"named": "g_7f3a52c09d1e4b68", "field": "birth_date", "value": None}},
}
EXPLAINED: Final[dict[str, Any]] = {
    "left": {"record": "crm_contacts:17", "golden_id": "g_7f3a52c09d1e4b68", "records": 1},
    "right": {"record": "shop_accounts:91", "golden_id": "g_7f3a52c09d1e4b68", "records": 1},
    "same_customer": True,
    "model_version": "im-0c5d9f1e2a7b",
    "threshold": -1.0,
    "mean": 9.36,
    "pair": {
        "left_key": "crm_contacts:17",
        "right_key": "shop_accounts:91",
        "prior": -14.2,
        "fields": [
            {
                "field": "given_name",
                "left": "Bob",
                "right": "Robert",
                "level": 5,
                "said": "nickname or initial",
                "weight": 5.1,
                "frequency": 0.0,
            },
            {
                "field": "email",
                "left": "bob@example.org",
                "right": "bob@example.org",
                "level": 5,
                "said": "same",
                "weight": 17.9,
                "frequency": 1.2,
            },
        ],
        "attributes": 0.0,
        "households": -0.64,
        "total": 9.36,
        "probability": 0.9985,
        "rules": ["email"],
        "told_apart": False,
        "recorded": {
            "match_weight": 9.3581,
            "probability": 0.9985,
            "rule": "email",
            "model_version": "im-0c5d9f1e2a7b",
        },
    },
    "pairs": [{"left_key": "crm_contacts:17", "right_key": "shop_accounts:91", "match_weight": 9.36}],
    "pairs_in_all": 1,
    "decisions": [],
}
DECIDED: Final[dict[str, Any]] = {
    "decision": "merge",
    "at": "2018-01-01T05:00:00+00:00",
    "rows": 3,
    "golden_ids": ["g_7f3a52c09d1e4b68", "g_1e4b687f3a52c09d"],
}
OVERRIDDEN: Final[dict[str, Any]] = {
    **DECIDED,
    "decision": "override",
    "rows": 1,
    "golden_ids": ["g_7f3a52c09d1e4b68"],
}
