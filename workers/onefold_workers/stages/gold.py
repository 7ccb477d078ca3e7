"""What gold, the links and silver hold of one partition of customers, read on a worker."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from onefold_storage.lake import Lake
from onefold_storage.schema import (
    CONSENTS,
    CUSTOMERS,
    HOUSEHOLDS,
    ITEMS,
    OFFERS,
    PERMISSIONS,
    SCORES,
    SEGMENTS,
    TRAITS,
    Table,
)
from onefold_workers.publication import GoldFrames, Survey, survey
from onefold_workers.publication.frames import identifiers
from onefold_workers.stages.gathering import Gathered, customer_rows, partition_of
from onefold_workers.stages.records import current_links, latest


def customer_survey(lake: Lake, gathered: Gathered, partition: int) -> Survey:
    """The survey of one partition."""
    cell = ("golden_id", "data_use", "channel", "allowed", "lawful_basis", "reason")
    scored = ("golden_id", "model", "model_version", "score")
    wanted = (
        (CUSTOMERS, ("golden_id",)),
        (PERMISSIONS, cell),
        (SEGMENTS, ("golden_id", "segment")),
        (SCORES, scored),
        (OFFERS, scored),
    )
    return survey(*(_own(lake, gathered, partition, table).select(columns).collect() for table, columns in wanted))


def customer_gold(lake: Lake, gathered: Gathered, partition: int) -> GoldFrames:
    """All of one partition that a publication tells; the history of merges is of no partition, and empty here."""
    customers, permissions, traits, segments, scores, offers = (
        _own(lake, gathered, partition, table).collect()
        for table in (CUSTOMERS, PERMISSIONS, TRAITS, SEGMENTS, SCORES, OFFERS)
    )
    mine = _mine(gathered, partition)
    interactions = customer_rows(lake, gathered, "interactions", partition)
    bought = interactions.select(pl.col("item_key").drop_nulls().unique()).collect()["item_key"]
    living = lake.scan(HOUSEHOLDS.name).filter(pl.col("valid_to").is_null())
    homes = living.filter(mine).select(pl.col("household_id").unique()).collect()["household_id"]
    gold = GoldFrames(
        customers=customers,
        permissions=permissions,
        links=current_links(lake).filter(mine).with_columns(valid_from=None, valid_to=None).collect(),
        traits=traits,
        segments=segments,
        scores=scores,
        offers=offers,
        households=living.filter(pl.col("household_id").is_in(homes.implode())).collect(),
        items=latest(lake.scan(ITEMS.name).filter(pl.col("record_key").is_in(bought.implode()))).collect(),
        interactions=interactions,
    )
    return replace(gold, consents=_consents(lake, gold))


def _own(lake: Lake, gathered: Gathered, partition: int, table: Table) -> pl.LazyFrame:
    return lake.scan(table.name).filter(_mine(gathered, partition))


def _mine(gathered: Gathered, partition: int) -> pl.Expr:
    return partition_of(pl.col("golden_id"), gathered.partitions) == partition


def _consents(lake: Lake, gold: GoldFrames) -> pl.DataFrame:
    """The latest version of each wish that was ever of these customers' contact points."""
    landed, subjects = lake.scan(CONSENTS.name), identifiers(gold)["value"].unique()
    keys = landed.filter(pl.col("subject").is_in(subjects.implode())).select(pl.col("record_key").unique())
    # A later version may be about another contact point: it takes the wish away from this one.
    return latest(landed.filter(pl.col("record_key").is_in(keys.collect()["record_key"].implode()))).collect()
