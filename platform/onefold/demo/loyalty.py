"""The generated loyalty app: members with their card, points and wishes; a cloud application behind a REST API."""

from __future__ import annotations

import numpy as np
import polars as pl

from onefold.demo.mistakes import chosen, dialled, either, lost, misspelt, nicknamed
from onefold.demo.silos import Silo, View, later, moments, numbered, table

_TIERS = ("green", "silver", "gold")


def loyalty_app(people: pl.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> Silo:
    """Members by when they changed last. Most gave their card; the mobile number is checked when one signs up."""
    v = View(people, rows, rng, late=0.12)
    card = either(v.is_("holder") & chosen(rng, v.n, 0.93), v["household"], np.full(v.n, None))
    joined = moments(rng, v.n, 420)
    wish = rng.random(v.n)
    key = np.array([f"m-{k:06x}" for k in numbered(rng, v.n, 0x20000)], dtype=object)
    written = table(
        {
            "member_id": key,
            "first_name": misspelt(rng, nicknamed(rng, v["given"], 0.15), 0.02),
            "last_name": misspelt(rng, v.aged("family", 0.01), 0.02),
            "email": v.aged("email", 0.04),
            "mobile": dialled(rng, lost(rng, v["mobile"], 0.04)),
            "birth_year": lost(rng, np.array([d.year for d in v["birth_date"]], dtype=object), 0.5),
            "card_number": [c and f"{c}" for c in card],
            "tier": rng.choice(_TIERS, v.n, p=[0.6, 0.28, 0.12]),
            "points": rng.integers(0, 9_000, v.n),
            "email_offers": either(wish < 0.55, np.full(v.n, "on"), np.full(v.n, "off")),
            "joined_at": [m.strftime("%Y-%m-%dT%H:%M:%SZ") for m in joined],
            "updated_at": [m.strftime("%Y-%m-%dT%H:%M:%SZ") for m in later(rng, joined)],
            "generated": [True] * v.n,
        }
    )
    return Silo({"loyalty_app": written.sort("updated_at", "member_id")}, v.truth("loyalty_app", key))
