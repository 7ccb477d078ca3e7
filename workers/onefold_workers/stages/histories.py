"""The history of one partition of customers, put together from the lake; kept for the worker's next task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import CONSENTS, CUSTOMERS, ITEMS
from onefold_storage.settings import StorageSettings
from onefold_workers.money import Reckoning
from onefold_workers.point_in_time import History, versioned
from onefold_workers.stages.gathering import Gathered, customer_versions, partition_of
from onefold_workers.stages.records import current_links


@dataclass(frozen=True)
class HistoryOf:
    """Names one partition's history: equal names, equal rows (`customers` is the version of gold/customers)."""

    settings: StorageSettings
    gathered: Gathered
    customers: int
    partition: int
    reckoning: Reckoning


@lru_cache(maxsize=1)
def history_of(name: HistoryOf) -> History:
    """Read and prepare it, on a worker."""
    lake = Installation(name.settings).lake
    mine = partition_of(pl.col("golden_id"), name.gathered.partitions) == name.partition
    customers = lake.scan(CUSTOMERS.name, name.customers).filter(mine)
    points = [customers.select("golden_id", subject=c).explode("subject") for c in ("emails", "phones")]
    records = current_links(lake).filter(mine).select("golden_id", subject="record_key")
    owners = pl.concat([records, *points]).drop_nulls().unique().collect().lazy()
    return History.of(
        customer_versions(lake, name.gathered, "interactions", name.partition),
        lake.scan(ITEMS.name),
        customers.select("golden_id", "first_seen"),
        customer_versions(lake, name.gathered, "cases", name.partition),
        _consents(lake, owners),
        name.reckoning,
    )


def _consents(lake: Lake, owners: pl.LazyFrame) -> pl.LazyFrame:
    """Consents of these owners, some of them of several; a later version may be somebody else's."""
    consents = lake.scan(CONSENTS.name)
    theirs = consents.join(owners, on="subject", how="semi").select("record_key").unique()
    said = consents.join(theirs, on="record_key", how="semi").sort("package_id", "row_id").collect()
    return versioned(said).lazy().join(owners, on="subject", how="inner")
