"""One publication, open for reading: an immutable SQLite file, a connection a thread."""

from __future__ import annotations

import re
import sqlite3
import threading
import unicodedata
import weakref
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from onefold.serving.spellings import spellings
from onefold_storage.errors import Conflict
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.publications import INTERACTION_BLOCK, SERVING_FORMAT, Publication

_WORD = re.compile(r"\w+")
_MOST_WORDS = 8
_CHUNK = 500  # bound parameters a statement


@dataclass(frozen=True)
class Use:
    """A data use through a channel, and its place in the permission codes."""

    place: int
    data_use: str
    channel: str


class Snapshot:
    """What one publication knows. Numbers of customers are its own and mean nothing to another."""

    def __init__(self, path: Path, publication: Publication, hashed: KeyedHash) -> None:
        """Open the file.

        Raises:
            Conflict: the file has another layout, or was built with another installation's secret.
        """
        self.publication = publication
        self._path = path
        self._hashed = hashed
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        # A connection and its statements refer to each other: without this the file would stay open until the
        # next garbage collection. It runs when the last request that reads this snapshot has ended.
        weakref.finalize(self, _close, self._open)
        meta = {name: orjson.loads(value) for name, value in self.query("SELECT name, value FROM meta")}
        if meta.get("format") != SERVING_FORMAT:
            raise Conflict(
                f"publication {publication.version} has layout {meta.get('format')}, this release reads "
                f"{SERVING_FORMAT}: publish anew"
            )
        if meta.get("secret") != hashed.of("installation", "onefold"):
            raise Conflict(
                f"publication {publication.version} was built with another installation's secret: identifiers and "
                "objections could not be matched; give every role the same secret and publish anew"
            )
        self.facts: dict[str, Any] = meta["facts"]
        self.counts: dict[str, int] = meta["counts"]
        self.offered: dict[str, int] = meta["offered"]
        """Customers with an offer, by model."""
        self.uses = {
            (data_use, channel): Use(place, data_use, channel)
            for place, data_use, channel in self.query("SELECT use, data_use, channel FROM uses ORDER BY use")
        }
        self.reasons: dict[int, str] = dict(self.query("SELECT code, reason FROM reasons"))
        self.models = {
            name: (number, version)
            for number, name, version in self.query("SELECT model, name, version FROM models")
        }
        self.segments = {
            name: (number, size)
            for number, name, size in self.query("SELECT segment, name, size FROM segments ORDER BY name")
        }

    @property
    def version(self) -> str:
        """The publication's version."""
        return self.publication.version

    def cursor(self, sql: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Run a reading statement on this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            uri = f"{self._path.as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            for pragma in ("query_only=1", "mmap_size=1073741824", "cache_size=-8192"):
                connection.execute(f"PRAGMA {pragma}").close()
            self._local.connection = connection
            self._open.append(connection)
        return cast("sqlite3.Cursor", connection.execute(sql, tuple(values)))

    def query(self, sql: str, values: Iterable[Any] = ()) -> list[Any]:
        """All rows of a reading statement."""
        return self.cursor(sql, values).fetchall()

    def number(self, golden_id: str) -> int | None:
        """The customer with that golden ID, or the survivor it was merged into."""
        found = self.query("SELECT customer FROM customers WHERE golden_id = ?", (golden_id,))
        if not found:
            survivor = "(SELECT survivor FROM merged WHERE golden_id = ?)"
            found = self.query(f"SELECT customer FROM customers WHERE golden_id = {survivor}", (golden_id,))  # noqa: S608
        return found[0][0] if found else None

    def body(self, customer: int) -> dict[str, Any]:
        """Everything published about a customer."""
        row = self.query("SELECT body FROM customers WHERE customer = ?", (customer,))[0]
        return cast("dict[str, Any]", orjson.loads(row[0]))

    def holders(self, kind: str, value: str) -> list[int]:
        """Customers who have an identifier, given in clear and in its standard form."""
        return self.holders_of(self._hashed.of(kind, value))

    def holders_of(self, subject_hash: str) -> list[int]:
        """Customers who have an identifier, given by its keyed hash."""
        rows = self.query("SELECT customer FROM identifiers WHERE hash = ?", (bytes.fromhex(subject_hash),))
        return [row[0] for row in rows]

    def named(self, text: str, most: int) -> list[int]:
        """At most `most` customers whose name has all words of `text`, or begins with them; whole words first.

        Words as they are written come before their other spellings (`spellings.py`).
        """
        words = _WORD.findall(unicodedata.normalize("NFC", text))[:_MOST_WORDS]
        if not words:
            return []
        found: dict[int, None] = {}
        for match in dict.fromkeys(_matches(words)):
            if len(found) < most:
                rows = self.query("SELECT rowid FROM names WHERE names MATCH ? LIMIT ?", (match, most))
                found |= dict.fromkeys(row[0] for row in rows)
        return list(found)[:most]

    def interactions(self, customer: int, first: int, most: int) -> list[dict[str, Any]]:
        """Interactions from place `first` (0 is the newest), at most `most`."""
        blocks = self.query(
            "SELECT packed FROM interactions WHERE customer = ? AND block BETWEEN ? AND ? ORDER BY block",
            (customer, first // INTERACTION_BLOCK, (first + most - 1) // INTERACTION_BLOCK),
        )
        rows = [row for (packed,) in blocks for row in orjson.loads(zlib.decompress(packed))]
        skipped = first % INTERACTION_BLOCK
        return rows[skipped : skipped + most]


def _matches(words: list[str]) -> Iterator[str]:
    """What the index of names is asked, the nearest first: whole words, then words begun."""
    for begun, star in ((False, ""), (True, "*")):
        known = [spellings(word, begun=begun) for word in words]
        for forms in ([k[:1] for k in known], known):
            either = [" OR ".join(f'"{form}"{star}' for form in some) for some in forms]
            yield " AND ".join(f"({some})" for some in either)


def _close(connections: list[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()


def chunks(values: list[int]) -> Iterable[list[int]]:
    """Numbers in lists short enough to be bound to one statement."""
    return (values[i : i + _CHUNK] for i in range(0, len(values), _CHUNK))
