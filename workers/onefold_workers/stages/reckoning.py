"""Which currency sums are in, decided once for all partitions of customers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import spread
from onefold_workers.money import Reckoning
from onefold_workers.stages.gathering import AREA, Gathered, customer_rows


@dataclass(frozen=True)
class Money:
    """How money is reckoned, and how many interactions with an amount are in which currency."""

    reckoning: Reckoning
    found: dict[str, int]

    @property
    def remarks(self) -> list[str]:
        """What people should know: rows that count for no sum."""
        left_out = self.reckoning.left_out(self.found)
        if not left_out:
            return []
        told = ", ".join(f"{n:,} in {currency}" for currency, n in left_out.items())
        return [
            f"money is reckoned in {self.reckoning.currency}: of interactions with an amount, {told} count for no sum; "
            "`exchange_rates` in onefold.yaml would convert them"
        ]


def declared_money(installation: Installation) -> list[Any]:
    """What the workspace says of money, for fingerprints."""
    said = installation.workspace.settings
    return [said.currency, sorted((c, str(rate)) for c, rate in said.exchange_rates.items())]


def money_of(installation: Installation, gathered: Gathered) -> Money:
    """How money is reckoned for what was gathered; rows are counted once a gathering."""
    objects, place = installation.lake.objects, f"{AREA}/{gathered.version}/currencies.json"
    known = objects.get(place)
    found: dict[str, int] = orjson.loads(known) if known else {}
    if known is None:
        count = partial(_currencies, installation.settings, gathered)
        found = dict(sum((Counter(c) for c in spread(count, range(gathered.partitions))), Counter()))
        objects.put(place, orjson.dumps(found))
    said = installation.workspace.settings
    rates = {currency: float(rate) for currency, rate in said.exchange_rates.items()}
    return Money(Reckoning.of(said.currency, rates, found), found)


def _currencies(settings: StorageSettings, gathered: Gathered, partition: int) -> dict[str, int]:
    """One partition's interactions with an amount by currency, on a worker."""
    rows = customer_rows(Installation(settings).lake, gathered, "interactions", partition)
    paid = rows.filter(pl.col("amount").is_not_null(), pl.col("currency").is_not_null())
    return dict(paid.group_by("currency").len().collect().iter_rows())
