"""The ledger: what must hold whatever happens to the lake's tables, in SQL.

`Ledger.open(url)` gives one book a concept (`packages`, `keys`, `wishes`, …). Each call of a book is a
transaction of its own; inside `with ledger.transaction() as books:` they share one, committed at the end.
Times of data come from the injected clock; keys, audit and runs use the machine's, so that a key expires and
a trail is honest even where the platform's time is fixed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from onefold_storage import ledger_schema
from onefold_storage.audit import Audit
from onefold_storage.bookmarks import Bookmarks
from onefold_storage.clock import Clock, SystemClock
from onefold_storage.errors import BadInput, Unavailable
from onefold_storage.keys import Keys
from onefold_storage.ledger_access import Access
from onefold_storage.packages import Packages
from onefold_storage.publication_log import PublicationLog
from onefold_storage.requests import Requests
from onefold_storage.runs import Runs
from onefold_storage.suppression import SuppressionList
from onefold_storage.wishes import Wishes

_BUSY_SECONDS = 30.0
_WRITERS = 0x6F6E65  # the advisory lock that writers hold


class Books:
    """The ledger's books over one way to reach the database."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock

    @cached_property
    def packages(self) -> Packages:
        """Load packages."""
        return Packages(self._access)

    @cached_property
    def requests(self) -> Requests:
        """Requests that landed under their sender's key."""
        return Requests(self._access)

    @cached_property
    def bookmarks(self) -> Bookmarks:
        """Where each source's reader stands."""
        return Bookmarks(self._access, self._clock)

    @cached_property
    def keys(self) -> Keys:
        """API keys."""
        return Keys(self._access, SystemClock())

    @cached_property
    def audit(self) -> Audit:
        """Who did what."""
        return Audit(self._access, SystemClock())

    @cached_property
    def suppression(self) -> SuppressionList:
        """Who may not land again."""
        return SuppressionList(self._access, self._clock)

    @cached_property
    def wishes(self) -> Wishes:
        """Live consents and objections."""
        return Wishes(self._access, self._clock)

    @cached_property
    def publications(self) -> PublicationLog:
        """Serving snapshots that were built."""
        return PublicationLog(self._access)

    @cached_property
    def runs(self) -> Runs:
        """Stages of flow runs."""
        return Runs(self._access, SystemClock())


class Ledger(Books):
    """An open ledger; close it, or use it as a context manager."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        super().__init__(Access.of(engine), clock)
        self._engine = engine

    @classmethod
    def open(cls, url: str, clock: Clock | None = None) -> Self:
        """Open the ledger at an SQLAlchemy URL (`sqlite:///PATH`, `postgresql+psycopg://…`), migrating it first.

        Raises:
            BadInput: the URL is not one.
            Unavailable: the database does not answer.
            Conflict: it was written by a newer release.
        """
        engine = _engine(url)
        try:
            ledger_schema.upgrade(engine)
        except OperationalError as error:
            engine.dispose()
            raise Unavailable(
                f"the ledger at {engine.url.render_as_string(hide_password=True)} does not answer "
                f"({type(error.orig).__name__}): check that the database runs and the address is right"
            ) from None
        return cls(engine, clock or SystemClock())

    @contextmanager
    def transaction(self) -> Iterator[Books]:
        """Books that share one write transaction: committed at the end, rolled back on an error."""
        with self._access.write() as connection:
            yield Books(Access.within(connection), self._clock)

    @property
    def access(self) -> Access:
        """The way to the database, for what copies the ledger as a whole."""
        return self._access

    @property
    def engine(self) -> Engine:
        """The database itself, likewise."""
        return self._engine

    def settle(self) -> None:
        """Bring what was written into the database file itself and empty SQLite's log, which keeps old rows."""
        if self._engine.dialect.name == "sqlite":
            with self._access.read() as connection:
                connection.rollback()  # a checkpoint is taken outside of transactions
                driver = connection.connection.driver_connection
                assert driver is not None
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        engine = create_engine(parsed, pool_pre_ping=True, pool_size=8, max_overflow=16)
        event.listen(engine, "begin", _on_begin_postgresql)
        return engine
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise BadInput(
            "the ledger's URL cannot be used: expected sqlite:///PATH or postgresql+psycopg://… "
            f"({type(error).__name__})"
        ) from None


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise BadInput("the ledger's URL names no file: expected sqlite:///PATH")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, pool_size=8, max_overflow=56)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. SQLite does not wait for others here, who may be switching a new database too."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
        time.sleep(0.01)


def _on_begin(connection: Connection) -> None:
    # A write transaction takes its lock at once: one that upgrades later fails when another was faster.
    write = connection.get_execution_options().get("onefold_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _on_begin_postgresql(connection: Connection) -> None:
    # Writers wait for each other here too: what one reads and then writes is not overtaken by another.
    if connection.get_execution_options().get("onefold_write", True):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(_BUSY_SECONDS * 1000)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
