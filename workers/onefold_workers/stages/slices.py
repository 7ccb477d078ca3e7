"""Slices: stretches of row groups of a table's files, the unit that Dask tasks read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from onefold_storage.lake import Lake

ROWS = 400_000


@dataclass(frozen=True)
class Slice:
    """Some row groups of one file; `key` is relative to the lake's root, `partition` stands in the file's path."""

    table: str
    key: str
    groups: tuple[int, ...]
    rows: int
    partition: tuple[tuple[str, str | None], ...] = ()

    @property
    def label(self) -> str:
        """A name of its own among the slices of its table."""
        return f"{self.key.rsplit('/', 1)[-1].removesuffix('.parquet')}-{self.groups[0]}"


def slices(lake: Lake, table: str, rows: int = ROWS, *, beyond: tuple[str, str] | None = None) -> list[Slice]:
    """Cut a table into slices of about `rows` rows.

    `beyond`: (column, value) leaves out files whose statistics say that no row's column is greater.
    """
    found: list[Slice] = []
    for action in _actions(lake, table):
        if beyond and _stops_before(action, *beyond):
            continue
        partition = tuple((action.get("partition") or {}).items())
        found += _cut(lake, table, f"{table}/{action['path']}", partition, rows)
    return found


def read_slice(lake: Lake, part: Slice, columns: list[str] | None = None) -> pa.Table:
    """The rows of a slice, with partition columns."""
    with lake.objects.open(part.key) as file:
        parquet = pq.ParquetFile(file)
        present = set(parquet.schema_arrow.names)
        wanted = None if columns is None else [c for c in columns if c in present]
        table = parquet.read_row_groups(list(part.groups), columns=wanted)
    for name, value in part.partition:
        if columns is None or name in columns:
            table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
    return table


def slice_frame(lake: Lake, part: Slice, columns: list[str] | None = None) -> pl.DataFrame:
    """The rows of a slice as Polars."""
    frame = pl.from_arrow(read_slice(lake, part, columns))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _actions(lake: Lake, table: str) -> list[dict[str, Any]]:
    if not lake.exists(table):
        return []
    actions = pa.table(lake.handle(table).get_add_actions()).to_pylist()
    return sorted(actions, key=lambda a: str(a["path"]))


def _stops_before(action: dict[str, Any], column: str, value: str) -> bool:
    highest = (action.get("max") or {}).get(column)
    return highest is not None and str(highest) <= value


def _cut(
    lake: Lake, table: str, key: str, partition: tuple[tuple[str, str | None], ...], rows: int
) -> Iterator[Slice]:
    with lake.objects.open(key) as file:
        metadata = pq.ParquetFile(file).metadata
    groups: list[int] = []
    held = 0
    for group in range(metadata.num_row_groups):
        groups.append(group)
        held += metadata.row_group(group).num_rows
        if held >= rows:
            yield Slice(table, key, tuple(groups), held, partition)
            groups, held = [], 0
    if groups:
        yield Slice(table, key, tuple(groups), held, partition)
