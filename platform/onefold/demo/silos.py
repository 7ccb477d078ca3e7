"""The generated silos: each a partial, mistaken and ageing view of the same people.

`Silo` holds a silo's tables as they are written, and which person each contact record is: that truth never
goes into the tables. Every table has a column that says its rows are generated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from onefold.demo.mistakes import chosen, dialled, either, lost, misdated, misspelt, nicknamed, shouted
from onefold.demo.places import STREET_WORDS

END = datetime(2017, 12, 31, 12)
"""Nothing in a silo is later than this."""


@dataclass(frozen=True)
class Silo:
    """A silo: its tables by name, and the person behind each record key of its contact records."""

    tables: dict[str, pl.DataFrame]
    truth: pl.DataFrame


class View:
    """Some people, with repetition, as columns of objects: what a silo starts from.

    `late` marks records that still say what was true before: the old address, the old email, the old surname.
    """

    def __init__(self, people: pl.DataFrame, rows: np.ndarray, rng: np.random.Generator, late: float) -> None:
        self.rng = rng
        self.n = len(rows)
        self.frame = people[rows.tolist()]
        self.late = chosen(rng, self.n, late)

    def __getitem__(self, name: str) -> np.ndarray:
        return np.array(self.frame[name].to_list(), dtype=object)

    def is_(self, role: str) -> np.ndarray:
        """Which of them have that role."""
        mask: np.ndarray = self["role"] == role
        return mask

    def aged(self, name: str, more: float = 0.0) -> np.ndarray:
        """A column as it was before, where the record is late (or, for `more` of the others, anyway)."""
        old = self["old_" + name]
        use = (self.late | chosen(self.rng, self.n, more)) & (old != np.array(None, dtype=object))
        return either(use, old, self[name])

    def address(self) -> dict[str, np.ndarray]:
        """house_number, street, flat, city, state, postcode: all old where the record is late and they moved."""
        old = self.late & self["moved"].astype(bool)
        columns = ("house_number", "street", "flat", "city", "state", "postcode")
        return {c: either(old, self["old_" + c], self[c]) for c in columns}

    def truth(self, source: str, keys: np.ndarray) -> pl.DataFrame:
        """record_key and person."""
        return pl.DataFrame({"record_key": [f"{source}:{k}" for k in keys], "person": self.frame["person"]})


def table(columns: dict[str, Any]) -> pl.DataFrame:
    """A table of columns given as arrays of objects or as lists."""
    return pl.DataFrame(
        {c: v.tolist() if isinstance(v, np.ndarray) else v for c, v in columns.items()}, strict=False
    )


def moments(rng: np.random.Generator, n: int, days: int, until: datetime = END) -> list[datetime]:
    """`n` moments of whole seconds in the `days` days before `until`."""
    seconds = rng.integers(0, days * 86_400, n)
    return [until - timedelta(seconds=int(s)) for s in seconds]


def later(rng: np.random.Generator, moment: list[datetime]) -> list[datetime]:
    """For each moment one between it and the end; half of them soon after."""
    share = rng.random(len(moment)) ** 2
    return [m + timedelta(seconds=int((END - m).total_seconds() * s)) for m, s in zip(moment, share, strict=True)]


def numbered(rng: np.random.Generator, n: int, low: int) -> np.ndarray:
    """`n` different numbers from `low`, in no order that says anything."""
    return low + rng.permutation(3 * n)[:n]


def _written(days: np.ndarray, form: str) -> list[str | None]:
    return [d and d.strftime(form) for d in days]


def shop(people: pl.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> Silo:
    """The web shop's accounts: its software is French, so are its columns; one name column, family name first."""
    v = View(people, rows, rng, late=0.35)
    given = misspelt(rng, nicknamed(rng, v["given"], 0.1), 0.03)
    family = misspelt(rng, v.aged("family", 0.02), 0.025)
    names = [f"{f}, {g}" for g, f in zip(given, family, strict=True)]
    place = v.address()
    spelt = [" ".join(STREET_WORDS.get(w, w) for w in s.split()) for s in place["street"]]
    card = either(v.is_("holder") & chosen(rng, v.n, 0.68), v["household"], np.full(v.n, None))
    card = either(v.is_("partner") & chosen(rng, v.n, 0.02), v["household"], card)
    key = np.array([f"S{k}" for k in numbered(rng, v.n, 100_000)], dtype=object)
    opened = moments(rng, v.n, 1400)
    written = table(
        {
            "no_client": key,
            "nom_complet": shouted(rng, np.array(names, dtype=object), 0.05),
            "courriel": shouted(rng, misspelt(rng, v.aged("email", 0.05), 0.01), 0.02),
            "telephone": dialled(rng, lost(rng, either(chosen(rng, v.n, 0.15), v["landline"], v["mobile"]), 0.3)),
            "numero": place["house_number"],
            "voie": misspelt(rng, np.array(spelt, dtype=object), 0.03),
            "complement": [f and f"Apt {f}" for f in lost(rng, place["flat"], 0.2)],
            "code_postal": place["postcode"],
            "ville": misspelt(rng, place["city"], 0.02),
            "etat": place["state"],
            "date_naissance": _written(misdated(rng, lost(rng, v["birth_date"], 0.4), 0.02), "%d/%m/%Y"),
            "carte_fidelite": [c and f"{c}" for c in card],
            "cree_le": _written(np.array(opened, dtype=object), "%d/%m/%Y"),
            "modifie_le": _written(np.array(later(rng, opened), dtype=object), "%d/%m/%Y"),
            "donnees_generees": ["oui"] * v.n,
        }
    )
    return Silo({"shop_accounts": written}, v.truth("shop_accounts", key))


