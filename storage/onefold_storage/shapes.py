"""What a table's writes must look like, and whether a part does: delta-rs would commit a missing or foreign one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import SEEK_END
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from onefold_storage.errors import BadInput, NotFound, Unavailable
from onefold_storage.faults import told
from onefold_storage.objects import Objects
from onefold_storage.parts import Part
from onefold_storage.schema import TABLES


@dataclass(frozen=True)
class TableShape:
    """What a table's writes must look like; for tables whose shape comes from a declaration."""

    schema: pa.Schema
    partition_by: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


def declared(name: str) -> TableShape:
    """The shape of a canonical table.

    Raises:
        NotFound: no table of this name is declared.
    """
    if name not in TABLES:
        raise NotFound(f"{name}: no such table is declared")
    table = TABLES[name]
    return TableShape(table.arrow, table.partition_by, table.statistics, table.required)


def check(objects: Objects, name: str, part: Part, shape: TableShape) -> None:
    """Look at a part before it is committed.

    Raises:
        Unavailable: it is not there or not whole.
        BadInput: it has another schema than the table.
    """
    key = f"{name}/{part.path}"
    try:
        whole, found = _look(objects.stream, key, part.size)
    except FileNotFoundError:
        whole, found = False, None
    except Unavailable:
        whole, found = _look(objects.open, key, part.size)
    if not whole:
        raise Unavailable(f"{key}: the object is missing or not whole; run the step again")
    expected = pa.schema([f for f in shape.schema if f.name not in shape.partition_by])
    if not found.equals(expected):
        raise BadInput(f"{key}: has another schema than {name}")


@told()
def _look(opened: Callable[[str], Any], key: str, size: int) -> tuple[bool, Any]:
    """Whether an object has this size, and then the schema of its rows."""
    with opened(key) as file:
        whole = file.seek(0, SEEK_END) == size
        return whole, pq.read_schema(file) if whole else None
