"""Gathers what belongs to the same customers: rows meet golden IDs and are exchanged by customer.

Each task takes a slice of a silver table, joins the links and writes one file for each partition of customers
into a working area; later tasks read one partition from all of those files. The area is derived, kept as long
as its inputs stand, and replaced whole.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial
from io import BytesIO

import orjson
import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import CASES, CONTACT_RECORDS, INTERACTIONS, LINKS
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import spread
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.records import current_links, latest
from onefold_workers.stages.slices import Slice, slice_frame, slices

AREA = "work/customers"
"""Where gathered rows are kept; it holds personal data and is registered in `places.py`."""
CUSTOMERS_A_PARTITION = 100_000
_TABLES = {"interactions": (INTERACTIONS, "contact_key"), "cases": (CASES, "contact_key")}


@dataclass(frozen=True)
class Gathered:
    """Where the rows of each partition of customers are."""

    version: str
    partitions: int
    orphans_by_source: dict[str, int] = field(hash=False)

    @property
    def orphans(self) -> int:
        """Rows that belong to no customer."""
        return sum(self.orphans_by_source.values())


def gather(installation: Installation, *, at_least: int = 2) -> Gathered:
    """Bring interactions and cases together by customer; nothing is done where inputs have not changed."""
    lake = installation.lake
    inputs = [LINKS.name, *(t.name for t, _ in _TABLES.values())]
    customers = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null()).select(pl.col("golden_id").n_unique())
    partitions = max(at_least, -(-int(customers.collect().item()) // CUSTOMERS_A_PARTITION))
    version = fingerprint(lake, inputs, partitions=partitions, polars=pl.__version__, area=3)
    known = lake.objects.get(f"{AREA}/current.json")
    if known and (facts := orjson.loads(known))["version"] == version:
        return Gathered(**facts)
    orphans: dict[str, int] = {}
    for name, (table, key) in _TABLES.items():
        task = partial(_exchange, installation.settings, version, partitions, name, key)
        for found in spread(task, slices(lake, table.name)):
            orphans |= {source: orphans.get(source, 0) + n for source, n in found.items()}
        spread(partial(_settle, installation.settings, version, name), range(partitions))
    gathered = Gathered(version, partitions, orphans)
    lake.objects.put(f"{AREA}/current.json", orjson.dumps(asdict(gathered)))
    for old in lake.objects.folders(AREA):
        if old != version:
            lake.objects.delete_below(f"{AREA}/{old}")
    return gathered


def customer_rows(lake: Lake, gathered: Gathered, name: str, partition: int) -> pl.LazyFrame:
    """The rows of `interactions` or `cases` with `golden_id`, of one partition of customers, oldest first."""
    data = lake.objects.get(_settled(gathered.version, name, partition))
    return (_empty(name) if data is None else pl.read_parquet(BytesIO(data))).lazy()


def partition_of(column: pl.Expr, partitions: int) -> pl.Expr:
    """The partition of a golden ID: the same for all tables of one gathering."""
    return column.hash(seed=17) % partitions


def _exchange(
    settings: StorageSettings, version: str, partitions: int, name: str, key: str, part: Slice
) -> dict[str, int]:
    """Split one slice by customer, on a worker, and return how many rows of each source belong to no customer."""
    lake = Installation(settings).lake
    links = current_links(lake).collect()
    rows = slice_frame(lake, part).select(_TABLES[name][0].arrow.names)
    owned = rows.join(links, left_on=key, right_on="record_key", how="inner", maintain_order="left")
    label = part.key.rsplit("/", 1)[-1].removesuffix(".parquet")
    pieces = owned.with_columns(_p=partition_of(pl.col("golden_id"), partitions)).partition_by(
        "_p", as_dict=True, include_key=False
    )
    for (number,), piece in pieces.items():
        sink = BytesIO()
        piece.write_parquet(sink, compression="lz4", statistics=False)
        lake.objects.put(f"{AREA}/{version}/{name}/pieces/{number}/{label}-{part.groups[0]}", sink.getvalue())
    orphans = rows.join(links, left_on=key, right_on="record_key", how="anti").group_by("source").len()
    return dict(orphans.iter_rows())


def _settle(settings: StorageSettings, version: str, name: str, partition: int) -> None:
    """Join the pieces of one partition, on a worker: oldest first; an interaction stands as last told."""
    lake = Installation(settings).lake
    folder = f"{AREA}/{version}/{name}/pieces/{partition}"
    pieces = [pl.read_parquet(BytesIO(lake.objects.get(k) or b"")) for k in lake.objects.keys(folder)]
    if not pieces:
        return
    rows = pl.concat(pieces).sort("effective_at", "package_id", "row_id", "source")
    if name == "interactions":
        rows = rows.unique("record_key", keep="last", maintain_order=True)
    sink = BytesIO()
    rows.filter(~pl.col("deleted")).write_parquet(sink, compression="lz4", statistics=False)
    lake.objects.put(_settled(version, name, partition), sink.getvalue())
    lake.objects.delete_below(folder)


def _settled(version: str, name: str, partition: int) -> str:
    return f"{AREA}/{version}/{name}/{partition}.parquet"


def _empty(name: str) -> pl.DataFrame:
    frame = pl.from_arrow(_TABLES[name][0].arrow.empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame.with_columns(golden_id=pl.lit(None, dtype=pl.String))


def customer_records(lake: Lake, partitions: int, partition: int) -> pl.DataFrame:
    """Latest contact records with `golden_id`, of one partition of customers."""
    links = current_links(lake).filter(partition_of(pl.col("golden_id"), partitions) == partition)
    own = lake.scan(CONTACT_RECORDS.name).join(links, on="record_key", how="inner")
    return latest(own).collect()
