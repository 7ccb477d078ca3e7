"""Brings a ledger's database to the newest revision, once, whoever starts first.

SQLite is guarded by a file lock beside the database, PostgreSQL by an advisory lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Connection, Engine, inspect, text

from onefold_storage.errors import Conflict
from onefold_storage.migrations import HEAD

_ADVISORY = 0x6F6E65666F6C64  # "onefold"


def revision(connection: Connection) -> str | None:
    """The revision a database is at; None for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine) -> None:
    """Run the revisions that the database lacks.

    Raises:
        Conflict: the database is newer than this program.
    """
    with engine.connect() as connection:
        connection.execution_options(onefold_write=False)
        if revision(connection) == HEAD:
            return
    with _alone(engine), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY})
        found = revision(connection)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise Conflict(
                f"the ledger is at revision {found}, this program knows up to {HEAD}: "
                "use the newer release that wrote it, or restore a backup"
            )
        _run(connection)


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    if engine.dialect.name != "sqlite" or not engine.url.database:
        yield
        return
    with FileLock(f"{engine.url.database}.lock", timeout=120):
        yield


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