def newsletter(people: pl.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> Silo:
    """Sign-ups with what people allow and what they like to read; some changed their mind. It knows no card."""
    v = View(people, rows, rng, late=0.2)
    phone = dialled(rng, lost(rng, v["mobile"], 0.55))
    email = v.aged("email", 0.06)
    at = moments(rng, v.n, 700)
    roll = rng.random(v.n)
    wish = either(roll < 0.13, np.full(v.n, "withdrawn"), np.where(roll < 0.2, "no", "yes").astype(object))
    sms = np.where(rng.random(v.n) < 0.55, "yes", "no").astype(object)
    place = v.address()
    key = np.array([f"{k:08x}" for k in numbered(rng, v.n, 0x5A0000)], dtype=object)
    written = table(
        {
            "signup_id": key,
            "email": email,
            "first_name": lost(rng, misspelt(rng, nicknamed(rng, v["given"], 0.12), 0.03), 0.02),
            "last_name": lost(rng, misspelt(rng, v.aged("family", 0.02), 0.03), 0.03),
            "zip": lost(rng, place["postcode"], 0.08),
            "mobile": phone,
            "email_consent": wish,
            "sms_consent": [p and s for p, s in zip(phone, sms, strict=True)],
            "topics": rng.choice(["recipes", "offers", "recipes,offers", "local", "offers,local"], v.n),
            "frequency": rng.choice(["daily", "weekly", "monthly"], v.n, p=[0.1, 0.65, 0.25]),
            "signed_up_at": [m.strftime("%Y-%m-%dT%H:%M:%SZ") for m in at],
            "updated_at": [m.strftime("%Y-%m-%dT%H:%M:%SZ") for m in later(rng, at)],
            "generated": [True] * v.n,
        }
    )
    return Silo({"newsletter": written}, v.truth("newsletter", key))


_TOPICS: dict[str, tuple[str, ...]] = {
    "delivery": ("Order arrived late", "Missing items in my order", "Wrong substitution"),
    "loyalty card": ("Points not credited", "Lost my card", "Change of address"),
    "product": ("Milk was sour", "Bread was stale", "Allergen question", "Broken eggs"),
    "coupon": ("Coupon not accepted", "Coupon expired too early"),
    "store": ("Long queue at the checkout", "Parking lot lights", "Friendly staff, thank you"),
}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def support(people: pl.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> Silo:
    """Support cases, each with the contact details its caller or writer gave."""
    v = View(people, rows, rng, late=0.25)
    by_mail = chosen(rng, v.n, 0.6)
    nothing = np.full(v.n, None)
    given, family = misspelt(rng, nicknamed(rng, v["given"], 0.15), 0.05), misspelt(rng, v.aged("family"), 0.05)
    names = np.array([f"{g} {f}" for g, f in zip(given, family, strict=True)], dtype=object)
    opened = moments(rng, v.n, 360)
    closed = either(chosen(rng, v.n, 0.85), np.array(later(rng, opened), dtype=object), nothing)
    state = either(closed != nothing, rng.choice(["closed", "closed", "refunded"], v.n), np.full(v.n, "open"))
    topic = rng.choice(list(_TOPICS), v.n)
    key = np.array([f"T-{k}" for k in numbered(rng, v.n, 20_000)], dtype=object)
    written = table(
        {
            "case_id": key,
            "opened": [_iso(m) for m in opened],
            "closed": [_iso(m) for m in closed],
            "updated": [_iso(c or o) for c, o in zip(closed, opened, strict=True)],
            "status": state,
            "channel": either(by_mail, np.full(v.n, "email"), np.full(v.n, "phone")),
            "topic": topic,
            "subject": [str(rng.choice(_TOPICS[t])) for t in topic],
            "contact_name": shouted(rng, names, 0.04),
            "contact_email": either(by_mail | chosen(rng, v.n, 0.45), v.aged("email", 0.04), nothing),
            "contact_phone": dialled(rng, either(~by_mail | chosen(rng, v.n, 0.3), v["mobile"], nothing)),
            "postcode": lost(rng, v.address()["postcode"], 0.35),
            "satisfaction": either(closed != nothing, rng.integers(1, 6, v.n).astype(object), nothing),
            "generated": [True] * v.n,
        }
    )
    return Silo({"support_cases": written}, v.truth("support_cases", key))
