"""Takes rows out of tables for good: the files that hold them are written anew, and the old ones removed.

No predicate is stored anywhere: what decides is a function, and the log says only which files went and came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pyarrow.parquet as pq
from deltalake.transaction import AddAction, RemoveAction

from onefold_storage.lake import Lake
from onefold_storage.parts import Part
from onefold_storage.shapes import TableShape

Gone = Callable[[pl.DataFrame], pl.Series]
"""Says of some of a table's rows which go: a boolean per row."""


def rewrite(
    lake: Lake,
    name: str,
    gone: Gone,
    columns: Sequence[str] | None = None,
    *,
    within: dict[str, str | None] | None = None,
) -> int:
    """Drop the rows for which `gone` holds, in one commit, and return how many. Hold the table's lock.

    `columns`: those that `gone` looks at, where it is not all; those that are not there are left out.
    `within`: the partition to look through; all of them, where it is left out.
    Files without such rows stay as they are. The old files lie there until `vacuum`.
    """
    lake.must_hold(name)
    shape = lake.shape(name)
    actions: list[AddAction | RemoveAction] = []
    dropped = 0
    for path, partition in lake.standing(name):
        if within is not None and partition != within:
            continue
        rows, parts = _without(lake, name, shape, path, partition, gone, columns)
        if rows:
            actions.append(RemoveAction(path, True, 0, lake.objects.size(f"{name}/{path}"), partition))
            actions += [AddAction(p.path, p.size, p.partition, 0, True, p.stats) for p in parts]
            dropped += rows
    if dropped:
        table = lake.handle(name)
        lake.must_hold(name)
        table.create_write_transaction(actions, "append", shape.schema, list(shape.partition_by) or None)
        if lake.objects.local:
            lake.objects.sync(f"{name}/_delta_log/{lake.version(name):020d}.json")
    return dropped


def vacuum(lake: Lake, name: str) -> int:
    """Remove every object of the table that its newest version does not need; returns how many.

    Hold the table's lock: what other writers have uploaded and not committed goes too, and their commit fails.
    """
    lake.must_hold(name)
    return len(lake.handle(name).vacuum(0, dry_run=False, enforce_retention_duration=False, full=True))


def _without(
    lake: Lake,
    name: str,
    shape: TableShape,
    path: str,
    partition: dict[str, str | None],
    gone: Gone,
    columns: Sequence[str] | None,
) -> tuple[int, list[Part]]:
    """Rows of a file that are gone, and the parts with the rest of it, where there are any."""
    constants = [pl.lit(v, pl.String).alias(k) for k, v in partition.items()]
    with lake.objects.open(f"{name}/{path}") as file:
        parquet = pq.ParquetFile(file)
        present = parquet.schema_arrow.names
        needed = present if columns is None else [c for c in present if c in columns]
        masks = []
        for number in range(parquet.num_row_groups):
            frame = pl.from_arrow(parquet.read_row_group(number, columns=needed))
            assert isinstance(frame, pl.DataFrame)
            masks.append(gone(frame.with_columns(constants)).fill_null(value=False))
        rows = sum(int(m.sum()) for m in masks)
        if not rows:
            return 0, []
        writer = lake.writer(name, shape=shape, partition=partition)
        for number, mask in enumerate(masks):
            writer.write(parquet.read_row_group(number).filter((~mask).to_arrow()))
    return rows, writer.close()
