"""Data uses: what customers' data may be used for, through which channel, on what lawful basis. Descriptions only.

A person writes them in the workspace's `data_uses.yaml`; `permissions.py` carries them out:

    data_uses:
      marketing: {email: consent, sms: consent, post: legitimate_interest}
      analytics: {any: legitimate_interest}

What is not named is not allowed: a data use or channel that does not stand here has no permission at all.
"""

from __future__ import annotations

import polars as pl
from pydantic import Field, field_validator

from onefold_storage.contract_rules import LawfulBasis
from onefold_storage.declared import Declared

ANY = "any"
CONSENT = "consent"
_DEFAULT: dict[str, dict[str, LawfulBasis]] = {
    "marketing": {"email": "consent", "sms": "consent", "phone": "consent", "post": "legitimate_interest"},
    "service": {"email": "contract", "sms": "contract", "phone": "contract", "post": "contract"},
    "analytics": {"any": "legitimate_interest"},
}


class DataUses(Declared):
    """Lawful basis by data use and channel; channel `any` is use without contact, such as analysis."""

    data_uses: dict[str, dict[str, LawfulBasis]] = Field(default_factory=lambda: dict(_DEFAULT))

    @field_validator("data_uses")
    @classmethod
    def _named(cls, value: dict[str, dict[str, LawfulBasis]]) -> dict[str, dict[str, LawfulBasis]]:
        for use, channels in value.items():
            if use == ANY or not use:
                raise ValueError(f"{use!r} is no name for a data use: each has to name its purpose")
            if not channels:
                raise ValueError(f"{use}: expected at least one channel with its lawful basis")
        return value

    def frame(self) -> pl.DataFrame:
        """One row a data use and channel: data_use, channel, lawful_basis."""
        rows = [(u, c, b) for u, channels in self.data_uses.items() for c, b in channels.items()]
        columns = ("data_use", "channel", "lawful_basis")
        return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
