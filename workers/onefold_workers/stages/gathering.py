"""Gathers what belongs to the same customers: rows meet golden IDs and are exchanged by customer.

First it is settled until when each version of a record held (`versions.py`), because a later one may belong to somebody
else. Then each task takes a slice of a silver table, joins the links and writes one piece for each partition of
customers into a working area; later tasks read one partition. The area is derived, kept as long as its inputs stand,
and replaced whole.
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
from onefold_workers.point_in_time import UNTIL
from onefold_workers.stages.exchange import as_parquet, put_pieces, read_pieces
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.records import current_links, latest
from onefold_workers.stages.slices import Slice, slices
from onefold_workers.stages.versions import ORDER, settle_versions, with_until

AREA = "work/customers"
"""Where gathered rows are kept; it holds personal data and is registered in `places.py`."""
CUSTOMERS_A_PARTITION, ROWS_A_PARTITION = 50_000, 1_500_000
"""Customers, and interactions or cases, that one task holds at most, about: it takes one to two gigabytes then."""
_TABLES = {"interactions": INTERACTIONS, "cases": CASES}


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
    inputs = [LINKS.name, *(t.name for t in _TABLES.values())]
    partitions = max(at_least, _partitions(lake))
    version = fingerprint(lake, inputs, partitions=partitions, polars=pl.__version__, area=4)
    known = lake.objects.get(f"{AREA}/current.json")
    if known and (facts := orjson.loads(known))["version"] == version:
        return Gathered(**facts)
    lake.objects.delete_below(f"{AREA}/{version}")  # a run that was cut off may have cut the work otherwise
    orphans: dict[str, int] = {}
    for name, table in _TABLES.items():
        area, parts = _pieces(version, name), slices(lake, table.name)
        settle_versions(installation.settings, area, parts, partitions)
        for found in spread(partial(_exchange, installation.settings, version, partitions, name), parts):
            orphans |= {source: orphans.get(source, 0) + n for source, n in found.items()}
        spread(partial(_settle, installation.settings, version, name), range(partitions))
        lake.objects.delete_below(area)
    gathered = Gathered(version, partitions, orphans)
    lake.objects.put(f"{AREA}/current.json", orjson.dumps(asdict(gathered)))
    for old in lake.objects.folders(AREA):
        if old != version:
            lake.objects.delete_below(f"{AREA}/{old}")
    return gathered


def _partitions(lake: Lake) -> int:
    customers = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null()).select(pl.col("golden_id").n_unique())
    rows = max(lake.rows(t.name) for t in _TABLES.values())
    return max(-(-int(customers.collect().item()) // CUSTOMERS_A_PARTITION), -(-rows // ROWS_A_PARTITION))


def customer_rows(lake: Lake, gathered: Gathered, name: str, partition: int) -> pl.LazyFrame:
    """`interactions` or `cases` as they stand, with `golden_id`, of one partition of customers, oldest first."""
    return customer_versions(lake, gathered, name, partition).filter(pl.col(UNTIL).is_null()).drop(UNTIL)


def customer_versions(lake: Lake, gathered: Gathered, name: str, partition: int) -> pl.LazyFrame:
    """As `customer_rows`, but every version, each with its customer and in `UNTIL` until when it held."""
    data = lake.objects.get(_settled(gathered.version, name, partition))
    return (_empty(name) if data is None else pl.read_parquet(BytesIO(data))).lazy()


def partition_of(column: pl.Expr, partitions: int) -> pl.Expr:
    """The partition of a golden ID: the same for all tables of one gathering."""
    return column.hash(seed=17) % partitions


def _exchange(settings: StorageSettings, version: str, partitions: int, name: str, part: Slice) -> dict[str, int]:
    """Split one slice by customer, on a worker, and return how many rows of each source belong to no customer."""
    lake = Installation(settings).lake
    area = _pieces(version, name)
    rows = with_until(settings, area, part, _TABLES[name].arrow.names).filter(~pl.col("deleted"))
    named = rows["contact_key"].drop_nulls().unique().implode()
    links = current_links(lake).filter(pl.col("record_key").is_in(named)).collect()
    owned = rows.join(links, left_on="contact_key", right_on="record_key", how="inner", maintain_order="left")
    put_pieces(lake.objects, f"{area}/rows", part.label, owned, partition_of(pl.col("golden_id"), partitions))
    standing = rows.filter(pl.col(UNTIL).is_null())
    orphans = standing.join(links, left_on="contact_key", right_on="record_key", how="anti")
    return dict(orphans.group_by("source").len().iter_rows())


def _settle(settings: StorageSettings, version: str, name: str, partition: int) -> None:
    """Join the pieces of one partition, on a worker: oldest first. Once done it stands, should it be told again."""
    objects = Installation(settings).lake.objects
    place = _settled(version, name, partition)
    if objects.size(place) is not None:
        return
    rows = read_pieces(objects, f"{_pieces(version, name)}/rows", partition)
    if rows is not None:
        objects.put(place, as_parquet(rows.sort(*ORDER, "source", maintain_order=True)))


def _pieces(version: str, name: str) -> str:
    return f"{AREA}/{version}/{name}/pieces"


def _settled(version: str, name: str, partition: int) -> str:
    return f"{AREA}/{version}/{name}/{partition}.parquet"


def _empty(name: str) -> pl.DataFrame:
    frame = pl.DataFrame(schema=pl.Schema(_TABLES[name].arrow))
    until = pl.lit(None, frame.schema["effective_at"]).alias(UNTIL)
    return frame.with_columns(until, golden_id=pl.lit(None, dtype=pl.String))


def customer_records(lake: Lake, partitions: int, partition: int) -> pl.DataFrame:
    """Latest contact records with `golden_id`, of one partition of customers."""
    links = current_links(lake).filter(partition_of(pl.col("golden_id"), partitions) == partition)
    own = lake.scan(CONTACT_RECORDS.name).join(links, on="record_key", how="inner")
    return latest(own).collect()
