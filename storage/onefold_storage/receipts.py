"""Receipts of events: what a sender is told of a request, and what became of it.

A receipt says where the request's events are, and carries a keyed hash of that: any replica can tell a genuine one,
which is then in a log or committed. That of a request with an idempotency key is made of the key, so that the same
request gets the same receipt wherever it comes again.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onefold_storage.errors import NotFound
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.ledger import Books
from onefold_storage.packages import Package
from onefold_storage.schema import FAILED_EVENTS
from onefold_storage.spool import Spool
from onefold_storage.spool_log import content_of

if TYPE_CHECKING:
    from onefold_storage.lake import Lake

_PROOF = 12


@dataclass(frozen=True)
class Receipt:
    """`events` of a source: under `key` (a keyed hash), or in segment `number` of a log, from row `first` on."""

    source: str
    events: int
    key: str | None = None
    log: str = ""
    number: int = 0
    first: int = 0

    def text(self, keyed: KeyedHash) -> str:
        """What the sender gets."""
        place = (
            f"k-{self.key}-{self.events}" if self.key else f"r-{self.log}-{self.number}-{self.first}-{self.events}"
        )
        return f"{place}-{_proof(keyed, self.source, place)}"

    @classmethod
    def read(cls, keyed: KeyedHash, source: str, text: str) -> Receipt:
        """A receipt that this installation gave for the source.

        Raises:
            NotFound: it gave none such.
        """
        place, _, proof = text.rpartition("-")
        if not hmac.compare_digest(_proof(keyed, source, place).encode(), proof.encode()):
            raise NotFound(f"{source}: no receipt of this source is called that")
        kind, *parts = place.split("-")
        if kind == "k":
            return cls(source, int(parts[1]), key=parts[0])
        return cls(source, int(parts[3]), log=parts[0], number=int(parts[1]), first=int(parts[2]))


def standing(receipt: Receipt, books: Books, lake: Lake, spool: Spool) -> dict[str, Any]:
    """What became of a request: `state` is acknowledged, held or committed; the counts sum to `events`."""
    content, first = content_of(receipt.log, receipt.number), receipt.first
    if receipt.key:
        landed = books.requests.find(receipt.source, [receipt.key]).get(receipt.key)
        content, first = (landed.content, landed.request.first) if landed else ("", 0)
    package = books.packages.find(receipt.source, content) if content else None
    if package:
        return {"state": "committed", **counts(lake, package, first, receipt.events)}
    message = spool.why(receipt.source).get("message")
    holds = any(
        (h.segment.log, h.segment.number) == (receipt.log, receipt.number) for h in spool.held(receipt.source)
    )
    if message and (holds or receipt.key):
        return {"state": "held", "message": message}
    return {"state": "acknowledged"}


def counts(lake: Lake, package: Package, first: int, events: int) -> dict[str, Any]:
    """What became of the `events` rows of a committed package from `first` on."""
    landed, failed = events, 0
    if package.failed or package.suppressed:  # those of other requests, perhaps: the rows say whose
        import polars as pl

        within = pl.col("row").is_between(first, first + events - 1)
        mine = (pl.col("source") == package.source) & (pl.col("package_id") == package.package_id)
        bad = lake.scan(FAILED_EVENTS.name).filter(mine).select(row="row_id")
        failed = bad.filter(within).select(pl.len()).collect().item()
        landed -= failed
        if package.suppressed:
            rows = lake.scan(f"bronze/{package.source}").filter(pl.col("_package_id") == package.package_id)
            landed = rows.select(row="_row_id").filter(within).select(pl.len()).collect().item()
    return {
        "package_id": package.package_id,
        "landed": landed,
        "failed": failed,
        "suppressed": events - landed - failed,
    }


def _proof(keyed: KeyedHash, source: str, place: str) -> str:
    return keyed.of("receipt", f"{source} {place}")[:_PROOF]
