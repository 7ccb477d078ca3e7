"""Until when each version of a record held, of a table that no task reads whole.

A later version stands in any slice, and may name another customer, or none. So versions are settled by record key
before rows are split by customer. Record keys and times alone are exchanged for that: each slice tells its own, each
share of the record keys finds what was superseded, and tells the slice where that stands.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import spread
from onefold_workers.point_in_time import UNTIL, superseded_at
from onefold_workers.stages.exchange import put_pieces, read_pieces
from onefold_workers.stages.slices import Slice, slice_frame

ORDER = ("effective_at", "package_id", "row_id")
"""Of two versions of a record the later one stands: by what it says, then by arrival."""


def settle_versions(settings: StorageSettings, area: str, parts: list[Slice], shares: int) -> None:
    """Find out until when the versions in these slices, all of a table's, held; pieces are left below `area`."""
    spread(partial(_tell, settings, area, shares), parts)
    spread(partial(_find, settings, area), range(shares))


def with_until(settings: StorageSettings, area: str, part: Slice, columns: list[str]) -> pl.DataFrame:
    """A slice's rows and until when each held, null if it still does; its versions have been settled."""
    lake = Installation(settings).lake
    rows = slice_frame(lake, part, columns).select(columns)
    found = read_pieces(lake.objects, f"{area}/superseded", part.label)
    if found is None:
        return rows.with_columns(pl.lit(None, rows.schema["effective_at"]).alias(UNTIL))
    return rows.with_row_index("_row").join(found, on="_row", how="left", maintain_order="left").drop("_row")


def _tell(settings: StorageSettings, area: str, shares: int, part: Slice) -> None:
    """One slice's record keys and times, by share of the record keys."""
    lake = Installation(settings).lake
    rows = slice_frame(lake, part, ["record_key", *ORDER]).with_row_index("_row")
    share = pl.col("record_key").hash(seed=19) % shares
    put_pieces(lake.objects, f"{area}/told", part.label, rows.with_columns(_slice=pl.lit(part.label)), share)


def _find(settings: StorageSettings, area: str, share: int) -> None:
    """Which rows of one share of the record keys were superseded and when, by slice."""
    objects = Installation(settings).lake.objects
    told = read_pieces(objects, f"{area}/told", share)
    if told is None:
        return
    several = told.filter(pl.col("record_key").is_duplicated()).sort(ORDER, maintain_order=True)
    found = several.select("_slice", "_row", superseded_at()).drop_nulls(UNTIL)
    put_pieces(objects, f"{area}/superseded", str(share), found.drop("_slice"), found["_slice"])
