"""REST APIs of cloud applications: pages, credentials, rate limits and an incremental cursor; one delivery a reading.

dlt's REST client does the asking (pagination, OAuth, retries with backoff, Retry-After). What is added here are
bounds (bytes of a page, seconds, pages), one host, secrets by name only, and a bookmark: the greatest value of the
cursor field, committed with the rows. The bound itself is asked for again, as more rows may have come with the same
value, so an incremental source is `changes`; where only the rows come back that were there, nothing is delivered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
import pyarrow as pa
from pydantic import Field

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Delivery
from onefold_storage.errors import BadContract
from onefold_workers.connectors import _locations
from onefold_workers.connectors._connector import Connector, Options
from onefold_workers.connectors._cursor import chained
from onefold_workers.connectors._pages import Pages


class Auth(Options):
    """Who asks. Secrets (`token`, `password`, `client_secret`) are named, as `${NAME}` or `${file:PATH}`.

    `api_key` puts `token` into the header or query parameter `name`; `oauth2_client_credentials` asks `token_url`
    for tokens, and again when one has expired.
    """

    type: Literal["bearer", "api_key", "http_basic", "oauth2_client_credentials"] = "bearer"
    token: str | None = None
    name: str = "Authorization"
    location: Literal["header", "query"] = "header"
    username: str | None = None
    password: str | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class Cursor(Options):
    """Incremental reading: `param` asks for rows whose `field` is at least the bookmark's, or `start` at first."""

    field: str
    param: str
    start: str | int | None = None


class RestOptions(Options):
    """How to ask. `records`: JSON path of the rows in a page; found by itself when left out.

    `paginator`: dlt's name for it (`header_link`, `single_page`, …) or its configuration (`{type: cursor,
    cursor_path: paging.next, cursor_param: after}`); found by itself when left out.
    `requests_per_second`: no more than that, tokens and further attempts counted.
    """

    records: str | None = None
    paginator: str | dict[str, Any] | None = None
    params: dict[str, str | int | bool] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    auth: Auth | None = None
    cursor: Cursor | None = None
    requests_per_second: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=60, gt=0)
    attempts: int = Field(default=5, ge=1)
    max_page_bytes: int = Field(default=64 << 20, ge=1)
    max_pages: int = Field(default=1_000_000, ge=1)


def deliveries(contract: Contract, _base: Path, options: RestOptions, bookmark: Any) -> Iterator[Delivery]:
    """One delivery: the rows of all pages since the bookmark; none where there are none.

    `bookmark`: `{"cursor": value}` of the greatest value seen; without a cursor, of changes, what was read last.

    Raises:
        BadContract: a secret is written out, or a cursor goes with another delivery than `changes`.
        BadInput: the server refuses, or sends what is no JSON or more than is allowed.
        Unavailable: the server does not answer, or is over its limits after all attempts.
    """
    if options.cursor and contract.rules.delivery != "changes":
        raise BadContract(f"{contract.id}: onefold.delivery: with a cursor it is `changes`")
    location = _locations.read(contract.rules.location, f"{contract.id}: onefold.location")
    origin = _origin(location.value)
    since = bookmark.get("cursor") if bookmark and options.cursor else None
    pages = Pages(f"{origin} {options.params} {since}")
    bound = Bound(options.cursor, since)
    for rows in _pages(location, options, since, contract.id):
        pages.write(rows)
        bound.see(rows)
    batches = pages.batches(origin, tuple(c.name for c in contract.columns))
    if options.cursor is None and contract.rules.delivery == "changes":
        mark = chained(bookmark, pages.content)
        yield Delivery(mark["content"], origin, batches, bookmark=lambda: mark)
    elif options.cursor is None:
        yield Delivery(pages.content, origin, batches)
    elif pages.rows and not (bound.rows == pages.rows and bound.mark() == bookmark):
        yield Delivery(pages.content, origin, batches, bookmark=bound.mark)


def first(contract: Contract, _base: Path, options: RestOptions, rows: int) -> Iterator[Delivery]:
    """One delivery with the rows of the first pages.

    Raises:
        BadContract, BadInput, Unavailable: as `deliveries`.
    """
    location = _locations.read(contract.rules.location, f"{contract.id}: onefold.location")
    pages, origin = _first(location, options, rows, contract.id), _origin(location.value)
    yield Delivery(pages.content, origin, pages.batches(origin, tuple(c.name for c in contract.columns)))


def sample(text: str, _base: Path, rows: int, options: RestOptions) -> tuple[pa.Table, dict[str, Any]]:
    """The first rows that the address answers, and no further options.

    Raises:
        BadContract, BadInput, Unavailable: as `deliveries`.
    """
    location = _locations.read(text)
    pages = _first(location, options, rows, "location")
    tables = [b.rows for b in pages.batches(_origin(location.value), ())]
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({}), {}


def _first(location: _locations.Location, options: RestOptions, rows: int, where: str) -> Pages:
    pages = Pages("")
    for found in _pages(location, options, None, where):
        pages.write(found[: rows - pages.rows])
        if pages.rows >= rows:
            break
    return pages


def _pages(location: _locations.Location, options: RestOptions, since: Any, where: str) -> Iterator[list[Any]]:
    from onefold_workers.connectors._rest_client import pages

    cursor = options.cursor
    start = since if since is not None else cursor.start if cursor else None
    params = options.params | ({cursor.param: start} if cursor and start is not None else {})
    return pages(location, options, params, where)


class Bound:
    """The greatest value of the cursor field, and which rows have it: what comes again at the next reading."""

    def __init__(self, cursor: Cursor | None, since: Any) -> None:
        self._field, self._last = cursor.field if cursor else None, since
        self._digests: list[bytes] = []

    @property
    def rows(self) -> int:
        """How many rows have it."""
        return len(self._digests)

    def see(self, rows: list[Any]) -> None:
        """Look at further rows."""
        if self._field is None:
            return
        told = [(r[self._field], r) for r in rows if isinstance(r, dict) and r.get(self._field) is not None]
        known = [v for v in (self._last, *(v for v, _ in told)) if v is not None]
        numbers = all(isinstance(v, int | float) for v in known)
        last = max(known, key=None if numbers else str, default=None)
        if last != self._last:
            self._last, self._digests = last, []
        self._digests += [hashlib.sha256(orjson.dumps(r)).digest() for v, r in told if v == last]

    def mark(self) -> dict[str, Any]:
        """The bookmark."""
        return {"cursor": self._last, "rows": hashlib.sha256(b"".join(sorted(self._digests))).hexdigest()}


def _origin(url: str) -> str:
    """The address without credentials, query and fragment, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


CONNECTOR = Connector("rest", RestOptions, (), deliveries, sample, patient=True, first=first)
