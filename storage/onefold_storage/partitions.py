"""How rows are split by the column that a table is partitioned by."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from onefold_storage.errors import BadInput


def split(rows: pa.Table, by: tuple[str, ...]) -> Iterator[tuple[dict[str, str | None], pa.Table]]:
    """Each partition, as `{column: value}`, with its rows, in the order of the values; by one column at most."""
    if not by:
        yield {}, rows
        return
    if len(by) > 1:
        raise BadInput("tables are partitioned by one column at most")
    column = rows.column(by[0])
    pieces: dict[str | None, pa.Table] = {}
    for value in pc.unique(column).to_pylist():
        chosen = pc.is_null(column) if value is None else pc.equal(column, value)
        pieces[value] = rows.filter(chosen).drop_columns(list(by))
    for value, piece in sorted(pieces.items(), key=lambda item: item[0] or ""):
        yield {by[0]: value}, piece
