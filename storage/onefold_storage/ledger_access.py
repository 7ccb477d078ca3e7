"""How a book of the ledger reaches the database: a reading or a writing transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, Engine

from onefold_storage.errors import Unavailable

Opener = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class Access:
    """Ways to a connection: `read` sees one state, `write` commits at its end.

    `one` gives the first value of one statement without a transaction around it: ten times quicker, for what every
    request asks.
    """

    read: Opener
    write: Opener
    one: Callable[[str], Any]

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Each use is a transaction of its own."""

        @contextmanager
        def read() -> Iterator[Connection]:
            with engine.connect() as connection:
                connection.execution_options(onefold_write=False)
                yield connection

        def one(sql: str) -> Any:
            try:
                raw = engine.raw_connection()
                try:
                    cursor = raw.cursor()
                    cursor.execute(sql)
                    row = cursor.fetchone()
                    return row[0] if row else None
                finally:
                    raw.close()
            except engine.dialect.loaded_dbapi.Error as error:
                raise Unavailable(f"the ledger does not answer ({type(error).__name__}): try again later") from None

        return cls(read, engine.begin, one)

    @classmethod
    def within(cls, connection: Connection) -> Self:
        """All uses belong to the transaction that is open on `connection`."""

        @contextmanager
        def same() -> Iterator[Connection]:
            yield connection

        return cls(same, same, lambda sql: connection.exec_driver_sql(sql).scalar())
