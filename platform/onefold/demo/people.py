"""The generated people behind the silos: who they are, where they live, how they are reached.

One person holds each loyalty card of the retailer's households; others live with them, and some are not
customers yet. `population` gives one row a person, with what is true now and what was true before.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from onefold.demo.given_names import FEMALE, FEMALE_WEIGHTS, MALE, MALE_WEIGHTS
from onefold.demo.mistakes import chosen, either
from onefold.demo.places import DOMAIN_WEIGHTS, DOMAINS, STREET_TYPES, STREETS, phone_numbers, towns
from onefold.demo.surnames import SURNAME_WEIGHTS, SURNAMES

PROSPECTS = 420
_AGES = {
    "19-24": (19, 24),
    "25-34": (25, 34),
    "35-44": (35, 44),
    "45-54": (45, 54),
    "55-64": (55, 64),
    "65+": (65, 88),
}
_ADDRESS = ("house_number", "street", "flat", "city", "state", "postcode")


def population(households: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """One row a person.

    `households`: household_id, and from the retailer's demographics age, marital_status, household_comp (null
    where unknown). The result has person, household (null for prospects), role (holder, partner, child, prospect),
    names, birth_date, gender, contact points, address and, as `old_…`, what was true before.
    """
    homes = pl.concat([households, pl.DataFrame({"household_id": [None] * PROSPECTS})], how="diagonal_relaxed")
    n = homes.height
    holders = _adults(rng, homes["age"].to_list())
    surname = rng.choice(SURNAMES, n, p=SURNAME_WEIGHTS)
    known = homes["household_comp"].is_not_null().to_numpy()
    paired = homes["household_comp"].fill_null("").str.starts_with("2").to_numpy() | (~known & chosen(rng, n, 0.48))
    grown = (holders["birth_year"] < 1977) & chosen(rng, n, 0.2)
    twins = np.flatnonzero(grown)[:: max(1, int(grown.sum()) // 6)][:6]
    partner = _partners(rng, {k: v[paired] for k, v in holders.items()})
    at_child = np.sort(np.concatenate([np.flatnonzero(grown), twins]))
    child = _children(rng, {k: v[at_child] for k, v in holders.items()}, at_child)
    home = np.concatenate([np.arange(n), np.flatnonzero(paired), at_child])
    role = np.repeat(["holder", "partner", "child"], [n, int(paired.sum()), len(at_child)]).astype(object)
    one = {k: np.concatenate([holders[k], partner[k], child[k]]) for k in holders}
    family = either(
        (role == "partner") & chosen(rng, len(home), 0.15), rng.choice(SURNAMES, len(home)), surname[home]
    )
    people = pl.DataFrame(
        {
            "household": homes["household_id"].gather(home.tolist()),
            "role": np.where(np.isin(home, np.arange(n - PROSPECTS, n)), "prospect", role.astype(str)),
            "given": pl.Series(one["given"].tolist()),
            "middle": pl.Series(_initials(rng, len(home)).tolist(), dtype=pl.String),
            "family": pl.Series(family.tolist()),
            "old_family": pl.Series(_maiden(rng, one["female"]).tolist(), dtype=pl.String),
            "gender": np.where(one["female"], "f", "m"),
            "birth_date": pl.Series(_birthdays(rng, one["birth_year"], home, role), dtype=pl.Date),
        }
    )
    contact = _contact_points(rng, people, home)
    joined = pl.concat([people, contact, _addresses(rng, n)[home.tolist()]], how="horizontal")
    mixed: pl.DataFrame = joined[rng.permutation(joined.height).tolist()]
    return (
        mixed.with_row_index("i")
        .with_columns(person=pl.format("P{}", pl.col("i").cast(pl.String).str.zfill(6)))
        .drop("i")
    )


def _names(rng: np.random.Generator, female: np.ndarray) -> np.ndarray:
    n = len(female)
    return either(female, rng.choice(FEMALE, n, p=FEMALE_WEIGHTS), rng.choice(MALE, n, p=MALE_WEIGHTS))


def _adults(rng: np.random.Generator, bands: list[str | None]) -> dict[str, np.ndarray]:
    low, high = np.array([_AGES.get(b or "", (21, 78)) for b in bands]).T
    female = chosen(rng, len(bands), 0.62)
    return {"female": female, "given": _names(rng, female), "birth_year": 2017 - rng.integers(low, high + 1)}


def _partners(rng: np.random.Generator, of: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    female = np.where(chosen(rng, len(of["female"]), 0.05), of["female"], ~of["female"])
    born = np.minimum(of["birth_year"] + rng.integers(-5, 6, len(female)), 1998)
    return {"female": female, "given": _names(rng, female), "birth_year": born}


def _children(rng: np.random.Generator, of: dict[str, np.ndarray], home: np.ndarray) -> dict[str, np.ndarray]:
    """Grown-up children at home; a few carry a parent's name, and where a home appears twice they are twins."""
    female = chosen(rng, len(home), 0.5)
    born = np.minimum(of["birth_year"] + rng.integers(19, 34, len(home)), 1999)
    second = np.concatenate([[False], home[1:] == home[:-1]])
    born[second] = born[np.flatnonzero(second) - 1]
    given = _names(rng, female)
    junior = np.flatnonzero((female == of["female"]) & ~second)[:6]
    given[junior] = of["given"][junior]
    return {"female": female, "given": given, "birth_year": born}


