"""What a table is: its columns, their types, and which of them can identify a person. `schema.py` declares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column: name, Arrow type, what it means, and whether it can identify a person."""

    name: str
    type: pa.DataType
    doc: str
    personal: bool = False
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the lake: `name` is its path under the lake's root, layer first."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = field(default=())

    @cached_property
    def arrow(self) -> pa.Schema:
        """The Arrow schema that every write must have, in this order."""
        return pa.schema([pa.field(c.name, c.type, nullable=True) for c in self.columns])

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that may not be null."""
        return tuple(c.name for c in self.columns if c.required)

    @property
    def personal(self) -> tuple[str, ...]:
        """Columns that can identify a person; they are kept out of statistics and predicates."""
        return tuple(c.name for c in self.columns if c.personal)

    @property
    def statistics(self) -> tuple[str, ...]:
        """Columns whose minimum and maximum may stand in the log: flat and not personal."""
        flat = (c for c in self.columns if not c.personal and not pa.types.is_nested(c.type))
        return tuple(c.name for c in flat if c.name not in self.partition_by)


def text(name: str, doc: str, *, personal: bool = False, required: bool = False) -> Column:
    """A column of text."""
    return Column(name, pa.string(), doc, personal, required)


def moment(name: str, doc: str, *, required: bool = False) -> Column:
    """A column of moments."""
    return Column(name, TIMESTAMP, doc, required=required)
