"""Tables and queries of SQL databases through SQLAlchemy: one delivery a result, ordered by key.

`content` must be known before the first batch is handed on. So the result is read once, by one statement (which
every database answers from one snapshot), into a nameless temporary file, and hashed on the way: the database
is asked once, holds no transaction while landing works, and a result that landed before costs no second reading.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from pydantic import Field, model_validator

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch, Delivery
from onefold_storage.errors import BadContract, BadInput
from onefold_workers.connectors import _locations
from onefold_workers.connectors._connector import Connector, Options
from onefold_workers.connectors._cursor import Cursor, chained
from onefold_workers.connectors._database import Database
from onefold_workers.connectors._values import arrow_column


class SqlOptions(Options):
    """What to read: `table` (may be `schema.table`) or `query`; without either the table after `#` in the URL.

    `key`: columns to order by; by default the table's primary key, else the contract's. A query is sent as it
    is written: order it there. `rows`: rows fetched at a time.
    `cursor`: a column that grows with each change; with delivery `changes` only rows at or after the greatest value
    of the last reading are read, those without a value always. `cursor_lag`: so much before it, for transactions
    that end late (seconds, or the column's unit); what is read twice is repeated, and costs nothing else.
    """

    table: str | None = None
    query: str | None = None
    key: tuple[str, ...] = ()
    rows: int = Field(default=50_000, ge=1)
    cursor: str | None = None
    cursor_lag: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one(self) -> SqlOptions:
        if self.table is not None and self.query is not None:
            raise ValueError("name either `table` or `query`")
        if self.cursor is not None and self.query is not None:
            raise ValueError("`cursor` goes with `table`")
        return self


def deliveries(contract: Contract, base: Path, options: SqlOptions, bookmark: Any) -> Iterator[Delivery]:
    """One delivery: the whole result. `content` is SHA-256 over what was asked, column names and values in order.

    Values keep their types: Decimal, dates, times, bytes; JSON and arrays become JSON text. Rows with text that
    is not UTF-8 (SQLite allows it) come as bad rows (`encoding`). With a cursor nothing new is no delivery.

    Raises:
        BadContract: a cursor goes with another delivery than `changes`.
        BadInput: no such database, table or column, or a query that it refuses.
        Unavailable: the server does not answer.
    """
    where = f"{contract.id}: onefold.location"
    if options.cursor and contract.rules.delivery != "changes":
        raise BadContract(f"{contract.id}: onefold.delivery: with a cursor it is `changes`")
    cursor = Cursor(bookmark if options.cursor and "type" in (bookmark or {}) else None)
    with Database.open(_locations.read(contract.rules.location, where), base, where) as database:
        since = cursor.since(options.cursor_lag)
        names, types, statement = _statement(database, options, contract.primary_key, since)
        asked = (
            options.query or database.table_name(options.table),
            names,
            *([since] if since is not None else []),
        )
        digest = hashlib.sha256(repr(asked).encode())
        spool = _Spool(database.origin(options.table))
        for rows in database.fetch(statement, options.rows):
            digest.update(repr(rows)[1:-1].encode("utf-8", "surrogateescape"))
            digest.update(b", ")
            spool.write(names or database.columns, types, rows)
            if options.cursor:
                _see(cursor, (r[names.index(options.cursor)] for r in rows), f"{where}: {options.cursor}")
        digest.update(repr(database.columns).encode())
        if spool.row == 0:
            spool.write(names or database.columns, types, [])
    if options.cursor is None and contract.rules.delivery == "changes":
        mark = chained(bookmark, digest.hexdigest())
        yield Delivery(mark["content"], spool.origin, spool.batches(), bookmark=lambda: mark)
    elif options.cursor is None:
        yield Delivery(digest.hexdigest(), spool.origin, spool.batches())
    elif spool.row or bookmark is None:
        yield Delivery(digest.hexdigest(), spool.origin, spool.batches(), bookmark=cursor.bookmark)


def sample(text: str, base: Path, rows: int, options: SqlOptions) -> tuple[pa.Table, dict[str, Any]]:
    """The first rows of a table or query, and the table's name as an option.

    Raises:
        BadInput, Unavailable: as `deliveries`; also where the database has several tables and none is named.
    """
    with Database.open(_locations.read(text), base, "location") as database:
        names, types, statement = _statement(database, options, (), None)
        spool = _Spool(database.origin(options.table))
        for piece in database.fetch(statement, min(options.rows, rows)):
            spool.write(names or database.columns, types, piece[: rows - spool.row])
            if spool.row >= rows:
                break
        if spool.row == 0:
            spool.write(names or database.columns, types, [])
        found = {} if options.query else {"table": database.table_name(options.table)}
    return pa.concat_tables([b.rows for b in spool.batches()], promote_options="permissive"), found


def _statement(
    database: Database, options: SqlOptions, key: tuple[str, ...], since: Any
) -> tuple[list[str], dict[str, pa.DataType | None], sa.Executable]:
    """Column names and types (both unknown for a query) and the statement."""
    if options.query is not None:
        return [], {}, sa.text(options.query)
    return database.select(options.table, options.key, key, options.cursor, since)


def _see(cursor: Cursor, values: Iterable[Any], where: str) -> None:
    try:
        cursor.see(values)
    except TypeError:
        raise BadInput(
            f"{where}: as a cursor expected values of one kind that has an order, found others"
        ) from None


class _Spool:
    """Batches in a temporary file without a name, as Arrow streams one after the other; read once."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.row = 0
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its batches
        self._bad: list[tuple[BadRow, ...]] = []

    def write(self, names: list[str], types: dict[str, pa.DataType | None], rows: list[tuple[Any, ...]]) -> None:
        """Add rows; those with text that is no text go to the bad ones."""
        ids = np.arange(self.row, self.row + len(rows), dtype=np.int64)
        self.row += len(rows)
        bad: list[BadRow] = []
        try:
            table = _table(names, types, rows)
        except UnicodeEncodeError:
            spoilt = [not _is_text(row) for row in rows]
            message = f"{self.origin}: row {{}}: expected UTF-8 text, found other bytes"
            bad = [
                BadRow(int(i), "encoding", message.format(i), repr(row).encode("utf-8", "surrogateescape"))
                for i, row, is_bad in zip(ids, rows, spoilt, strict=True)
                if is_bad
            ]
            table = _table(names, types, [r for r, is_bad in zip(rows, spoilt, strict=True) if not is_bad])
            ids = ids[~np.array(spoilt)]
        table = table.append_column("_row_id", pa.array(ids))
        with pa.ipc.new_stream(self._file, table.schema) as writer:
            writer.write_table(table)
        self._bad.append(tuple(bad))

    def batches(self) -> Iterator[Batch]:
        """What was written."""
        with self._file as file:
            file.seek(0)
            for bad in self._bad:
                table = pa.ipc.open_stream(file).read_all()
                last = table.num_columns - 1
                yield Batch(table.remove_column(last), table.column(last).combine_chunks(), bad)


def _table(names: list[str], types: dict[str, pa.DataType | None], rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    arrays = [arrow_column(v, types.get(n)) for n, v in zip(names, columns, strict=True)]
    return pa.Table.from_arrays(arrays, names=names)


def _is_text(row: tuple[Any, ...]) -> bool:
    try:
        "".join(v for v in row if isinstance(v, str)).encode()
    except UnicodeEncodeError:
        return False
    return True


CONNECTOR = Connector(
    "sql", SqlOptions, ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql"), deliveries, sample
)
