"""The silo report of a lake, one Dask task a partition of customers."""

from __future__ import annotations

from functools import partial
from typing import Any

from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers import silos
from onefold_workers.cluster import spread
from onefold_workers.silos import Counted
from onefold_workers.stages.gathering import Gathered, customer_records, customer_rows


def silo_report(installation: Installation, gathered: Gathered) -> dict[str, dict[str, Any]]:
    """By source: customers it knows, overlap with every other source, rows of nobody, and what it added."""
    task = partial(_count, installation.settings, gathered)
    return silos.report(spread(task, range(gathered.partitions)), gathered.orphans_by_source)


def _count(settings: StorageSettings, gathered: Gathered, partition: int) -> Counted:
    lake = Installation(settings).lake
    return silos.count(
        customer_records(lake, gathered.partitions, partition),
        customer_rows(lake, gathered, "interactions", partition),
        customer_rows(lake, gathered, "cases", partition),
    )
