"""A publication built by partitions of customers: each task makes its share, the client puts the shares in order.

What passes between them are Parquet objects in a working area. Of all customers the client holds their numbers, and one
model's ranks at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import CUSTOMERS, HISTORY, SCORES
from onefold_storage.settings import StorageSettings
from onefold_storage.survivors import survivors
from onefold_workers.cluster import spread
from onefold_workers.publication import Survey, in_order, share_of, together, write
from onefold_workers.publication.bodies import ranked
from onefold_workers.publication.frames import numbered
from onefold_workers.publication.share import KEYS
from onefold_workers.stages.exchange import put_pieces, read_pieces
from onefold_workers.stages.gathering import Gathered, partition_of
from onefold_workers.stages.gold import customer_gold, customer_survey

AREA = "work/publication"
"""Where shares are while a publication is built; they hold personal data, and `places.py` knows it."""
_TOGETHER = 50_000
"""Rows of all shares of a table that are in memory at a time, about."""


@dataclass(frozen=True)
class ShareTask:
    """What a worker needs to know to make one partition's share."""

    settings: StorageSettings
    gathered: Gathered
    found: Survey


def surveyed(installation: Installation, gathered: Gathered) -> Survey:
    """The survey of all customers, one task a partition."""
    task = partial(_survey, installation.settings, gathered)
    return together(spread(task, range(gathered.partitions)))


def build_shares(
    installation: Installation, gathered: Gathered, found: Survey, path: Path, facts: dict[str, Any]
) -> dict[str, int]:
    """Write the serving file at `path`, one task a partition of customers, and return its counts."""
    lake = installation.lake
    lake.objects.delete_below(AREA)  # of a run that was killed
    try:
        ids = numbered(lake.scan(CUSTOMERS.name).select("golden_id", "last_seen").collect())
        _hand_out(lake, "ids", ids, gathered.partitions)
        for model, (number, _) in found.models().items():
            _hand_out(lake, f"ranks/{number}", _ranks(lake, model, ids), gathered.partitions)
        merged = _merged(lake, ids["golden_id"])
        del ids
        task = partial(_share, ShareTask(installation.settings, gathered, found))
        made = spread(task, range(gathered.partitions))

        def rows(table: str, columns: list[str]) -> Iterator[pl.DataFrame]:
            return in_order([_frames(lake, keys[table], columns) for keys in made if table in keys], KEYS[table])

        return write(path, rows, found, merged, facts, hashed=installation.keyed_hash)
    finally:
        lake.objects.delete_below(AREA)


def _ranks(lake: Lake, model: str, ids: pl.DataFrame) -> pl.DataFrame:
    """golden_id, model, rank."""
    scores = lake.scan(SCORES.name).filter(model=model).select("golden_id", "model", "rank", "score").collect()
    return ranked(scores.join(ids, on="golden_id", how="semi")).select("golden_id", "model", "rank")


def _merged(lake: Lake, known: pl.Series) -> pl.DataFrame:
    """golden_id, survivor, of those that were merged into a customer."""
    history = lake.scan(HISTORY.name).select("golden_id", "event", "other_id", "happened_at")
    merges = history.filter(event="merged").collect()
    gone = merges["golden_id"].unique().implode()
    back = pl.when(event="split").then("other_id").when(event="created").then("golden_id")
    told = pl.concat([merges, history.filter(back.is_in(gone)).collect()])
    return survivors(told, known).filter(pl.col("survivor").is_in(known.implode()))


def _hand_out(lake: Lake, name: str, rows: pl.DataFrame, partitions: int) -> None:
    """Put each partition's rows, in their order, where its task finds them."""
    share = partition_of(pl.col("golden_id"), partitions)
    put_pieces(lake.objects, f"{AREA}/{name}", "client", rows, share)


def _survey(settings: StorageSettings, gathered: Gathered, partition: int) -> Survey:
    return customer_survey(Installation(settings).lake, gathered, partition)


def _share(task: ShareTask, partition: int) -> dict[str, str]:
    """Make one partition's share, on a worker; gives the key of each table's object."""
    installation = Installation(task.settings)
    lake = installation.lake
    ids = read_pieces(lake.objects, f"{AREA}/ids", partition)
    if ids is None:
        return {}
    gold = customer_gold(lake, task.gathered, partition)
    areas = (f"{AREA}/ranks/{number}" for number, _ in task.found.models().values())
    handed = (read_pieces(lake.objects, area, partition) for area in areas)
    ranks = [ranks for ranks in handed if ranks is not None]
    if ranks:
        final = gold.scores.drop("rank").join(pl.concat(ranks), on=["golden_id", "model"])
        gold = replace(gold, scores=final.select(gold.scores.columns))
    sinks: dict[str, pa.BufferOutputStream] = {}
    writers: dict[str, pq.ParquetWriter] = {}
    groups = max(_TOGETHER // task.gathered.partitions, 1)
    for table, frame in share_of(gold, ids, task.found, hashed=installation.keyed_hash):
        rows = frame.to_arrow()
        if table not in writers:
            sinks[table] = pa.BufferOutputStream()
            writers[table] = pq.ParquetWriter(sinks[table], rows.schema, compression="lz4", write_statistics=False)
        writers[table].write_table(rows, row_group_size=groups)
    keys = {table: f"{AREA}/shares/{table}/{partition}" for table in sinks}
    for table, sink in sinks.items():
        writers[table].close()
        lake.objects.send(keys[table], sink.getvalue())
    return keys


def _frames(lake: Lake, key: str, columns: list[str]) -> Iterator[pl.DataFrame]:
    with lake.objects.stream(key) as source:
        file = pq.ParquetFile(source, pre_buffer=True)
        for group in range(file.num_row_groups):
            yield cast("pl.DataFrame", pl.from_arrow(file.read_row_group(group, columns=columns)))
