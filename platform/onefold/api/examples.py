"""Examples of answers, for the OpenAPI pages; a test holds them to their shapes. These people do not exist."""

from __future__ import annotations

from typing import Any, Final

_AT = "2018-01-01T00:00:00Z"
_REASONS = [
    {
        "feature": "days_since_purchase",
        "value": "41",
        "effect": 0.62,
        "text": "41 days since the last purchase",
    }
]
_OFFER = {
    "rank": 1,
    "offer": "COFFEE",
    "score": 0.71,
    "model": "next_best_offer",
    "model_version": "2",
    "as_of": _AT,
    "reasons": _REASONS,
}

CUSTOMER: Final[dict[str, Any]] = {
    "golden_id": "g_7f3a52c09d1e4b68",
    "merged_from": None,
    "publication": "000012-5f0c2a7be913",
    "profile": {
        "given_name": "Maria",
        "family_name": "Lopez",
        "email": "maria.lopez@example.org",
        "city": "Dayton",
    },
    "emails": ["maria.lopez@example.org"],
    "phones": ["+19375550142"],
    "external_ids": [{"scheme": "loyalty_card", "value": "208"}],
    "addresses": [
        {
            "house_number": "14",
            "street": "Elm Street",
            "address_line2": None,
            "city": "Dayton",
            "region": "OH",
            "postcode": "45402",
            "country": "US",
        }
    ],
    "overridden": ["birth_date"],
    "household": {"household_id": "h_51c09d7f3a2e4b68", "members": ["g_1e4b687f3a52c09d", "g_7f3a52c09d1e4b68"]},
    "records": 3,
    "sources": ["crm_contacts", "pos_transactions", "shop_accounts"],
    "first_seen": "2017-01-03T09:12:00Z",
    "last_seen": "2017-11-21T17:40:00Z",
    "attributes": {"household_size": "3"},
    "provenance": {"email": "shop_accounts:91", "city": "crm_contacts:17"},
    "traits": {"spend_365d": 1840.22, "favourite_department": "GROCERY"},
    "currency": "USD",
    "segments": ["regulars"],
    "scores": [
        {
            "model": "churn",
            "model_version": "3",
            "score": 0.81,
            "rank": 97,
            "as_of": _AT,
            "run_id": "4c1d",
            "reasons": _REASONS,
        }
    ],
    "offers": [_OFFER],
    "consents": [
        {
            "data_use": "marketing",
            "channel": "email",
            "state": "GRANTED",
            "lawful_basis": "consent",
            "subject_kind": "email",
            "source": "newsletter",
            "effective_at": "2017-02-11T10:00:00Z",
        }
    ],
    "may_contact": [
        {
            "data_use": "marketing",
            "channel": "email",
            "allowed": True,
            "lawful_basis": "consent",
            "reason": "granted",
            "contact_points": ["maria.lopez@example.org"],
        },
        {
            "data_use": "marketing",
            "channel": "sms",
            "allowed": False,
            "lawful_basis": "consent",
            "reason": "no_consent",
            "contact_points": [],
        },
    ],
    "interactions": {"total": 512, "kept": 200},
}

FOUND: Final[dict[str, Any]] = {
    "customers": [
        {
            "golden_id": "g_7f3a52c09d1e4b68",
            "name": "Maria Lopez",
            "organisation": None,
            "city": "Dayton",
            "last_seen": "2017-11-21T17:40:00Z",
        }
    ],
    "more": False,
}

INTERACTIONS: Final[dict[str, Any]] = {
    "golden_id": "g_7f3a52c09d1e4b68",
    "total": 512,
    "interactions": [
        {
            "at": "2017-11-21T17:40:00Z",
            "kind": "purchase",
            "channel": "store",
            "item": {
                "key": "products:1082185",
                "name": "TROPICAL FRUIT",
                "category": "TROPICAL FRUIT",
                "brand": "National",
            },
            "quantity": 1.0,
            "amount": "1.38",
            "currency": "USD",
            "source": "pos_transactions",
        }
    ],
    "next_cursor": "WyIwMDAwMTIiXQ",
}

DOCUMENTS: Final[dict[str, Any]] = {
    "golden_id": "g_7f3a52c09d1e4b68",
    "total": 3,
    "documents": [
        {
            "id": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "source": "call_recordings",
            "media_type": "audio/wav",
            "at": "2017-11-21T17:40:00Z",
            "bytes": 1440044,
            "facts": {"kind": "audio", "duration_s": 90.0, "codec": "PCM"},
        }
    ],
}

RANKED: Final[dict[str, Any]] = {
    "model": "churn",
    "model_version": "3",
    "beats_baseline": True,
    "data_use": "marketing",
    "channel": "email",
    "publication": "000012-5f0c2a7be913",
    "customers": [
        {
            "rank": 4,
            "golden_id": "g_7f3a52c09d1e4b68",
            "score": 0.81,
            "as_of": _AT,
            "lawful_basis": "consent",
            "reasons": _REASONS,
            "offers": [_OFFER],
        }
    ],
    "allowed": 912,
    "suppressed": {"denied": 301, "no_consent": 1256},
    "next_cursor": None,
}


_RECEIPT_TEXT: Final = "r-5be1c9f0a7d2e634-12-0-2-9f86d081884c"

EVENTS: Final[dict[str, Any]] = {
    "one event": {"value": {"visit": "v-208-1", "at": "2018-01-01T10:00:00Z", "page": "/coffee", "seconds": 41}},
    "a batch": {
        "value": [
            {"visit": "v-208-1", "at": "2018-01-01T10:00:00Z", "page": "/coffee", "seconds": 41},
            {"visit": "v-208-2", "at": "2018-01-01T10:00:41Z", "page": "/tea", "seconds": 7},
        ]
    },
}

TAKEN: Final[dict[str, Any]] = {
    "receipt": _RECEIPT_TEXT,
    "source": "web_visits",
    "accepted": 2,
    "invalid": 0,
    "state": "acknowledged",
}

TRACKED: Final[dict[str, Any]] = {"success": True}

RECEIPT: Final[dict[str, Any]] = {
    "receipt": _RECEIPT_TEXT,
    "source": "web_visits",
    "events": 2,
    "state": "committed",
    "package_id": "web_visits-00000007-0b6f1c22a97d4e58",
    "landed": 2,
    "failed": 0,
    "suppressed": 0,
}


def answers(example: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """An example as a route's `responses`."""
    return {status: {"description": "The answer", "content": {"application/json": {"example": example}}}}