def _birthdays(rng: np.random.Generator, year: np.ndarray, home: np.ndarray, role: np.ndarray) -> list[date]:
    day = rng.integers(0, 365, len(year))
    twin = (role == "child") & np.concatenate([[False], (home[1:] == home[:-1]) & (role[:-1] == "child")])
    day[twin] = day[np.flatnonzero(twin) - 1]
    return [date(int(y), 1, 1) + timedelta(days=int(d)) for y, d in zip(year, day, strict=True)]


def _initials(rng: np.random.Generator, n: int) -> np.ndarray:
    letters = np.array(list("ABCDEFGHJKLMNPRSTW"), dtype=object)
    return either(chosen(rng, n, 0.45), rng.choice(letters, n), np.full(n, None))


def _maiden(rng: np.random.Generator, female: np.ndarray) -> np.ndarray:
    n = len(female)
    return either(female & chosen(rng, n, 0.12), rng.choice(SURNAMES, n, p=SURNAME_WEIGHTS), np.full(n, None))


def _contact_points(rng: np.random.Generator, people: pl.DataFrame, home: np.ndarray) -> pl.DataFrame:
    n = people.height
    homes = int(home.max()) + 1
    numbers = phone_numbers(rng, n + homes)
    email = _emails(rng, people)
    first = {h: i for i, h in reversed(list(enumerate(home.tolist())))}
    shared = (people["role"] == "partner").to_numpy() & chosen(rng, n, 0.02)
    email = either(shared, email[[first[h] for h in home.tolist()]], email)
    old = either(chosen(rng, n, 0.22), _emails(rng, people, former=True), np.full(n, None))
    landline = either(chosen(rng, homes, 0.5), numbers[n:], np.full(homes, None))
    return pl.DataFrame(
        {
            "email": pl.Series(email.tolist()),
            "old_email": pl.Series(old.tolist(), dtype=pl.String),
            "mobile": pl.Series(numbers[:n].tolist()),
            "landline": pl.Series(landline[home].tolist(), dtype=pl.String),
        }
    )


def _emails(rng: np.random.Generator, people: pl.DataFrame, former: bool = False) -> np.ndarray:
    """An address for each person, all different: from the name, the year of birth, or neither; former ones too."""
    form = pl.Series(rng.choice(6, people.height, p=[0.3, 0.22, 0.16, 0.14, 0.1, 0.08]))
    given, family = (pl.col(c).str.to_lowercase().str.replace_all(r"[^a-z]", "") for c in ("given", "family"))
    year = pl.col("birth_date").dt.strftime("%y")
    odd = pl.Series(rng.choice(STREETS, people.height).tolist()).str.to_lowercase()
    local = people.with_columns(form=form, odd=odd).select(
        local=pl.when(form == 0)
        .then(given + "." + family)
        .when(form == 1)
        .then(given.str.head(1) + family)
        .when(form == 2)
        .then(given + family.str.head(1) + year)
        .when(form == 3)
        .then(given + "_" + family + year)
        .when(form == 4)
        .then(family + "." + given)
        .otherwise(pl.col("odd") + "fan" + year)
    )
    domain = pl.Series(rng.choice(DOMAINS, people.height, p=DOMAIN_WEIGHTS).tolist())
    number = local.with_columns(domain=domain, n=rng.integers(2, 99, people.height)).with_columns(
        again=pl.int_range(pl.len()).over("local", "domain")
    )
    n = pl.col("n") + 100 * (pl.col("again") + (50 if former else 0))
    numbered = pl.when((pl.col("again") > 0) | former).then(n).cast(pl.String).fill_null("")
    return number.select(pl.concat_str("local", numbered, pl.lit("@"), "domain")).to_series().to_numpy()


def _addresses(rng: np.random.Generator, n: int) -> pl.DataFrame:
    """An address for each home, and the one before for those that moved."""
    now, before = _places(rng, n), _places(rng, n)
    moved = pl.Series(chosen(rng, n, 0.14))
    old = before.select(pl.when(moved).then(pl.col(c)).alias(f"old_{c}") for c in _ADDRESS)
    return pl.concat([now, old.with_columns(moved=moved)], how="horizontal")


def _places(rng: np.random.Generator, n: int) -> pl.DataFrame:
    town = towns()
    at = rng.choice(len(town.name), n, p=town.weight)
    street = (
        rng.choice(STREETS, n) + " " + rng.choice(STREET_TYPES, n, p=[0.3, 0.22, 0.12, 0.14, 0.1, 0.06, 0.03, 0.03])
    )
    flat = either(chosen(rng, n, 0.22), rng.integers(1, 40, n).astype(str).astype(object), np.full(n, None))
    values = (rng.integers(1, 9800, n).astype(str), street, flat, town.name[at], town.state[at], town.postcode[at])
    return pl.DataFrame({c: pl.Series(v.tolist(), dtype=pl.String) for c, v in zip(_ADDRESS, values, strict=True)})
