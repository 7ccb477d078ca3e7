"""Tells what changed in a source that sends rows again: its whole table each time, or those that may have changed.

The state to compare with is read from bronze, the last row of each primary key, and held as digests (`digests.py`). Rows
that stand there unchanged are repeated. In a snapshot, keys that did not come again have vanished.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow
from onefold_storage.digests import SHELVES, Digested, Digesting, Digests, shelved
from onefold_storage.lake import Lake

_PENDING = 100_000  # digests of a shelf that are read before those of older rows are left out


def state_of(lake: Lake, contract: Contract) -> State | None:
    """What a source's rows are held against while they land; None where each package brings new rows."""
    if contract.rules.delivery == "append":
        return None
    return (SnapshotState if contract.rules.delivery == "snapshot" else ChangesState)(lake, contract)


class SnapshotState:
    """The last known rows of a source, and the keys seen in the snapshot that is landing."""

    def __init__(self, lake: Lake, contract: Contract) -> None:
        self._lake, self._contract = lake, contract
        self._keys = list(contract.primary_key)
        self._columns = [c.name for c in contract.columns]
        self._how = Digesting(self._keys, self._columns)
        self._standing = _standing(lake, contract, self._how)

    def fresh(self, given: pa.Table) -> tuple[pa.Table, int, tuple[BadRow, ...]]:
        """Rows that are new or changed, how many stood unchanged, and those whose key came twice."""
        rows = _typed(given, self._contract)
        twice = rows.select(pl.struct(self._keys).is_duplicated() & ~pl.struct(self._keys).is_first_distinct())
        told = self._how.of(rows)
        there, standing, seen = self._standing.look(told)
        again = twice.to_series().to_numpy() | seen
        raw = pl.struct(pl.col(self._columns).cast(pl.String)).struct.json_encode()
        bad = tuple(
            BadRow(r["_row_id"], "unique", f"{', '.join(self._keys)}: the key came before", r["raw"].encode())
            for r in rows.filter(pl.Series(again)).select("_row_id", raw=raw).to_dicts()
        )
        self._standing.put(told[~again])
        fresh = ~again & ~(there & (standing == told.row))
        kept = int(np.count_nonzero(fresh))
        return given.filter(pa.array(fresh)), rows.height - len(bad) - kept, bad

    def missing(self) -> int:
        """Keys that stand and that the snapshot did not hold."""
        return self._standing.unseen()

    def vanished(self) -> Iterator[pl.DataFrame]:
        """The last rows of those keys, once, as frames that each fit in memory."""
        if not self.missing():
            return
        for frame in _rows(self._lake, self._contract):
            told = self._how.of(frame)
            there, standing, seen = self._standing.look(told)
            stood = pl.Series(there & ~seen & (standing == told.row)) & ~frame["_deleted"]
            gone = frame.select(self._columns).with_row_index("_at").filter(stood)
            gone = gone.unique(self._keys, keep="last", maintain_order=True)
            self._standing.put(told[gone["_at"].to_numpy()])
            yield gone.drop("_at")


class ChangesState:
    """The last known rows of a source that sends what may have changed; a key may come again in one package."""

    def __init__(self, lake: Lake, contract: Contract) -> None:
        self._contract = contract
        self._keys = list(contract.primary_key)
        self._how = Digesting(self._keys, [c.name for c in contract.columns])
        self._standing = _standing(lake, contract, self._how)

    def fresh(self, given: pa.Table) -> tuple[pa.Table, int, tuple[BadRow, ...]]:
        """Rows that are not what their key stood for just before, how many were, and no bad ones."""
        rows = _typed(given, self._contract)
        told = self._how.of(rows)
        there, standing, _ = self._standing.look(told)
        known = rows.select(self._keys).with_columns(
            pl.Series("_row", told.row), pl.Series("_standing", standing), pl.Series("_there", there)
        )
        first = pl.int_range(pl.len()).over(self._keys) == 0
        before = pl.when(first).then("_standing").otherwise(pl.col("_row").shift(1).over(self._keys))
        fresh = known.select(((first & ~pl.col("_there")) | (pl.col("_row") != before)).alias("_")).to_series()
        last = pl.struct(self._keys).is_last_distinct()
        self._standing.put(told[known.select(last).to_series().to_numpy()])
        return given.filter(fresh.to_arrow()), rows.height - int(fresh.sum()), ()

    def missing(self) -> int:
        """None: what did not come stands as it is."""
        return 0

    def vanished(self) -> Iterator[pl.DataFrame]:
        """None."""
        return iter(())


