"""Tables and queries of SQL databases: one delivery a result, ordered by key; as Arrow where a driver gives that.

`content` must be known before the first batch is handed on. So the result is read once, by one statement (which
every database answers from one snapshot), into a nameless temporary file, and hashed on the way: the database
is asked once, holds no transaction while landing works, and a result that landed before costs no second reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pydantic import Field, model_validator

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Delivery
from onefold_storage.errors import BadContract, BadInput
from onefold_storage.pace import Pace
from onefold_workers.connectors import _locations
from onefold_workers.connectors._adbc_values import NotSame
from onefold_workers.connectors._connector import Connector, Options
from onefold_workers.connectors._cursor import Cursor, chained
from onefold_workers.connectors._database import Database
from onefold_workers.connectors._result import Result
from onefold_workers.connectors._result_hash import Kind

Types = dict[str, pa.DataType | None]


class SqlOptions(Options):
    """What to read: `table` (may be `schema.table`) or `query`; without either the table after `#` in the URL.

    `key`: columns to order by; by default the table's primary key, else the contract's. A query is sent as it
    is written: order it there. `rows`: rows fetched at a time.
    `cursor`: a column that grows with each change; with delivery `changes` only rows at or after the greatest value
    of the last reading are read, those without a value always. `cursor_lag`: so much before it, for transactions
    that end late (seconds, or the column's unit); what is read twice is repeated, and costs nothing else.
    `rows_per_second`: no faster than that, so that a database in use is spared; the statement stays open for longer.
    """

    table: str | None = None
    query: str | None = None
    key: tuple[str, ...] = ()
    rows: int = Field(default=50_000, ge=1)
    cursor: str | None = None
    cursor_lag: float = Field(default=0, ge=0)
    rows_per_second: float | None = Field(default=None, gt=0)

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
        asked = repr((options.query or database.table_name(options.table), names, since))
        origin = database.origin(options.table)
        try:
            found, last = _by_arrow(database, statement, names, types, options, Result(origin, asked), cursor)
        except NotSame:
            found, last = _by_rows(database, statement, names, types, options, Result(origin, asked), cursor)
    if options.cursor is None and contract.rules.delivery == "changes":
        mark = chained(bookmark, found.content)
        yield Delivery(mark["content"], origin, found.batches(), bookmark=lambda: mark)
    elif options.cursor is None:
        yield Delivery(found.content, origin, found.batches())
    elif found.row or bookmark is None:
        yield Delivery(found.content, origin, found.batches(), bookmark=last.bookmark)


def first(contract: Contract, base: Path, options: SqlOptions, rows: int) -> Iterator[Delivery]:
    """One delivery with the first rows; the database is asked for no more.

    Raises:
        BadInput, Unavailable: as `deliveries`.
    """
    where = f"{contract.id}: onefold.location"
    with Database.open(_locations.read(contract.rules.location, where), base, where) as database:
        found = _first(database, options, contract.primary_key, rows)
    yield Delivery(found.content, found.origin, found.batches())


def sample(text: str, base: Path, rows: int, options: SqlOptions) -> tuple[pa.Table, dict[str, Any]]:
    """The first rows of a table or query, and the table's name as an option.

    Raises:
        BadInput, Unavailable: as `deliveries`; also where the database has several tables and none is named.
    """
    with Database.open(_locations.read(text), base, "location") as database:
        found = {} if options.query else {"table": database.table_name(options.table)}
        result = _first(database, options, (), rows)
    return pa.concat_tables([b.rows for b in result.batches()], promote_options="permissive"), found


def _statement(
    database: Database, options: SqlOptions, key: tuple[str, ...], since: Any
) -> tuple[list[str], dict[str, pa.DataType | None], sa.Executable]:
    """Column names and types (both unknown for a query) and the statement."""
    if options.query is not None:
        return [], {}, sa.text(options.query)
    return database.select(options.table, options.key, key, options.cursor, since)


def _first(database: Database, options: SqlOptions, key: tuple[str, ...], rows: int) -> Result:
    names, types, statement = _statement(database, options, key, None)
    if isinstance(statement, sa.Select):
        statement = statement.order_by(None).limit(rows)  # sorting could mean that all of it is read
    result, pace = Result(database.origin(options.table), ""), Pace(options.rows_per_second)
    for piece in database.fetch(statement, pace.piece(min(options.rows, rows))):
        pace.wait(len(piece))
        result.write_rows(names or database.columns, types, piece[: rows - result.row])
        if result.row >= rows:
            break
    if result.row == 0:
        result.write_rows(names or database.columns, types, [])
    database.connection.invalidate()  # some drivers read what is left of a query when it is closed
    return result


def _by_arrow(
    database: Database, statement: sa.Executable, names: list[str], types: Types, options: SqlOptions,
    result: Result, before: Cursor,
) -> tuple[Result, Cursor]:  # fmt: skip
    if options.rows_per_second:
        raise NotSame("a driver reads ahead as fast as it can")
    cursor = copy(before)
    for piece in database.arrow(statement, names, types, options.rows):
        result.write_arrow(piece.table, piece.hashed)
        if options.cursor and piece.table.num_rows:
            at = piece.table.column_names.index(options.cursor)
            kind, given = piece.hashed[at]
            if kind == Kind.OTHER or not isinstance(given, pa.Array):
                raise NotSame("a cursor that may have no order")
            _see(cursor, [pc.max(piece.table.column(at)).as_py()], options.cursor)
    return result, cursor


def _by_rows(
    database: Database, statement: sa.Executable, names: list[str], types: Types, options: SqlOptions,
    result: Result, before: Cursor,
) -> tuple[Result, Cursor]:  # fmt: skip
    cursor, pace = copy(before), Pace(options.rows_per_second)
    for rows in database.fetch(statement, pace.piece(options.rows)):
        pace.wait(len(rows))
        result.write_rows(names or database.columns, types, rows)
        if options.cursor:
            at = names.index(options.cursor)
            _see(cursor, (r[at] for r in rows), f"{database.where}: {options.cursor}")
    if result.row == 0:
        result.write_rows(names or database.columns, types, [])
    return result, cursor


def _see(cursor: Cursor, values: Iterable[Any], where: str) -> None:
    try:
        cursor.see(values)
    except TypeError:
        raise BadInput(
            f"{where}: as a cursor expected values of one kind that has an order, found others"
        ) from None


CONNECTOR = Connector(
    "sql",
    SqlOptions,
    ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql"),
    deliveries,
    sample,
    first=first,
)
