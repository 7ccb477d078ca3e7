"""What an API key may be allowed to do."""

from __future__ import annotations

from typing import Final

SCOPES: Final = {
    "read:customers": "read a customer's profile, permissions and interactions",
    "read:documents": "list a customer's documents (recordings, photos, mails) and fetch them",
    "read:scores": "read ranked lists, segments and models",
    "read:sources": "read the state of sources",
    "read:metrics": "read operational metrics",
    "read:identity": "explain and review who is who",
    "write:identity": "decide who is who, and set values that sources have wrong",
    "search": "find customers by identifier or name",
    "write:consents": "record a person's consent or objection",
    "ingest": "send events",
    "admin": "everything, and what only an administrator may do",
}
INGEST = "ingest"
ONE_SOURCE = f"{INGEST}:SOURCE"
"""How the scope of one source's events is written, for people."""
USUAL = ("read:customers", "read:scores", "read:sources", "search")
"""Scopes of a key that is made without any being named."""


def lacking(scope: str) -> str:
    """What to tell whose key has no such scope, and how one that has it is made."""
    alone = f", nor `{ONE_SOURCE}` for this source alone" if scope == INGEST else ""
    made = f"onefold key create NAME --scope {scope}"
    return f"this API key has no scope `{scope}` ({SCOPES[scope]}){alone}; `{made}` makes one that has"
