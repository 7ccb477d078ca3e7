"""One SQL database to read: connecting, naming tables, streaming rows; errors hold neither secrets nor data."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SAWarning, SQLAlchemyError
from sqlalchemy.pool import NullPool

from onefold_storage.errors import BadInput, Unavailable
from onefold_workers.connectors import _adbc
from onefold_workers.connectors._adbc_values import Piece
from onefold_workers.connectors._locations import Location
from onefold_workers.connectors._values import arrow_type

_FRAGMENT = re.compile(r"#([\w.$ -]+)$")
_LISTED = 20
_PATIENCE = {"connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
# SQLSTATE classes whose messages speak of names, roles and syntax, never of values.
_TELLING = ("08", "28", "3D", "42", "57", "53")


@dataclass
class Database:
    """An open connection, used for one statement. `columns`: those of the last result."""

    location: Location
    connection: sa.Connection
    table: str | None
    where: str
    columns: list[str] = field(default_factory=list)

    @staticmethod
    @contextmanager
    def open(location: Location, base: Path, where: str) -> Iterator[Database]:
        """Connect; a relative SQLite path starts from `base`. `where` is how errors name the location.

        Raises:
            BadInput: not a database URL, no such file, a driver that is not installed, or an error while reading.
            Unavailable: the server does not answer.
        """
        url, table = _url(location, base, where)
        shown = _shown(url)
        try:
            engine = sa.create_engine(_patient(url), poolclass=NullPool)
        except (NoSuchModuleError, ImportError) as error:
            raise BadInput(f"{where}: no driver for {url.drivername}; install one, or name another") from error
        if engine.dialect.is_async:
            raise BadInput(f"{where}: {url.drivername} is asynchronous; name a driver that is not")
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _keep_all_text)
        elif engine.dialect.driver == "psycopg":
            sa.event.listen(engine, "connect", _keep_all_times)
        try:
            connection = engine.connect()
        except DBAPIError as error:
            reason = location.redact(_reason(error))
            if engine.dialect.name == "sqlite":
                raise BadInput(f"{where}: {shown} cannot be opened ({reason})") from None
            raise Unavailable(f"{where}: {shown} does not answer ({reason})") from None
        database = Database(location, connection, table, where)
        try:
            yield database
        except DBAPIError as error:
            passing = error.connection_invalidated or "locked" in str(error.orig)
            said = f"{where}: {shown}: {location.redact(_reason(error))}"
            raise (Unavailable if passing else BadInput)(said) from None
        except SQLAlchemyError as error:
            raise BadInput(f"{where}: {shown} cannot be read ({type(error).__name__})") from None
        finally:
            database.connection.close()
            engine.dispose()

    def origin(self, table: str | None) -> str:
        """The database and what is read from it, without user and password."""
        name = table or self.table
        return self.location.redact(_shown(self.connection.engine.url) + (f"#{name}" if name else ""))

    def table_name(self, option: str | None) -> str:
        """The table to read: the option's, the one after `#` in the URL, or the only one that there is.

        Raises:
            BadInput: none of these.
        """
        if name := option or self.table:
            return name
        names = sa.inspect(self.connection).get_table_names()
        if len(names) == 1:
            return names[0]
        raise BadInput(f"{self.where}: expected a table (option `table`, or `#table` after the URL); {_has(names)}")

    def select(
        self,
        option: str | None,
        key: tuple[str, ...],
        otherwise: tuple[str, ...],
        cursor: str | None = None,
        since: Any = None,
    ) -> tuple[list[str], dict[str, pa.DataType | None], sa.Executable]:
        """Columns, their Arrow types where the database fixes them, and the statement for a whole table by key.

        `since`: only rows whose `cursor` is at least that, or null.

        Raises:
            BadInput: no such table, key or cursor column; the message says what there is.
        """
        name = self.table_name(option)
        schema, _, bare = name.rpartition(".")
        inspector = sa.inspect(self.connection)
        if schema and inspector.has_table(name):
            schema, bare = "", name
        if not inspector.has_table(bare, schema or None):
            names = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
            raise BadInput(f"{self.where}: no table {name!r}; {_has(names)}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # of types it does not know: values say what they are
            columns = inspector.get_columns(bare, schema or None)
        names = [c["name"] for c in columns]
        missing = [k for k in (*key, *([cursor] if cursor else [])) if k not in names]
        if missing:
            raise BadInput(f"{self.where}: key or cursor: {name} has no column {', '.join(missing)}; {_has(names)}")
        own = inspector.get_pk_constraint(bare, schema or None)["constrained_columns"] if not key else []
        order = key or tuple(own) or tuple(k for k in otherwise if set(otherwise) <= set(names))
        # Columns without a type: values come as the driver gives them, unchanged by SQLAlchemy.
        source = sa.table(bare, *map(sa.column, names), schema=schema or None)
        statement = sa.select(source).order_by(*(source.c[k] for k in order))
        if cursor is not None and since is not None:
            statement = statement.where(sa.or_(source.c[cursor] >= since, source.c[cursor].is_(None)))
        types = {c["name"]: arrow_type(c["type"], self.connection.dialect.name) for c in columns}
        return names, types, statement

    def arrow(
        self, statement: sa.Executable, names: list[str], types: dict[str, pa.DataType | None], rows: int
    ) -> Iterator[Piece]:
        """The result as Arrow, `rows` rows at a time, on a connection of its own; see `_adbc.py`.

        Raises:
            NotSame: `fetch` it instead.
        """
        self.connection.close()
        return _adbc.pieces(self.connection.engine.url, statement, names, types, rows)

    def fetch(self, statement: sa.Executable, rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """The result, `rows` rows at a time, from a server-side cursor where the driver has one.

        Raises:
            BadInput: the query gives no rows, or two columns of one name.
        """
        if self.connection.closed:
            self.connection = self.connection.engine.connect()
        result = self.connection.execution_options(stream_results=True, yield_per=rows).execute(statement)
        if not result.returns_rows:
            raise BadInput(f"{self.where}: query: expected one that returns rows")
        self.columns = list(result.keys())
        if len(set(self.columns)) < len(self.columns):
            raise BadInput(f"{self.where}: query: two columns share a name; give each its own with AS")
        for part in result.partitions(rows):  # what is written as text knows no `yield_per`
            yield list(map(tuple, part))


def _url(location: Location, base: Path, where: str) -> tuple[sa.URL, str | None]:
    match = _FRAGMENT.search(location.value)
    table = match[1] if match else None
    try:
        url = sa.make_url(location.value[: match.start()] if match else location.value)
    except (ArgumentError, ValueError):
        raise BadInput(f"{where}: expected a database URL such as postgresql://host/name") from None
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return url, table
    path = base / str(url.database)
    if not path.is_file():
        raise BadInput(f"{where}: no such file: {location.redact(str(url.database))}")
    return url.set(database=str(path)), table


def _patient(url: sa.URL) -> sa.URL:
    """The URL with an end to waiting for a server that says nothing, unless it sets one itself."""
    if url.get_backend_name() != "postgresql" or url.get_driver_name() not in _adbc.LIBPQ:
        return url
    return url.set(query={**_PATIENCE, **url.query})


def _shown(url: sa.URL) -> str:
    """The URL without user, password and query; of an SQLite file only its name."""
    if url.get_backend_name() == "sqlite":
        return Path(url.database or ":memory:").name
    return str(sa.URL.create(url.drivername, host=url.host, port=url.port, database=url.database))


def _reason(error: DBAPIError) -> str:
    """What went wrong, without values of the data: the driver's words only where they speak of something else."""
    original = error.orig
    state = getattr(original, "sqlstate", None)
    name = type(original).__name__
    words = str(original).strip().splitlines()
    telling = state.startswith(_TELLING) if state else name in {"OperationalError", "DatabaseError"}
    if telling and words and "decode" not in words[0].lower():
        return f"{name}: {words[0]}"
    return f"{name} {state}" if state else name


def _has(names: Sequence[str]) -> str:
    listed = ", ".join(sorted(names)[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    return f"there are {listed}" if names else "there are none"


def _keep_all_text(connection: Any, _record: Any) -> None:
    """SQLite holds any bytes as text; keep those that are none, so that one row does not stop the others."""
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")


def _keep_all_times(connection: Any, _record: Any) -> None:
    """PostgreSQL knows `infinity` and years that Python does not; keep those as text instead of stopping."""
    from psycopg import DataError
    from psycopg.types import datetime as loaders

    def tolerant(loader: Any) -> type:
        def load(self: Any, data: Any) -> Any:
            try:
                return loader.load(self, data)
            except DataError:
                return bytes(data).decode()

        return type(loader.__name__, (loader,), {"load": load})

    for name in ("date", "timestamp", "timestamptz"):
        connection.adapters.register_loader(name, tolerant(getattr(loaders, f"{name.capitalize()}Loader")))
