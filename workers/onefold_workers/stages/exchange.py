"""Rows that tasks hand to one another: split into pieces by share, put as objects, read back a share at a time.

A piece is named by its share and by the task that wrote it, so a task that runs twice writes the same pieces. Who spread
the tasks removes the pieces, once all that read them are done: a reader that removed them could die in the middle of
it, and would find fewer when it is run again.
"""

from __future__ import annotations

from io import BytesIO

import polars as pl

from onefold_storage.objects import Objects


def put_pieces(objects: Objects, folder: str, writer: str, rows: pl.DataFrame, share: pl.Expr | pl.Series) -> None:
    """Split rows by `share` (a name or a number each) and put each share's piece."""
    pieces = rows.with_columns(_share=share).partition_by("_share", as_dict=True, include_key=False)
    for (name,), piece in pieces.items():
        objects.put(f"{folder}/{name}/{writer}", as_parquet(piece))


def read_pieces(objects: Objects, folder: str, share: str | int) -> pl.DataFrame | None:
    """All pieces of a share, in the order of their writers' names; None where there are none."""
    pieces = [pl.read_parquet(BytesIO(objects.get(k) or b"")) for k in objects.keys(f"{folder}/{share}")]
    return pl.concat(pieces) if pieces else None


def as_parquet(rows: pl.DataFrame) -> bytes:
    """Rows as a Parquet object that is soon read once, whole."""
    sink = BytesIO()
    rows.write_parquet(sink, compression="lz4", statistics=False)
    return sink.getvalue()
