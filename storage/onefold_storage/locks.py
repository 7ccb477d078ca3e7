"""One writer at a time: file locks on one machine, PostgreSQL advisory locks where the ledger is PostgreSQL.

Both end with the process that holds them; neither is a lease that a jumping clock could break. An advisory lock ends
with its connection too, when the server restarts or the network drops it: whoever is about to commit asks whether
it still holds, and never takes it a second time, because another may have worked in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import filelock
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from onefold_storage.errors import Conflict, Unavailable

_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code
_KEEPALIVES = {
    # A connection says nothing during a long stage: without these a firewall forgets it, and nobody is told.
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

StillHeld = Callable[[], None]
"""Asks whether a lock is still held; raises `Unavailable` where it was lost."""


class Locks(Protocol):
    """Something that lets one holder at a time pass for each name."""

    def hold(self, name: str, timeout: float = 600.0) -> Iterator[StillHeld]:
        """Context manager: hold the lock `name`; waits `timeout` seconds at most."""
        ...


class FileLocks:
    """Locks of one machine, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, name: str, timeout: float = 600.0) -> Iterator[StillHeld]:
        """Hold the lock `name`.

        Raises:
            Conflict: another process held it for `timeout` seconds.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name.replace('/', '.')}.lock"
        try:
            with filelock.FileLock(path, timeout=timeout):
                yield _as_long_as_the_process
        except filelock.Timeout as error:
            raise Conflict(f"{name}: another process is writing to it; waited {timeout:.0f} s") from error


class AdvisoryLocks:
    """Locks of all machines that share a PostgreSQL ledger."""

    def __init__(self, url: str) -> None:
        # A connection a lock: whoever takes documents away holds one for every source that stores them.
        address = make_url(url)
        self._engine = create_engine(
            address.set(query={**_KEEPALIVES, **address.query}),
            pool_size=1,
            max_overflow=60,
            pool_pre_ping=True,
            isolation_level="AUTOCOMMIT",
        )

    @contextmanager
    def hold(self, name: str, timeout: float = 600.0) -> Iterator[StillHeld]:
        """Hold the lock `name` on a connection of its own; the server frees it when the connection ends.

        Raises:
            Conflict: another process held it for `timeout` seconds.
            Unavailable: the server does not answer; or, at the end, the lock was lost on the way.
        """
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        with self._connection(name) as connection:
            connection.execute(text(f"SET lock_timeout = {int(timeout * 1000)}"))
            try:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                    raise Unavailable(f"{name}: cannot be locked, the ledger's database does not answer") from None
                raise Conflict(f"{name}: another process is writing to it; waited {timeout:.0f} s") from error
            unlock = text("SELECT pg_advisory_unlock(:key)")
            try:
                yield self._asker(name, connection)
            except BaseException:
                with suppress(DBAPIError):  # what went wrong is told, not that the lock is gone as well
                    connection.execute(unlock, {"key": key})
                raise
            try:
                connection.execute(unlock, {"key": key})
            except DBAPIError:
                raise _lost(name) from None

    def _asker(self, name: str, connection: Connection) -> StillHeld:
        # The driver's own connection: SQLAlchemy's would open another one, which holds nothing.
        driver, failed = connection.connection.driver_connection, self._engine.dialect.loaded_dbapi.Error
        assert driver is not None

        def still_held() -> None:
            try:
                with closing(driver.cursor()) as cursor:
                    cursor.execute("SELECT 1")
            except failed:
                raise _lost(name) from None

        return still_held

    def _connection(self, name: str) -> Connection:
        try:
            return self._engine.connect()
        except OperationalError:
            raise Unavailable(f"{name}: cannot be locked, the ledger's database does not answer") from None


def _as_long_as_the_process() -> None:
    """A file lock is lost with its process alone."""


def _lost(name: str) -> Unavailable:
    return Unavailable(
        f"{name}: its lock was lost on the way, because the connection to the ledger's database ended; another process "
        "may be writing, so nothing more is committed: run it again"
    )


def locks_for(ledger_url: str, folder: Path) -> FileLocks | AdvisoryLocks:
    """The locks that fit the ledger: advisory ones on PostgreSQL, else files in `folder`."""
    return AdvisoryLocks(ledger_url) if ledger_url.startswith("postgresql") else FileLocks(folder)