State = SnapshotState | ChangesState


def _typed(given: pa.Table, contract: Contract) -> pl.DataFrame:
    """Rows in the contract's types: digests tell types apart."""
    return cast("pl.DataFrame", pl.from_arrow(given)).cast(_types(contract))  # type: ignore[arg-type]


def _types(contract: Contract) -> dict[str, pl.DataType]:
    types = pl.Schema(contract.arrow)
    return {c.name: types[c.name] for c in contract.columns}


def _rows(lake: Lake, contract: Contract) -> Iterator[pl.DataFrame]:
    """Every row that bronze holds, a row group at a time, in the contract's columns and types, with the lake's own."""
    types, own = _types(contract), ["_package_id", "_row_id", "_deleted"]
    for path, _ in lake.standing(contract.bronze):
        with lake.objects.open(f"{contract.bronze}/{path}") as file:
            parquet = pq.ParquetFile(file)
            present = set(parquet.schema_arrow.names)
            columns = [
                (pl.col(name) if name in present else pl.lit(None)).cast(kind).alias(name)
                for name, kind in types.items()
            ]
            wanted = [name for name in (*types, *own) if name in present]
            for group in range(parquet.num_row_groups):
                rows = pl.DataFrame(pl.from_arrow(parquet.read_row_group(group, columns=wanted)))
                yield rows.select(*columns, *own)


def _standing(lake: Lake, contract: Contract, how: Digesting) -> Digests:
    """The digest of the last row of each primary key that has not vanished."""
    if not lake.exists(contract.bronze):
        return Digests()
    seq = pl.col("_package_id").str.slice(len(contract.id) + 1, 8).cast(pl.Int64)
    # When a row came, and in the last bit whether it deletes: one number, that sorts.
    came = ((seq * (1 << 34) + pl.col("_row_id")) * 2 + pl.col("_deleted").cast(pl.Int64)).alias("_came")
    held: list[_Held] = [[] for _ in range(SHELVES)]
    waiting, bound = [0] * SHELVES, [_PENDING] * SHELVES
    for frame in _rows(lake, contract):
        rows, times = how.of(frame), frame.select(came).to_series().to_numpy()
        for shelf, at in shelved(rows.high):
            held[shelf].append((rows[at], times[at]))
            waiting[shelf] += at.size
            if waiting[shelf] >= bound[shelf]:
                held[shelf], waiting[shelf] = [_last(held[shelf])], 0
                bound[shelf] = max(_PENDING, held[shelf][0][1].size // 4)
    standing = Digests()
    for shelf in range(SHELVES):
        if held[shelf]:
            rows, times = _last(held[shelf])
            held[shelf] = []
            standing.know(shelf, rows[times & 1 == 0])
    return standing


_Held = list[tuple[Digested, npt.NDArray[np.int64]]]


def _last(held: _Held) -> tuple[Digested, npt.NDArray[np.int64]]:
    """The last row of each key and when it came, ascending."""
    high, low, row = (np.concatenate([getattr(d, name) for d, _ in held]) for name in ("high", "low", "row"))
    came = np.concatenate([times for _, times in held])
    order = np.lexsort((came, low, high))
    high, low = high[order], low[order]
    last = np.ones(order.size, np.bool_)
    last[:-1] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    order = order[last]
    return Digested(high[last], low[last], row[order]), came[order]
