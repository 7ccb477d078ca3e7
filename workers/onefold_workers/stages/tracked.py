"""Tracking events of a segment to batches: each is known by its `message_id`, so that one that comes again is repeated.

An SDK that got no answer sends its events again, perhaps in another batch, at another replica, after the first ones
have landed. So not the request is named but each event: the ids that landed stand in the package's manifest and in the
ledger, under the lock of their source, as the keys of requests do, and as long (`ONEFOLD_INGEST_KEY_DAYS`). After that
the primary key still makes one interaction of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import orjson
import pyarrow as pa

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch, Request
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.requests import Requests
from onefold_storage.spool_frames import INVALID, SUPPRESSED, Frame
from onefold_workers.connectors.formats.ndjson import Lines

MESSAGE = "message_id"
_STRETCH = 4 << 20


@dataclass
class _Stretch:
    """Lines that are read at once, and where each stands."""

    lines: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    suppressed: int = 0
    size: int = 0

    def add(self, place: int, raw: bytes) -> None:
        """One line."""
        if raw == SUPPRESSED:
            self.suppressed += 1
        elif raw.startswith(INVALID):
            self.bad.append(_bad(place, raw))
        else:
            self.lines.append(raw)
            self.places.append(place)
        self.size += len(raw)


def tracked(
    contract: Contract, frames: list[Frame], requests: Requests, keyed: KeyedHash, named: list[Request], origin: str
) -> Iterator[Batch]:
    """The batches of a source's frames; `named` takes up the events that land first with them."""
    lines = Lines(origin, tuple(contract.by_name))
    known: set[str] = set()
    for stretch in _stretches(frames):
        batch = lines.batch(b"\n".join(stretch.lines), 0) if stretch.lines else None
        places = np.array(stretch.places, np.int64)
        bad = [
            *stretch.bad,
            *(
                BadRow(int(places[b.row_id]), b.rule, b.message, b.raw, b.field)
                for b in (batch.bad if batch else ())
            ),
        ]
        if batch is None or not batch.rows.num_rows:
            empty = pa.table({name: pa.array([], pa.string()) for name in contract.by_name})
            yield Batch(empty, pa.array([], pa.int64()), tuple(bad), suppressed=stretch.suppressed)
            continue
        rows = batch.rows
        ids = places[batch.row_ids.to_numpy()]
        keys = [keyed.of("message", f"{contract.id} {m}") for m in rows.column(MESSAGE).to_pylist()]
        known |= requests.find(contract.id, set(keys) - known).keys()
        fresh = np.zeros(len(keys), bool)
        for n, key in enumerate(keys):
            if key not in known:
                known.add(key)
                fresh[n] = True
                named.append(Request(key, "", int(ids[n]), 1))
        yield Batch(
            rows.filter(pa.array(fresh)), pa.array(ids[fresh]), tuple(bad),
            repeated=int((~fresh).sum()), suppressed=stretch.suppressed,
        )  # fmt: skip


def _stretches(frames: list[Frame]) -> Iterator[_Stretch]:
    stretch = _Stretch()
    for frame in frames:
        for place, raw in frame.lines():
            stretch.add(place, raw)
        stretch.suppressed += len(frame.erased)
        if stretch.size > _STRETCH:
            yield stretch
            stretch = _Stretch()
    if stretch.size or stretch.suppressed:
        yield stretch


def _bad(place: int, raw: bytes) -> BadRow:
    facts = orjson.loads(raw.removeprefix(INVALID))
    return BadRow(place, facts["rule"], facts["message"], facts["event"].encode(), facts["field"])
