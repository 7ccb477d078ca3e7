"""A query's result as Arrow straight from the database, through ADBC, where that gives exactly the same rows.

SQLite and PostgreSQL have a driver. What it gives is brought to what the other way (`_database.py`) gives, piece by
piece of as many rows. Where it would be something else (`NotSame`), or the driver is missing or fails for any reason,
nothing has been handed on yet, and the result is read the other way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from onefold_workers.connectors._adbc_values import NotSame, Piece, from_postgres, from_sqlite, with_nulls

LIBPQ = ("psycopg", "psycopg2")
"""Drivers that read a URL's options as PostgreSQL's own library does."""
_FAULTS = (ImportError, OSError, ValueError, ArithmeticError, SQLAlchemyError)
_INSTEAD: dict[str | None, Any] = {
    "integer": sa.literal_column("0"), "real": sa.literal_column("0.0"), "text": sa.literal_column("''"),
    "blob": sa.literal_column("x''"), None: None,
}  # fmt: skip
_DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect(paramstyle="named")}


def pieces(
    url: sa.URL, statement: sa.Executable, names: Sequence[str], types: dict[str, pa.DataType | None], rows: int
) -> Iterator[Piece]:
    """The result, `rows` rows at a time. `names` and `types`: of a table's columns; empty for a query.

    Raises:
        NotSame: read it the other way, which will also find, and can say, what is wrong.
    """
    read = {"sqlite": _sqlite, "postgresql": _postgres}.get(url.get_backend_name())
    if read is None:
        raise NotSame("no driver")
    try:
        yield from read(url, statement, names, types, rows)
    except Exception as error:
        if isinstance(error, (*_FAULTS, *_driver_errors())):
            raise NotSame(type(error).__name__) from None
        raise


def _asked(statement: sa.Executable, kind: str) -> str:
    compiled = statement.compile(dialect=_DIALECTS[kind], compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
    if compiled.params:
        raise NotSame("a query with parameters")
    return str(compiled)


def _sqlite(
    url: sa.URL, statement: sa.Executable, names: Sequence[str], types: dict[str, pa.DataType | None], rows: int
) -> Iterator[Piece]:
    """A value of SQLite may be of any type. The driver takes each column's from its first rows, so look first.

    Nulls come as another value and a mark, or a column that begins with nulls would be taken for integers. The
    driver is another SQLite than Python's: of one file a process may have open only one of the two at a time,
    since closing it in one drops the locks of both.
    """
    import adbc_driver_sqlite.dbapi as driver

    if not isinstance(statement, sa.Select):
        raise NotSame("a query: its columns could be of any types")
    if url.query:
        raise NotSame("options in the URL")
    columns = [statement.selected_columns[n] for n in names]
    there = Path(str(url.database)).absolute().as_uri() + "?mode=ro"
    with driver.connect(there) as connection, connection.cursor() as cursor:
        cursor.execute(_asked(_looked(statement, columns), "sqlite"))
        found = list(cursor.fetchone() or ())
        if found[0::3] != found[1::3]:
            raise NotSame("a column of several types")
        stored = dict(zip(names, found[0::3], strict=True))
        instead = [_INSTEAD[kind] if nulls else None for kind, nulls in zip(found[0::3], found[2::3], strict=True)]
        marked = [c for c, other in zip(columns, instead, strict=True) if other is not None]
        asked = statement.with_only_columns(
            *(c if o is None else sa.func.ifnull(c, o) for c, o in zip(columns, instead, strict=True)),
            *(c.is_(None) for c in marked),
        )
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(rows)})
        cursor.execute(_asked(asked, "sqlite"))
        for table in _cut(cursor.fetch_record_batch(), rows):
            yield from_sqlite(with_nulls(table, names, [c.name for c in marked]), stored, types)


def _looked(statement: sa.Select[Any], columns: list[Any]) -> sa.Select[Any]:
    """Of each column the least and greatest storage class, nulls aside, and how many nulls."""
    kinds = [(sa.func.nullif(sa.func.typeof(c), "null"), sa.func.count() - sa.func.count(c)) for c in columns]
    asked = [f for kind, nulls in kinds for f in (sa.func.min(kind), sa.func.max(kind), nulls)]
    return statement.order_by(None).with_only_columns(*asked)


def _postgres(
    url: sa.URL, statement: sa.Executable, _names: Sequence[str], types: dict[str, pa.DataType | None], rows: int
) -> Iterator[Piece]:
    """PostgreSQL tells the types, and sends the result as one COPY of one snapshot."""
    import adbc_driver_postgresql.dbapi as driver

    if url.get_driver_name() not in LIBPQ:
        raise NotSame("another driver may understand other options")
    libpq = url.set(drivername="postgresql").update_query_dict({"client_encoding": "UTF8"})
    with driver.connect(libpq.render_as_string(hide_password=False)) as connection, connection.cursor() as cursor:
        cursor.execute(_asked(statement, "postgresql"))
        for table in _cut(cursor.fetch_record_batch(), rows):
            yield from_postgres(table, types)


def _cut(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.Table]:
    """The same in tables of `rows` rows each, the last aside; one without rows where there are none."""
    held = reader.schema.empty_table()
    seen = False
    for batch in reader:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while held.num_rows >= rows:
            seen = True
            yield held.slice(0, rows)
            held = held.slice(rows)
    if held.num_rows or not seen:
        yield held


def _driver_errors() -> tuple[type[Exception], ...]:
    try:
        import adbc_driver_manager
    except ImportError:
        return ()
    return (adbc_driver_manager.Error,)
