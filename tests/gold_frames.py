"""Gold frames for tests of the publication, the API and the pages: made up, with a seed, of any size.

Loaded by path (see `tests/platform/conftest.py`): tests import each other's modules in no other way.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from onefold_storage.schema import (
    CONSENTS,
    CUSTOMERS,
    HISTORY,
    INTERACTIONS,
    ITEMS,
    LINKS,
    OFFERS,
    PERMISSIONS,
    SCORES,
    SEGMENTS,
    TRAITS,
    Table,
)
from onefold_workers.publication import GoldFrames

NOW = datetime(2018, 1, 1, tzinfo=UTC)
GIVEN = ("Anna", "Ben", "Çelik", "Dora", "Émile", "Fatima", "Georg", "Hana", "Ivo", "Jürgen")
FAMILY = ("Adler", "Brandt", "Castillo", "Dvořák", "Evans", "Fischer", "Grünwald", "Haddad", "Ivanov", "Jansen")
CITIES = ("Dayton", "Columbus", "Akron", "Toledo")
USES = (("marketing", "email"), ("marketing", "phone"), ("marketing", "post"), ("service", "email"))
CATEGORIES = ("COFFEE", "CHEESE", "FROZEN PIZZA", "SOFT DRINKS", "FLUID MILK")
RECORD = {"package_id": "p1", "row_id": 0, "deleted": False}


def frame(table: Table, columns: dict[str, Any]) -> pl.DataFrame:
    """A frame with every column of a table; those not given are null."""
    empty = pl.from_arrow(table.arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)
    made = pl.DataFrame(columns, strict=False)
    missing = [pl.lit(None).alias(n) for n in empty.columns if n not in made.columns]
    return made.with_columns(missing).select(pl.col(n).cast(t) for n, t in empty.schema.items())


def golden(n: int) -> str:
    """The golden ID of the n-th customer."""
    return f"g{n:07d}"


def gold_frames(size: int = 200, seed: int = 7, interactions: int = 12) -> GoldFrames:
    """`size` customers from two sources. Every fifth denied marketing by email; every seventh has no phone."""
    random = np.random.default_rng(seed)
    n = np.arange(size)
    numbers = pl.Series("n", n)
    ids = ("g" + numbers.cast(pl.String).str.zfill(7)).alias("golden_id")
    text = numbers.cast(pl.String)
    given = pl.Series(GIVEN).gather(n % len(GIVEN))
    family = pl.Series(FAMILY).gather((n // len(GIVEN)) % len(FAMILY))
    email = ("person" + text + "@example.org").alias("email")
    phone = pl.select(
        pl.when(numbers % 7 != 0).then("+1937" + (numbers + 5550000).cast(pl.String)).alias("phone")
    ).to_series()
    seen = pl.select(pl.lit(NOW) - pl.duration(hours=numbers * 5 % 8000)).to_series()
    base = pl.DataFrame({"golden_id": ids, "email": email, "phone": phone, "card": text})
    listed = base.select(
        emails=pl.concat_list("email"),
        phones=pl.when(pl.col("phone").is_not_null()).then(pl.concat_list("phone")).otherwise([]),
        external_ids=pl.concat_list(pl.struct(scheme=pl.lit("loyalty_card"), value="card")),
    )
    customers = frame(
        CUSTOMERS,
        {
            "golden_id": ids,
            "given_name": given,
            "family_name": family,
            "birth_date": [datetime(1970, 3, 1).date()] * size,
            "email": email,
            "phone": phone,
            "house_number": (numbers % 90 + 1).cast(pl.String),
            "street": ["Main Street"] * size,
            "city": pl.Series(CITIES).gather(n % len(CITIES)),
            "postcode": ["45402"] * size,
            "country": ["US"] * size,
            **{name: listed[name] for name in listed.columns},
            "attributes": ['{"household_size":"3","income":"50-74K"}'] * size,
            "provenance": ('{"email":"crm_contacts:' + text + '","city":"shop_accounts:' + text + '"}'),
            "records": [2] * size,
            "sources": [["crm_contacts", "pos_transactions"]] * size,
            "first_seen": [NOW - timedelta(days=364)] * size,
            "last_seen": seen,
        },
    )
    links = frame(
        LINKS,
        {
            "record_key": pl.concat(["pos_transactions:" + text, "crm_contacts:" + text]),
            "golden_id": pl.concat([ids, ids]),
            "valid_from": [NOW - timedelta(days=30)] * (2 * size),
        },
    )
    return GoldFrames(
        customers=customers,
        permissions=_permissions(base),
        links=links,
        history=frame(
            HISTORY,
            {
                "golden_id": ["old1", "old2", "gone"],
                "event": ["merged"] * 3,
                "other_id": ["old2", golden(0), "nowhere"],
                "records": [1, 1, 1],
                "happened_at": [NOW - timedelta(days=9), NOW - timedelta(days=8), NOW],
            },
        ),
        traits=_traits(ids, random),
        segments=_segments(ids),
        scores=_scores(ids, random),
        offers=_offers(ids),
        consents=_consents(base),
        items=_items(),
        interactions=_interactions(text, size, interactions, random),
    )


def _permissions(base: pl.DataFrame) -> pl.DataFrame:
    uses = pl.DataFrame(USES, schema=["data_use", "channel"], orient="row")
    number = pl.col("golden_id").str.slice(1).cast(pl.Int64)
    marketing = pl.col("data_use") == "marketing"
    denied = marketing & (pl.col("channel") == "email") & (number % 5 == 0)
    pointless = marketing & (pl.col("channel") == "phone") & pl.col("phone").is_null()
    silent = marketing & (pl.col("channel") == "phone") & (number % 2 == 0)
    reason = (
        pl.when(denied).then(pl.lit("denied"))
        .when(pointless).then(pl.lit("no_contact_point"))
        .when(silent).then(pl.lit("no_consent"))
        .otherwise(pl.lit("granted"))
    )  # fmt: skip
    made = base.join(uses, how="cross").with_columns(reason=reason, lawful_basis=pl.lit("consent"))
    made = made.with_columns(allowed=pl.col("reason") == "granted")
    allowed, channel = pl.col("allowed"), pl.col("channel")
    points = (
        pl.when(channel == "phone")
        .then(pl.concat_list("phone"))
        .when(channel == "email")
        .then(pl.concat_list("email"))
    )
    closed = ~allowed & (channel != "post")
    points = pl.when(closed).then(pl.lit([], dtype=pl.List(pl.String))).otherwise(points)
    return frame(PERMISSIONS, made.with_columns(contact_points=points).to_dict())


def _consents(base: pl.DataFrame) -> pl.DataFrame:
    denied = pl.col("golden_id").str.slice(1).cast(pl.Int64) % 5 == 0
    made = base.select(
        record_key="newsletter:" + pl.col("card"),
        source=pl.lit("newsletter"),
        effective_at=pl.lit(NOW - timedelta(days=90)),
        subject_kind=pl.lit("email"),
        subject="email",
        data_use=pl.lit("marketing"),
        channel=pl.lit("email"),
        state=pl.when(denied).then(pl.lit("DENIED")).otherwise(pl.lit("GRANTED")),
        lawful_basis=pl.lit("consent"),
    )
    return frame(CONSENTS, made.to_dict())


def _traits(ids: pl.Series, random: np.random.Generator) -> pl.DataFrame:
    spend = np.round(random.gamma(2.0, 400.0, len(ids)), 2)
    numbers = frame(
        TRAITS, {"golden_id": ids, "trait": ["spend_365d"] * len(ids), "number": spend, "as_of": [NOW] * len(ids)}
    )
    texts = frame(
        TRAITS,
        {
            "golden_id": ids,
            "trait": ["favourite_department"] * len(ids),
            "text": ["GROCERY"] * len(ids),
            "as_of": [NOW] * len(ids),
        },
    )
    return pl.concat([numbers, texts])


def _segments(ids: pl.Series) -> pl.DataFrame:
    number = ids.str.slice(1).cast(pl.Int64)
    names = pl.select(pl.when(number % 10 == 0).then(pl.lit("champions")).otherwise(pl.lit("regulars"))).to_series()
    return frame(SEGMENTS, {"golden_id": ids, "segment": names, "as_of": [NOW] * len(ids)})


def _reasons(number: pl.Expr, feature: str, text: str) -> pl.Expr:
    first = pl.struct(feature=pl.lit(feature), value=number.cast(pl.String), effect=pl.lit(0.42), text=pl.lit(text))
    second = pl.struct(
        feature=pl.lit("orders_90d"), value=pl.lit("7"), effect=pl.lit(-0.11), text=pl.lit("7 orders in 90 days")
    )
    return pl.concat_list(first, second)


def _scores(ids: pl.Series, random: np.random.Generator) -> pl.DataFrame:
    made = []
    for model, text in (("churn", "40 days since the last purchase"), ("value", "spent more than most")):
        score = random.random(len(ids)) * (1 if model == "churn" else 900)
        made.append(
            pl.DataFrame({"golden_id": ids, "score": score}).with_columns(
                model=pl.lit(model),
                model_version=pl.lit("3"),
                rank=pl.col("score").rank("ordinal", descending=True).cast(pl.Int64),
                reasons=_reasons(pl.lit(40), "days_since_purchase", text),
                as_of=pl.lit(NOW),
                run_id=pl.lit("run-1"),
            )
        )
    return frame(SCORES, pl.concat(made).to_dict())


def _offers(ids: pl.Series) -> pl.DataFrame:
    made = pl.DataFrame({"golden_id": ids}).join(
        pl.DataFrame({"offer": CATEGORIES[:3], "rank": [1, 2, 3], "score": [0.7, 0.4, 0.2]}), how="cross"
    )
    made = made.with_columns(
        model=pl.lit("next_best_offer"),
        model_version=pl.lit("2"),
        reasons=_reasons(pl.lit(3), "bought_category", "bought it 3 times this quarter"),
        as_of=pl.lit(NOW),
    )
    return frame(OFFERS, made.to_dict())


def _items() -> pl.DataFrame:
    keys = [f"products:{i}" for i in range(len(CATEGORIES))]
    names = [f"{c.title()} 12 oz" for c in CATEGORIES]
    rows = {"record_key": keys, "source": ["products"] * len(keys), "effective_at": [NOW] * len(keys)}
    return frame(
        ITEMS,
        {
            **rows,
            "kind": ["product"] * len(keys),
            "name": names,
            "category": list(CATEGORIES),
            "brand": ["National"] * len(keys),
        },
    )


def _interactions(text: pl.Series, size: int, each: int, random: np.random.Generator) -> pl.DataFrame:
    count = size * each
    who = np.repeat(np.arange(size), each)
    minutes = random.integers(0, 364 * 1440, count)
    made = pl.DataFrame({"who": who, "minutes": minutes, "item": random.integers(0, len(CATEGORIES), count)})
    made = made.with_row_index("row").select(
        record_key="pos_transactions:t" + pl.col("row").cast(pl.String),
        source=pl.lit("pos_transactions"),
        effective_at=pl.lit(NOW) - pl.duration(minutes="minutes"),
        contact_key="pos_transactions:" + pl.col("who").cast(pl.String),
        kind=pl.lit("purchase"),
        channel=pl.lit("store"),
        item_key="products:" + pl.col("item").cast(pl.String),
        quantity=pl.lit(1.0),
        amount=(pl.col("item") * 1.25 + 1.99).cast(pl.Decimal(18, 4)),
        currency=pl.lit("USD"),
    )
    return frame(INTERACTIONS, made.to_dict())


def facts() -> dict[str, Any]:
    """Facts as the publish flow gives them."""
    models = {
        "churn": ("auc", 0.876, 0.825, [0.861, 0.889]),
        "value": ("mae", 170.6, 176.5, [161.2, 180.3]),
        "next_best_offer": ("recall@10", 0.58, 0.52, [0.566, 0.594]),
    }
    sources = (
        ("pos_transactions", "Point-of-sale transactions of one year", False, "contract", 1_469_307, 0, 2.0, 24.0),
        ("crm_contacts", "Contacts of the CRM", True, "legitimate_interest", 2_184, 17, 5.0, 1.0),
    )
    return {
        "as_of": NOW.isoformat(),
        "currency": "USD",
        "sources": [
            {
                "source": name,
                "description": description,
                "generated": generated,
                "lawful_basis": basis,
                "rows": rows,
                "failed_events": failed,
                "last_landed_at": (NOW - timedelta(hours=age)).isoformat(),
                "freshness_objective_s": objective * 3600,
                "age_s": age * 3600,
                "fresh": age <= objective,
            }
            for name, description, generated, basis, rows, failed, age, objective in sources
        ],
        "models": [
            {
                "name": name,
                "version": "3",
                "metric": metric,
                "value": value,
                "baseline": baseline,
                "interval": interval,
                "beats_baseline": name != "value",
            }
            for name, (metric, value, baseline, interval) in models.items()
        ],
        "tables": [
            {"name": "bronze/pos_transactions", "rows": 1_469_307, "version": 4},
            {"name": "silver/interactions", "rows": 1_480_112, "version": 9},
            {"name": "gold/customers", "rows": 2_469, "version": 6},
        ],
        "unmanaged": [
            {"folder": "till/2016", "kind": "csv", "objects": 12, "bytes": 48_000, "newest": NOW.isoformat()}
        ],
        "landing_problem": None,
        "identity": {"records": 9_120, "customers": 2_469, "precision": 0.991, "recall": 0.978, "f1": 0.984},
    }


def without(gold: GoldFrames, **changes: Any) -> GoldFrames:
    """The same frames with some replaced."""
    return replace(gold, **changes)
