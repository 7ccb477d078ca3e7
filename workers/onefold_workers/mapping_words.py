"""Words that mapping knows: how sources write a wish, and what a row is by default. Data only, no rule."""

from __future__ import annotations

GRANTED = (
    "granted", "grant", "yes", "y", "true", "t", "1", "on", "opt-in", "optin", "opt in", "opted-in", "opted in",
    "in", "subscribed", "subscribe", "active", "accepted", "accept", "agreed", "allowed", "allow", "confirmed",
    "consented", "consent", "double opt-in", "ja", "j", "oui", "si", "sì", "sí", "sim", "tak", "evet", "kyllä", "x",
    "✓",
)  # fmt: skip
REVOKED = (
    "revoked", "revoke", "withdrawn", "withdraw", "unsubscribed", "unsubscribe", "opt-out", "optout", "opt out",
    "opted-out", "opted out", "out", "cancelled", "canceled", "removed", "cleaned", "complained", "abgemeldet",
    "widerrufen",
)  # fmt: skip
"""Every other word that is not null means DENIED: who may not be understood may not be contacted."""

KIND_OF_ROW = {"silver/interactions": "event", "silver/cases": "case", "silver/relations": "related"}
"""What the `kind` of a row is where neither the map nor the row says it."""

ANY_CHANNEL = "any"
