"""How a book of the ledger reaches the database: a reading or a writing transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, Engine

Opener = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class Access:
    """Two context managers that give a connection: `read` sees one state, `write` commits at its end."""

    read: Opener
    write: Opener

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Each use is a transaction of its own."""

        @contextmanager
        def read() -> Iterator[Connection]:
            with engine.connect() as connection:
                connection.execution_options(onefold_write=False)
                yield connection

        return cls(read, engine.begin)

    @classmethod
    def within(cls, connection: Connection) -> Self:
        """All uses belong to the transaction that is open on `connection`."""

        @contextmanager
        def same() -> Iterator[Connection]:
            yield connection

        return cls(same, same)
