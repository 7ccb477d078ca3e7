"""One writer at a time: file locks on one machine, PostgreSQL advisory locks where the ledger is PostgreSQL.

Both end with the process that holds them; neither is a lease that a jumping clock could break.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import filelock
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from onefold_storage.errors import Conflict, Unavailable

_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code


class Locks(Protocol):
    """Something that lets one holder at a time pass for each name."""

    def hold(self, name: str, timeout: float = 600.0) -> Iterator[None]:
        """Context manager: hold the lock `name`; waits `timeout` seconds at most."""
        ...


class FileLocks:
    """Locks of one machine, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, name: str, timeout: float = 600.0) -> Iterator[None]:
        """Hold the lock `name`.

        Raises:
            Conflict: another process held it for `timeout` seconds.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name.replace('/', '.')}.lock"
        try:
            with filelock.FileLock(path, timeout=timeout):
                yield
        except filelock.Timeout as error:
            raise Conflict(f"{name}: another process is writing to it; waited {timeout:.0f} s") from error


class AdvisoryLocks:
    """Locks of all machines that share a PostgreSQL ledger."""

    def __init__(self, url: str) -> None:
        # A connection a lock: whoever takes documents away holds one for every source that stores them.
        self._engine = create_engine(
            url, pool_size=1, max_overflow=60, pool_pre_ping=True, isolation_level="AUTOCOMMIT"
        )

    @contextmanager
    def hold(self, name: str, timeout: float = 600.0) -> Iterator[None]:
        """Hold the lock `name` on a connection of its own; the server frees it when the connection ends.

        Raises:
            Conflict: another process held it for `timeout` seconds.
            Unavailable: the server does not answer.
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
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})

    def _connection(self, name: str) -> Connection:
        try:
            return self._engine.connect()
        except OperationalError:
            raise Unavailable(f"{name}: cannot be locked, the ledger's database does not answer") from None


def locks_for(ledger_url: str, folder: Path) -> FileLocks | AdvisoryLocks:
    """The locks that fit the ledger: advisory ones on PostgreSQL, else files in `folder`."""
    return AdvisoryLocks(ledger_url) if ledger_url.startswith("postgresql") else FileLocks(folder)
