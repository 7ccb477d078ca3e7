"""Requests that landed under their sender's key: the copy that is quick to ask; the manifests have the truth.

Kept for some days (`ONEFOLD_INGEST_KEY_DAYS`) of the machine's clock, whatever the platform's is; a key that comes
again after that is a new request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta

from sqlalchemy import Connection, select

from onefold_storage.clock import SystemClock
from onefold_storage.deliveries import Request
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import ingest_requests

_CHUNK = 500  # bound parameters a statement


@dataclass(frozen=True)
class Landed:
    """A request that landed, and the content of the package that holds its rows."""

    request: Request
    content: str


class Requests:
    """The book of requests that landed under a key."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def find(self, source: str, keys: Collection[str]) -> dict[str, Landed]:
        """Those of these keys that have landed, by key."""
        found: dict[str, Landed] = {}
        c = ingest_requests.c
        with self._access.read() as connection:
            for some in _chunks(sorted(keys)):
                query = select(c.key, c.body, c.first, c.events, c.content)
                for row in connection.execute(query.where(c.source == source, c.key.in_(some))):
                    found[row.key] = Landed(Request(row.key, row.body, row.first, row.events), row.content)
        return found

    def forget(self, days: float) -> int:
        """Forget those that landed longer ago than this; gives how many."""
        before = SystemClock().now() - timedelta(days=days)
        with self._access.write() as connection:
            return connection.execute(ingest_requests.delete().where(ingest_requests.c.at < before)).rowcount


def keep(connection: Connection, source: str, content: str, requests: Iterable[Request]) -> None:
    """Keep the requests of a committed package; a key that stands stays, since the first has landed."""
    at = SystemClock().now()
    by_key = {r.key: r for r in requests}
    c = ingest_requests.c
    for some in _chunks(sorted(by_key)):
        stands = set(connection.execute(select(c.key).where(c.source == source, c.key.in_(some))).scalars())
        rows = [
            asdict(by_key[key]) | {"source": source, "content": content, "at": at}
            for key in some
            if key not in stands
        ]
        if rows:
            connection.execute(ingest_requests.insert(), rows)


def _chunks(values: list[str]) -> Iterator[list[str]]:
    return (values[i : i + _CHUNK] for i in range(0, len(values), _CHUNK))
