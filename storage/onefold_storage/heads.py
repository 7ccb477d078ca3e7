"""The newest version of each table that was ever seen whole: the lake may not stand behind it.

A cluster of which a node is away may not show a commit that it has acknowledged, where another node was away as well
when it was written: too few of the drives that hold it are there. Whoever commits on top of what is seen then would
write the lost commit's version anew. This mark, kept beside the locks, tells; it is no part of a backup.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from onefold_storage.errors import Unavailable


class Heads(Protocol):
    """A version by table."""

    def get(self, name: str) -> int:
        """The mark of a table; -1 where there is none."""
        ...

    def put(self, name: str, version: int) -> None:
        """Set a table's mark; whoever sets it holds the table's lock."""
        ...

    def forget(self) -> None:
        """Remove every mark: the lake was put back to an older state on purpose."""
        ...


class FileHeads:
    """Marks of one machine, a file each in the folder of the locks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> int:
        """See `Heads`."""
        try:
            return int(self._path(name).read_text())
        except (FileNotFoundError, ValueError):
            return -1

    def put(self, name: str, version: int) -> None:
        """See `Heads`."""
        aside = self._folder / f"{uuid.uuid4().hex}.tmp"
        aside.write_text(str(version))
        aside.replace(self._path(name))

    def forget(self) -> None:
        """See `Heads`."""
        for path in self._folder.glob("*.head"):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.replace('/', '.')}.head"


class TableHeads:
    """Marks of all machines that share a PostgreSQL ledger, in a table of their own that is made where it lacks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None

    def get(self, name: str) -> int:
        """See `Heads`."""
        found = self._ask("SELECT version FROM lake_heads WHERE name = :name", name=name)
        return -1 if found is None else int(found)

    def put(self, name: str, version: int) -> None:
        """See `Heads`."""
        self._ask(
            "INSERT INTO lake_heads (name, version) VALUES (:name, :version) "
            "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            name=name,
            version=version,
        )

    def forget(self) -> None:
        """See `Heads`."""
        self._ask("DELETE FROM lake_heads")

    def _ask(self, sql: str, **given: object) -> int | None:
        try:
            with self._opened().connect() as connection:
                done = connection.execute(text(sql), given)
                found: int | None = done.scalar() if done.returns_rows else None
                return found
        except OperationalError:
            raise Unavailable("the ledger's database does not answer: try again later") from None

    def _opened(self) -> Engine:
        if self._engine is None:
            engine = create_engine(self._url, pool_pre_ping=True, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                # Two who make it at the same moment would meet in PostgreSQL's catalogue.
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MAKING})
                try:
                    table = "CREATE TABLE IF NOT EXISTS lake_heads (name text PRIMARY KEY, version bigint NOT NULL)"
                    connection.execute(text(table))
                finally:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MAKING})
            self._engine = engine
        return self._engine


_MAKING = 0x6F6E656865616473  # "oneheads"


def heads_for(ledger_url: str, folder: Path) -> FileHeads | TableHeads:
    """The marks that fit the ledger: a table on PostgreSQL, else files in `folder`."""
    return TableHeads(ledger_url) if ledger_url.startswith("postgresql") else FileHeads(folder)
