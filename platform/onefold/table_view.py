"""One table as Arrow, Polars, pandas or a Dask frame: as it is, as it stands now, at a version, or as of a date."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from onefold_storage.as_of import as_of
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.parts import conform
from onefold_storage.schema import TABLES
from onefold_storage.settings import StorageSettings

if TYPE_CHECKING:
    import pandas as pd

Piece = tuple[str, dict[str, str | None]]
"""What one Dask task reads: a Parquet object and its partition; of a table as of a date, a whole partition."""


@dataclass(frozen=True)
class TableView:
    """A table of the lake. `version`: of Delta. `at`: rows that held then, or `now` (see `onefold_storage.as_of`).

    Silver tables hold versions: a record that changed, or came again, has several rows. Count and sum what is
    `current()`.
    """

    installation: Installation
    name: str
    version: int | None = None
    at: datetime | None = None
    now: bool = False

    def current(self) -> TableView:
        """What stands now: of each record the last version, deleted ones left out; of links those that are valid.

        Raises:
            BadInput: the table keeps no validity by row, so all of it stands.
        """
        view = self if self.at else replace(self, now=True)
        view.polars()  # says at once what cannot be read
        return view

    def polars(self) -> pl.LazyFrame:
        """As a lazy Polars frame; nothing is read before it is collected."""
        rows = self._lake.scan(self.name, self.version)
        return as_of(self.name, rows, self.at) if self._by_row else rows

    def arrow(self) -> pa.Table:
        """As Arrow, in the types that the table declares."""
        return self._lake.frame_to_arrow(self.name, self.polars().collect())

    def pandas(self) -> pd.DataFrame:
        """As pandas, with Arrow-backed columns: decimals, lists and nulls stay what they are."""
        return _pandas(self.arrow())

    def dask(self) -> Any:
        """As a Dask frame of Arrow-backed pandas, one partition an object; as of a date or now, one a source."""
        import dask.dataframe as dd

        lake = self._lake
        if not lake.exists(self.name):
            return dd.from_pandas(self.pandas(), npartitions=1)
        pieces: list[Piece] = lake.standing(self.name, self.version)
        if self._by_row and self._by_source:
            pieces = [("", {"source": s}) for s in sorted({p["source"] or "" for _, p in pieces})]
        elif self._by_row:
            pieces = [("", {})]
        if not pieces:
            return dd.from_pandas(self.pandas(), npartitions=1)
        read = partial(_piece, self.installation.settings, self.name, self.version, self.at)
        return dd.from_map(read, pieces, meta=_pandas(self._schema.empty_table()))

    def files(self) -> list[str]:
        """Paths or URLs of the version's Parquet objects, for other engines; `source=…` folders are partitions."""
        if not self._lake.exists(self.name):
            return []
        return sorted(self._lake.handle(self.name, self.version).file_uris())

    def __len__(self) -> int:
        return int(self.polars().select(pl.len()).collect().item())

    @property
    def _lake(self) -> Lake:
        return self.installation.lake

    @property
    def _by_row(self) -> bool:
        """Whether the rows tell which of them are wanted."""
        return self.now or self.at is not None

    @property
    def _by_source(self) -> bool:
        """Whether versions of one record always lie in one partition."""
        return "source" in (TABLES[self.name].partition_by if self.name in TABLES else ())

    @property
    def _schema(self) -> pa.Schema:
        return TABLES[self.name].arrow if self.name in TABLES else pa.schema(self._lake.shape(self.name).schema)


def _pandas(table: pa.Table) -> pd.DataFrame:
    import pandas as pd

    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _piece(
    settings: StorageSettings, name: str, version: int | None, at: datetime | None, piece: Piece
) -> pd.DataFrame:
    """One partition of a Dask frame, read where the task runs."""
    view = TableView(Installation(settings), name, version, at)
    lake, (path, partition) = view.installation.lake, piece
    if path:
        with lake.objects.open(f"{name}/{path}") as file:
            rows = pq.ParquetFile(file).read()
        for column, value in partition.items():
            rows = rows.append_column(column, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
        return _pandas(conform(rows, view._schema, name))
    scan = lake.scan(name, version).filter(*(pl.col(c) == v for c, v in partition.items()))
    return _pandas(lake.frame_to_arrow(name, as_of(name, scan, at).collect()))
