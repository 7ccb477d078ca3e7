"""Golden records: one row per customer, each field from the record that wins it by the survivorship rules.

Everything is done by column: the records are sorted once per chain of rules, best first within each customer, and
the first value of each field stands. The result does not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from onefold_storage.schema import ADDRESS, CUSTOMERS
from onefold_workers.attributes import merged_attributes
from onefold_workers.cleaning import family_first
from onefold_workers.overriding import overridden
from onefold_workers.ranking import any_of, best_first, order, ranked_records
from onefold_workers.survivorship import ATTRIBUTES, EXTERNAL_IDS, PERSON_FIELDS, Group, Rules, Survivorship

_FROM = "_from:"
_PLACED = ("street", "city", "postcode")
"""A record that has any of these says where somebody is."""
_EMPTY = pl.DataFrame(schema=pl.Schema(CUSTOMERS.arrow))


def golden_records(
    records: pl.DataFrame,
    survivorship: Survivorship,
    seen: pl.DataFrame | None = None,
    overrides: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One golden record per customer, in the columns of `CUSTOMERS`.

    `records`: the latest version of each contact record, as silver has them, with `golden_id`; deleted ones are
    left out. `seen`: golden_id, first_seen, last_seen of interactions (customers without records are left out).
    `overrides`: rows of `identity/overrides`, which win over every rule.
    `full_name` is given and family name where the customer has both; else the winning full name, which gives
    given and family name where it is two words and nothing else is known of them.
    """
    ranked = ranked_records(records, survivorship)
    if not ranked.height:
        return _EMPTY
    facts = ranked.group_by("_g").agg(
        pl.col("golden_id").first(),
        pl.len().cast(pl.Int64).alias("records"),
        pl.col("source").drop_nulls().unique().sort().alias("sources"),
        pl.col("effective_at").min().alias("first_seen"),
        pl.col("effective_at").max().alias("last_seen"),
    )
    golden = facts
    for part in (
        *_winners(ranked, survivorship),
        _identifiers(ranked, survivorship),
        _addresses(ranked, survivorship),
        merged_attributes(_slim(ranked, (ATTRIBUTES,)), survivorship),
    ):
        golden = golden.join(part, on="_g", how="left")
    golden = _named(_all_points(overridden(golden, ranked, overrides, _FROM)))
    golden = golden.with_columns(_provenance())
    return _seen(golden, seen).select(pl.col(c).cast(t) for c, t in _EMPTY.schema.items()).sort("golden_id")


def _winners(ranked: pl.DataFrame, survivorship: Survivorship) -> list[pl.DataFrame]:
    """Per chain of rules one frame: `_g`, the fields it decides, and the record key each came from."""
    shared: dict[Rules, list[str]] = {}
    found = []
    for unit in survivorship.units():
        rules = unit.rules or survivorship.default
        if len(unit.fields) == 1 and not set(rules) & {"most_frequent", "longest"}:
            shared.setdefault(rules, []).append(unit.fields[0])
        else:
            found.append(_group_winner(ranked, unit, rules))
    for rules, fields in shared.items():
        found.append(_field_winners(best_first(_slim(ranked, fields), order(rules, None, tuple(fields))), fields))
    return found


