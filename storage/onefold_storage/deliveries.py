"""What a connector hands to landing: deliveries made of batches, with the rows it could not even read.

Connectors (floor 2) produce these, landing (floor 1) consumes them, so the words live here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read or broke the contract; `raw` is the row as it came."""

    row_id: int
    rule: str
    message: str
    raw: bytes
    field: str | None = None


@dataclass(frozen=True)
class Document:
    """An object that the row at this place names by its key (`documents.key_of`): a photo, a mail's attachment.

    `sha256` and `size` are those of the bytes that `read` opens; it is asked in any thread, once or never.
    """

    row_id: int
    sha256: str
    size: int
    read: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class Batch:
    """Rows as the source sent them and where they stood.

    `rows`: columns by the source's names; text formats give strings (`pa.string()`, or `pa.binary()` where the
    bytes are not valid text), Parquet and SQL give their own types. Columns beyond the contract may be present.
    `row_ids`: one int64 a row, its place in the delivery from 0, bad rows counted.
    `bad`: rows of this stretch that could not be read.
    `repeated`, `suppressed`: rows that are in neither, since they landed before, or are a person's who was erased.
    `documents`: objects that its rows name; they are stored before the rows are, those of suppressed rows never.
    """

    rows: pa.Table
    row_ids: pa.Array
    bad: tuple[BadRow, ...] = field(default=())
    repeated: int = 0
    suppressed: int = 0
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True)
class Request:
    """A request that its sender named by a key: `events` rows of a package from row `first` on.

    `key` and `body` are keyed hashes: of the sender's key, and of what was sent under it.
    """

    key: str
    body: str
    first: int
    events: int


@dataclass(frozen=True)
class Delivery:
    """One load package to be: `content` identifies it (hash of a file's bytes, or of a query's result).

    `origin` says where it came from, for people (a file's path, a table's name), without secrets.
    `batches` is read once, lazily, so that memory does not grow with the delivery.
    `apart`: its rows come from many senders, so a column that fits in none of them is the fault of each row, and
    holds nothing back.
    `requests`: those that named themselves by a key; complete when the batches have been read.
    `bookmark`: asked after the last batch, says in JSON where the source's reader then stands; it is committed
    together with the rows, and the next reading begins there. It holds nothing personal.
    `landed`: called when it has landed, or is found to have landed before.
    """

    content: str
    origin: str
    batches: Iterator[Batch]
    apart: bool = False
    requests: list[Request] = field(default_factory=list)
    bookmark: Callable[[], Any] | None = None
    landed: Callable[[], None] | None = None
