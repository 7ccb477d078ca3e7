"""The generated CRM: contacts, the organisations some work for, and deals with them; a SQL database.

The retailer sells catering, gift cards and bulk orders to organisations; its CRM also knows most holders of a
loyalty card. A contact may be there twice: the older record was never merged.
"""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np
import polars as pl

from onefold.demo.mistakes import chosen, dialled, either, lost, misdated, misspelt, nicknamed, shouted
from onefold.demo.silos import END, Silo, View, later, moments, numbered, table
from onefold.demo.surnames import SURNAMES

_KINDS = {
    "Catering": "hospitality",
    "School": "education",
    "Dental": "health",
    "Builders": "construction",
    "Law Office": "legal",
    "Church": "religious",
    "Bakery": "food",
    "Garage": "automotive",
    "Daycare": "education",
    "Fitness": "leisure",
}
_TITLES = ("Catering for a summer party", "Gift cards for staff", "Weekly fruit baskets", "Bulk order of drinks",
           "Office kitchen supplies", "Holiday hampers", "Fundraiser vouchers")  # fmt: skip
_STAGES = ("lead", "proposal", "negotiation", "won", "lost")


def _stamp(moments_: list[datetime]) -> list[str]:
    return [m.strftime("%Y-%m-%d %H:%M:%S") for m in moments_]


def crm(people: pl.DataFrame, rows: np.ndarray, again: np.ndarray, rng: np.random.Generator) -> Silo:
    """The CRM. `rows`: the people it knows; `again`: those of them it knows twice, from before."""
    accounts = _accounts(rng, 120)
    contacts, truth = _contacts(people, np.concatenate([rows, again]), len(again), accounts, rng)
    return Silo({"accounts": accounts, "contacts": contacts, "deals": _deals(rng, contacts, 400)}, truth)


def _accounts(rng: np.random.Generator, n: int) -> pl.DataFrame:
    owner, kind = rng.choice(SURNAMES[:400], n, replace=False), rng.choice(list(_KINDS), n)
    return table(
        {
            "account_id": numbered(rng, n, 700),
            "name": [f"{o} {k}" for o, k in zip(owner, kind, strict=True)],
            "industry": [_KINDS[k] for k in kind],
            "domain": [
                re.sub("[^a-z]", "", (o + k).lower()) + ".example" for o, k in zip(owner, kind, strict=True)
            ],
            "city": rng.choice(["Maple Falls", "Fox Hollow", "Stone Grove", "Mill Crossing", "Quarry Falls"], n),
            "country": ["US"] * n,
            "employees": rng.integers(2, 250, n),
            "created_at": _stamp(moments(rng, n, 1500)),
            "generated": [1] * n,
        }
    ).sort("account_id")


def _contacts(
    people: pl.DataFrame, rows: np.ndarray, again: int, accounts: pl.DataFrame, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    v = View(people, rows, rng, late=0.3)
    older = np.arange(v.n) >= v.n - again
    v.late |= older
    nothing = np.full(v.n, None)
    place = v.address()
    parts = zip(place["house_number"], place["street"], place["flat"], strict=True)
    street = np.array([f"{h} {s}" + (f" Apt {f}" if f else "") for h, s, f in parts], dtype=object)
    card = either(v.is_("holder") & chosen(rng, v.n, 0.98) & ~older, v["household"], nothing)
    at = either(chosen(rng, v.n, 0.12), rng.choice(accounts["account_id"].to_numpy(), v.n).astype(object), nothing)
    name = dict(accounts.select("account_id", "name").iter_rows())
    created = moments(rng, v.n, 1600, until=datetime(2017, 11, 30, 12))
    updated = [min(m, END) for m in later(rng, created)]
    key = numbered(rng, v.n, 10_000)
    wish = rng.random(v.n)
    contacts = table(
        {
            "contact_id": key,
            "first_name": shouted(rng, misspelt(rng, nicknamed(rng, v["given"], 0.1), 0.03), 0.02),
            "middle_initial": lost(rng, v["middle"], 0.4),
            "last_name": shouted(rng, misspelt(rng, v.aged("family", 0.02), 0.03), 0.02),
            "gender": lost(rng, v["gender"], 0.5),
            "birthdate": [d and d.isoformat() for d in misdated(rng, lost(rng, v["birth_date"], 0.25), 0.015)],
            "email": lost(rng, misspelt(rng, v.aged("email", 0.05), 0.01), 0.1),
            "mobile_phone": dialled(rng, lost(rng, v["mobile"], 0.18)),
            "home_phone": dialled(rng, lost(rng, v["landline"], 0.3)),
            "street": misspelt(rng, street, 0.03),
            "city": misspelt(rng, place["city"], 0.015),
            "state": place["state"],
            "zip": place["postcode"],
            "loyalty_card": card,
            "account_id": at,
            "company": [name.get(a) for a in at],
            "do_not_call": chosen(rng, v.n, 0.11).astype(int),
            "do_not_mail": chosen(rng, v.n, 0.06).astype(int),
            "email_opt_in": either(wish < 0.5, np.full(v.n, "Y"), either(wish < 0.65, np.full(v.n, "N"), nothing)),
            "phone_opt_in": either(rng.random(v.n) < 0.35, np.full(v.n, "Y"), nothing),
            "created_at": _stamp(created),
            "updated_at": _stamp(updated),
            "generated": [1] * v.n,
        }
    )
    return contacts.sort("contact_id"), v.truth("crm_contacts", key)


def _deals(rng: np.random.Generator, contacts: pl.DataFrame, n: int) -> pl.DataFrame:
    at_work = contacts.filter(pl.col("account_id").is_not_null())
    row = rng.integers(0, at_work.height, n)
    opened = moments(rng, n, 500, until=datetime(2017, 12, 20, 12))
    updated = later(rng, opened)
    stage = rng.choice(_STAGES, n, p=[0.12, 0.16, 0.1, 0.4, 0.22])
    done = np.isin(stage, ["won", "lost"])
    return table(
        {
            "deal_id": numbered(rng, n, 5_000),
            "contact_id": at_work["contact_id"].gather(row.tolist()),
            "account_id": at_work["account_id"].gather(row.tolist()),
            "title": rng.choice(_TITLES, n),
            "stage": stage,
            "amount": np.round(rng.lognormal(6.2, 0.9, n), 2),
            "opened_at": _stamp(opened),
            "closed_at": [m if d else None for m, d in zip(_stamp(updated), done, strict=True)],
            "updated_at": _stamp(updated),
            "generated": [1] * n,
        }
    ).sort("deal_id")
