"""Tells what changed in a source that sends its whole table each time.

The state to compare with is read from bronze: the last row of each primary key. Rows that stand there unchanged
are repeated; keys that did not come again have vanished.
"""

from __future__ import annotations

import polars as pl

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow
from onefold_storage.lake import Lake


class SnapshotState:
    """The last known rows of a source, and the keys seen in the snapshot that is landing."""

    def __init__(self, lake: Lake, contract: Contract) -> None:
        self._keys = list(contract.primary_key)
        self._columns = [c.name for c in contract.columns]
        self._seen: pl.DataFrame | None = None
        self._known: pl.DataFrame | None = None
        if not lake.exists(contract.bronze):
            return
        scan = lake.scan(contract.bronze)
        present = set(scan.collect_schema().names())
        missing = [pl.lit(None).alias(c) for c in self._columns if c not in present]
        self._known = (
            scan.with_columns(missing)
            .select(*self._columns, "_package_id", "_row_id", "_deleted")
            .sort("_package_id", "_row_id")
            .unique(self._keys, keep="last", maintain_order=True)
            .filter(~pl.col("_deleted"))
            .select(self._columns)
            .collect()
        )

    def fresh(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, int, tuple[BadRow, ...]]:
        """Rows that are new or changed, how many stood unchanged, and those whose key came twice."""
        twice = rows.select(pl.struct(self._keys).is_duplicated() & ~pl.struct(self._keys).is_first_distinct())
        again = twice.to_series()
        if self._seen is not None:
            before = rows.select(self._keys).with_row_index("_at").join(self._seen, on=self._keys, how="semi")
            again = again | pl.Series(range(rows.height)).is_in(before["_at"].implode())
        bad = tuple(
            BadRow(r["_row_id"], "unique", f"{', '.join(self._keys)}: the key came before", r["raw"].encode())
            for r in rows.filter(again)
            .select("_row_id", raw=pl.struct(pl.col(self._columns).cast(pl.String)).struct.json_encode())
            .to_dicts()
        )
        once = rows.filter(~again)
        keys = once.select(self._keys)
        self._seen = keys if self._seen is None else pl.concat([self._seen, keys])
        if self._known is None:
            return once, 0, bad
        changed = once.join(self._known, on=self._columns, how="anti", nulls_equal=True)
        return changed, once.height - changed.height, bad

    def vanished(self) -> pl.DataFrame:
        """The last rows of keys that the snapshot did not hold."""
        if self._known is None:
            return pl.DataFrame()
        if self._seen is None:
            return self._known
        return self._known.join(self._seen, on=self._keys, how="anti")
