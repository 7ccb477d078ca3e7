"""The documents of one customer, as they stand: through the identity graph, as everything else about a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from onefold_storage.documents import key_of
from onefold_storage.errors import NotFound
from onefold_storage.lake import Lake
from onefold_storage.schema import DOCUMENTS, LINKS
from onefold_storage.survivors import survivor

_CHUNK = 1 << 20


@dataclass(frozen=True)
class CustomerDocument:
    """One document. `id`: SHA-256 of the object; two rows may name one object."""

    id: str
    source: str
    media_type: str | None
    at: datetime
    facts: dict[str, Any]
    text: str | None

    def as_dict(self) -> dict[str, Any]:
        """As facts for machines, without the text."""
        return {
            "id": self.id, "source": self.source, "media_type": self.media_type, "at": self.at, "bytes": self.size,
            "facts": self.facts,
        }  # fmt: skip

    @property
    def size(self) -> int | None:
        """Bytes of the object, where its facts say so."""
        found = self.facts.get("bytes")
        return found if isinstance(found, int) else None


def documents_of(lake: Lake, golden_id: str) -> list[CustomerDocument]:
    """The customer's documents, newest first; of each record the last version, unless it was deleted.

    Raises:
        NotFound: no customer has or had this golden ID.
    """
    if not lake.exists(LINKS.name):
        return []
    standing, _ = survivor(lake, golden_id)
    if not lake.exists(DOCUMENTS.name):
        return []
    mine = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null(), pl.col("golden_id") == standing)
    keys = mine.select("record_key").collect()["record_key"]
    rows = lake.scan(DOCUMENTS.name)
    own = rows.filter(pl.col("contact_key").is_in(keys.implode())).select("record_key").unique()
    last = (
        rows.join(own, on="record_key", how="semi")
        .sort("package_id", "row_id")
        .unique("record_key", keep="last", maintain_order=True)
        .filter(~pl.col("deleted"), pl.col("contact_key").is_in(keys.implode()))
        .sort(["effective_at", "record_key"], descending=[True, False])
        .collect()
    )
    return [
        CustomerDocument(
            r["object"].rsplit("/", 1)[-1], r["source"], r["media_type"], r["effective_at"],
            orjson.loads(r["facts"] or "{}"), r["text"],
        )
        for r in last.to_dicts()
    ]  # fmt: skip


def document_of(lake: Lake, golden_id: str, document: str) -> CustomerDocument:
    """One of the customer's documents, whose object is there.

    Raises:
        NotFound: no such customer, or none of their documents, or its object is gone.
    """
    found = next((d for d in documents_of(lake, golden_id) if d.id == document), None)
    if found is None or lake.objects.size(key_of(document)) is None:
        raise NotFound("the customer has no document of this id")
    return found


def content(lake: Lake, document: str) -> Iterator[bytes]:
    """The bytes of an object, a piece at a time.

    Raises:
        NotFound: it is gone.
    """
    try:
        stream = lake.objects.open(key_of(document))
    except FileNotFoundError:
        raise NotFound("the document is gone") from None
    with stream:
        while chunk := stream.read(_CHUNK):
            yield bytes(chunk)
