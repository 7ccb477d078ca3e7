"""The history of one partition of customers, put together from the lake; kept for the worker's next task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.schema import CONSENTS, CUSTOMERS, ITEMS
from onefold_storage.settings import StorageSettings
from onefold_workers.money import Reckoning
from onefold_workers.point_in_time import History
from onefold_workers.stages.gathering import Gathered, customer_rows, partition_of
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
    owners = pl.concat([records, *points]).drop_nulls().unique()
    return History.of(
        customer_rows(lake, name.gathered, "interactions", name.partition),
        lake.scan(ITEMS.name),
        customers.select("golden_id", "first_seen"),
        customer_rows(lake, name.gathered, "cases", name.partition),
        lake.scan(CONSENTS.name).join(owners, on="subject", how="inner"),
        name.reckoning,
    )
