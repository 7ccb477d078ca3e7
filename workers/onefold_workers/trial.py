"""A trial of a source: connects, reads its first rows, holds them against the contract and maps them; nothing lands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

import pyarrow as pa

from onefold_storage.checking import check
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch
from onefold_workers.connectors import deliveries
from onefold_workers.doubts import doubts
from onefold_workers.mapping import silver_rows
from onefold_workers.mapping_losses import losses

DELIVERIES = 3


@dataclass(frozen=True)
class Trial:
    """What the first rows came to. `unknown`: columns that the contract does not name; `absent`: columns of the
    contract that did not come; `silver`: rows by table.

    `lost`: rows by canonical field (`interactions.amount`) whose value could not be read. `doubts`: columns whose
    values could be read another way as well, a sentence each.
    """

    origins: tuple[str, ...]
    sent: int
    good: int
    bad: tuple[BadRow, ...]
    unknown: tuple[str, ...]
    absent: tuple[str, ...] = ()
    silver: dict[str, pa.Table] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def trial(contract: Contract, base: Path, now: datetime, *, rows: int = 1000, extra: Path | None = None) -> Trial:
    """Try the first `rows` rows of the first deliveries. `now`: the moment that rows would land at.

    Raises:
        BadContract, BadInput, Unavailable: as the connector and the contract's checks say.
    """
    origins: list[str] = []
    bad: list[BadRow] = []
    good: list[pa.Table] = []
    came: dict[str, None] = {}
    sent = 0
    for delivery in islice(deliveries(contract, base, extra=extra, first=rows), DELIVERIES):
        origins.append(delivery.origin)
        for batch in delivery.batches:
            piece = _cut(batch, rows - sent)
            sent += piece.rows.num_rows + len(piece.bad)
            checked = check(contract, piece)
            bad += checked.bad
            good.append(checked.table)
            came |= dict.fromkeys(piece.rows.column_names)
            if sent >= rows:
                break
        if sent >= rows:
            break
    kept = [g for g in good if g.num_rows]
    landed = _as_landed(contract, pa.concat_tables(kept), now) if kept else None
    silver = silver_rows(contract, landed) if landed else {}
    lost = losses(contract, landed) if landed else {}
    unsure = doubts(contract, landed) if landed else ()
    unknown = tuple(n for n in came if n not in contract.by_name)
    absent = tuple(n for n in contract.by_name if n not in came) if sent else ()
    count = sum(g.num_rows for g in good)
    return Trial(tuple(origins), sent, count, tuple(bad), unknown, absent, silver, lost, unsure)


def _cut(batch: Batch, rows: int) -> Batch:
    return Batch(batch.rows.slice(0, rows), batch.row_ids.slice(0, rows), batch.bad[:rows])


def _as_landed(contract: Contract, rows: pa.Table, now: datetime) -> pa.Table:
    at = pa.scalar(now, pa.timestamp("us", "UTC"))
    rows = rows.append_column("_package_id", pa.repeat(pa.scalar(f"{contract.id}-trial"), rows.num_rows))
    return rows.append_column("_landed_at", pa.repeat(at, rows.num_rows))
