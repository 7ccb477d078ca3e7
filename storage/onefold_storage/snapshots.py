"""Tells what changed in a source that sends rows again: its whole table each time, or those that may have changed.

The state to compare with is read from bronze: the last row of each primary key. Rows that stand there unchanged
are repeated. In a snapshot, keys that did not come again have vanished.
"""

from __future__ import annotations

from typing import cast

import polars as pl
import pyarrow as pa

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow
from onefold_storage.lake import Lake


def state_of(lake: Lake, contract: Contract) -> State | None:
    """What a source's rows are held against while they land; None where each package brings new rows."""
    if contract.rules.delivery == "append":
        return None
    return (SnapshotState if contract.rules.delivery == "snapshot" else ChangesState)(lake, contract)


class SnapshotState:
    """The last known rows of a source, and the keys seen in the snapshot that is landing."""

    def __init__(self, lake: Lake, contract: Contract) -> None:
        self._keys = list(contract.primary_key)
        self._columns = [c.name for c in contract.columns]
        self._seen: pl.DataFrame | None = None
        self._known = _last_rows(lake, contract)

    def fresh(self, given: pa.Table) -> tuple[pa.Table, int, tuple[BadRow, ...]]:
        """Rows that are new or changed, how many stood unchanged, and those whose key came twice."""
        rows = cast("pl.DataFrame", pl.from_arrow(given)).with_row_index("_at")
        twice = rows.select(pl.struct(self._keys).is_duplicated() & ~pl.struct(self._keys).is_first_distinct())
        again = twice.to_series()
        if self._seen is not None:
            before = rows.join(self._seen, on=self._keys, how="semi")["_at"]
            again = again | rows["_at"].is_in(before.implode())
        bad = tuple(
            BadRow(r["_row_id"], "unique", f"{', '.join(self._keys)}: the key came before", r["raw"].encode())
            for r in rows.filter(again)
            .select("_row_id", raw=pl.struct(pl.col(self._columns).cast(pl.String)).struct.json_encode())
            .to_dicts()
        )
        once = rows.filter(~again)
        keys = once.select(self._keys)
        self._seen = keys if self._seen is None else pl.concat([self._seen, keys])
        fresh = once
        if self._known is not None:
            fresh = once.join(self._known, on=self._columns, how="anti", nulls_equal=True)
        return given.take(fresh["_at"].to_arrow()), once.height - fresh.height, bad

    def vanished(self) -> pl.DataFrame:
        """The last rows of keys that the snapshot did not hold."""
        if self._known is None:
            return pl.DataFrame()
        if self._seen is None:
            return self._known
        return self._known.join(self._seen, on=self._keys, how="anti")


class ChangesState:
    """The last known rows of a source that sends what may have changed; a key may come again in one package."""

    def __init__(self, lake: Lake, contract: Contract) -> None:
        self._keys = list(contract.primary_key)
        self._columns = [c.name for c in contract.columns]
        self._known = _last_rows(lake, contract)

    def fresh(self, given: pa.Table) -> tuple[pa.Table, int, tuple[BadRow, ...]]:
        """Rows that are not what their key stood for just before, how many were, and no bad ones."""
        rows = cast("pl.DataFrame", pl.from_arrow(given)).with_row_index("_at")
        told = rows.select("_at", *self._columns)
        # Only what the batch speaks of is looked at: all that is known would be gone through with every batch.
        before = self._of(told)
        once = told.select(pl.struct(self._keys).is_unique().all()).item()
        fresh = (self._fresh_of_one_each if once else self._fresh_in_turn)(told, before)
        self._learn(fresh.drop("_at").unique(self._keys, keep="last"), stood=before is not None)
        return given.take(fresh["_at"].to_arrow()), rows.height - fresh.height, ()

    def _fresh_of_one_each(self, told: pl.DataFrame, before: pl.DataFrame | None) -> pl.DataFrame:
        """Rows of keys that come once in the batch, as they mostly do: each is held against what stood."""
        if before is None:
            return told
        stood = before.select(*self._keys, pl.struct(self._columns).alias("_stood"))
        both = told.join(stood, on=self._keys, how="left", nulls_equal=True, maintain_order="left")
        same = pl.struct(self._columns).eq_missing(pl.col("_stood"))
        return both.filter(~same).drop("_stood")

    def _fresh_in_turn(self, told: pl.DataFrame, before: pl.DataFrame | None) -> pl.DataFrame:
        """Rows that are not as the row of their key just before them."""
        if before is not None:
            told = pl.concat([before.with_columns(_at=pl.lit(None, dtype=pl.UInt32)).select(told.columns), told])
        same = [pl.col(c).eq_missing(pl.col(c).shift(1).over(self._keys)) for c in self._columns]
        first = pl.int_range(pl.len()).over(self._keys) == 0
        return told.filter(pl.col("_at").is_not_null() & (first | ~pl.all_horizontal(same)))

    def _of(self, rows: pl.DataFrame) -> pl.DataFrame | None:
        """What is known of these rows' keys; None where that is nothing."""
        if self._known is None:
            return None
        found = self._known.join(rows, on=self._keys, how="semi", nulls_equal=True)
        return found if found.height else None

    def _learn(self, last: pl.DataFrame, *, stood: bool) -> None:
        """Keep the last rows of keys that are new or changed; `stood`: some of the batch's keys were known."""
        if self._known is None:
            self._known = last
        elif last.height:
            left = self._known.join(last, on=self._keys, how="anti", nulls_equal=True) if stood else self._known
            self._known = pl.concat([left, last])

    def vanished(self) -> pl.DataFrame:
        """None: what did not come stands as it is."""
        return pl.DataFrame()


State = SnapshotState | ChangesState


def _last_rows(lake: Lake, contract: Contract) -> pl.DataFrame | None:
    """The last row of each primary key that has not vanished, in the contract's columns."""
    if not lake.exists(contract.bronze):
        return None
    columns = [c.name for c in contract.columns]
    scan = lake.scan(contract.bronze)
    present = set(scan.collect_schema().names())
    missing = [pl.lit(None).alias(c) for c in columns if c not in present]
    return (
        scan.with_columns(missing)
        .select(*columns, "_package_id", "_row_id", "_deleted")
        .sort("_package_id", "_row_id")
        .unique(list(contract.primary_key), keep="last", maintain_order=True)
        .filter(~pl.col("_deleted"))
        .select(columns)
        .collect()
    )