def _slim(ranked: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
    return ranked.select("_g", "_tie", "_trust", "_filled", "effective_at", "record_key", *fields)


def _group_winner(ranked: pl.DataFrame, unit: Group, rules: Rules) -> pl.DataFrame:
    having = _slim(ranked, unit.fields).filter(any_of(unit.fields))
    first = best_first(having, order(rules, unit, unit.fields)).unique("_g", keep="first", maintain_order=True)
    came = (pl.when(pl.col(f).is_not_null()).then("record_key").alias(_FROM + f) for f in unit.fields)
    return first.select("_g", *unit.fields, *came)


def _field_winners(ranked: pl.DataFrame, fields: list[str]) -> pl.DataFrame:
    by_customer = ranked.group_by("_g", maintain_order=True)
    values = [pl.col(f).drop_nulls().first() for f in fields]
    came = [pl.col("record_key").filter(pl.col(f).is_not_null()).first().alias(_FROM + f) for f in fields]
    return by_customer.agg(*values, *came)


def _identifiers(ranked: pl.DataFrame, survivorship: Survivorship) -> pl.DataFrame:
    """`_g`, external_ids, and emails and phones of all records, each list in the order its rules prefer."""
    schemes = pl.col("scheme"), pl.col("value")
    by_id = (
        _slim(ranked, (EXTERNAL_IDS,))
        .filter(pl.col(EXTERNAL_IDS).list.len() > 0)
        .explode(EXTERNAL_IDS)
        .unnest(EXTERNAL_IDS)
        .drop_nulls(["scheme", "value"])
    )
    found = best_first(by_id, order(survivorship.rules_of(EXTERNAL_IDS), None, ("value",))).unique(
        ["_g", "scheme", "value"], keep="first", maintain_order=True
    )
    listed = found.group_by("_g", maintain_order=True).agg(pl.struct(*schemes).alias(EXTERNAL_IDS))
    for scheme, name in (("email", "emails"), ("phone", "phones")):
        own = _slim(ranked, (scheme,)).drop_nulls(scheme)
        points = best_first(own, order(survivorship.rules_of(scheme), None, (scheme,)))
        more = found.filter(pl.col("scheme") == scheme).select("_g", pl.col("value").alias(scheme))
        every = pl.concat([points.select("_g", scheme), more]).group_by("_g", maintain_order=True)
        listed = listed.join(
            every.agg(pl.col(scheme).unique(maintain_order=True).alias(name)), on="_g", how="full", coalesce=True
        )
    return listed


def _addresses(ranked: pl.DataFrame, survivorship: Survivorship) -> pl.DataFrame:
    """`_g` and the addresses of all records, each once, in the order that the rules of the street prefer."""
    unit = next(u for u in survivorship.units() if "street" in u.fields)
    having = _slim(ranked, tuple(dict.fromkeys((*unit.fields, *ADDRESS)))).filter(any_of(_PLACED))
    found = best_first(having, order(unit.rules or survivorship.default, unit, ADDRESS))
    every = found.select("_g", pl.struct(ADDRESS).alias("addresses")).group_by("_g", maintain_order=True)
    return every.agg(pl.col("addresses").unique(maintain_order=True))


def _all_points(golden: pl.DataFrame) -> pl.DataFrame:
    """The winning email, phone and address stand first in their lists, whatever chain or group decided them."""
    golden = golden.with_columns(
        pl.when(any_of(_PLACED))
        .then(pl.concat_list(pl.struct(ADDRESS), pl.col("addresses").fill_null([])))
        .otherwise(pl.col("addresses").fill_null([]))
        .list.unique(maintain_order=True)
        .alias("addresses")
    )
    return golden.with_columns(
        pl.when(pl.col(one).is_not_null())
        .then(pl.concat_list(pl.col(one), pl.col(many)).list.unique(maintain_order=True))
        .otherwise(pl.col(many))
        .fill_null([])
        .alias(many)
        for one, many in (("email", "emails"), ("phone", "phones"))
    ).with_columns(pl.col(EXTERNAL_IDS).fill_null([]))


def _named(golden: pl.DataFrame) -> pl.DataFrame:
    given, family, full = (pl.col(c) for c in ("given_name", "family_name", "full_name"))
    words = full.str.strip_chars().str.split(" ")
    splits = given.is_null() & family.is_null() & (words.list.len() == 2) & ~full.str.contains(",", literal=True)
    leads = family_first(full).fill_null(False)
    one, other = (words.list.get(i, null_on_oob=True) for i in (0, 1))
    joined = pl.concat_str(given, family, separator=" ")
    joined = pl.when(family_first(joined)).then(pl.concat_str(family, given, separator=" ")).otherwise(joined)
    whole = given.is_not_null() & family.is_not_null() & ~pl.col("overridden").list.contains("full_name")
    came = {c: pl.col(_FROM + c) for c in ("given_name", "family_name", "full_name")}
    return golden.with_columns(
        pl.when(splits).then(pl.when(leads).then(other).otherwise(one)).otherwise(given).alias("given_name"),
        pl.when(splits).then(pl.when(leads).then(one).otherwise(other)).otherwise(family).alias("family_name"),
        pl.when(whole).then(joined).otherwise(full).alias("full_name"),
        *(
            pl.when(splits).then(came["full_name"]).otherwise(came[c]).alias(_FROM + c)
            for c in ("given_name", "family_name")
        ),
        pl.when(whole).then(came["given_name"]).otherwise(came["full_name"]).alias(_FROM + "full_name"),
    )


def _provenance() -> pl.Expr:
    """JSON object of field to record key, fields that are null left out."""
    pieces = []
    for field in PERSON_FIELDS:
        key = pl.col(_FROM + field)
        quoted = pl.struct(key.alias("k")).struct.json_encode().str.slice(5).str.strip_suffix("}")
        pieces.append(pl.when(key.is_not_null()).then(pl.lit(f'"{field}":') + quoted))
    inner = pl.concat_str(pieces, separator=",", ignore_nulls=True)
    return (pl.lit("{") + inner + pl.lit("}")).alias("provenance")


def _seen(golden: pl.DataFrame, seen: pl.DataFrame | None) -> pl.DataFrame:
    if seen is None:
        return golden
    other = seen.group_by("golden_id").agg(
        pl.col("first_seen").min().alias("_first"), pl.col("last_seen").max().alias("_last")
    )
    return golden.join(other, on="golden_id", how="left").with_columns(
        pl.min_horizontal("first_seen", "_first").alias("first_seen"),
        pl.max_horizontal("last_seen", "_last").alias("last_seen"),
    )
