"""Landing: deliveries become load packages in bronze; nothing acknowledged is lost, nothing lands twice.

One package at a time for each source, under its lock: rows stream through the contract's checks into parts, bad
rows into failed events; then the manifest, the failed events and at last the bronze commit, which alone decides.
Killed anywhere before it, the package has not landed and lands when it is sent again; after it, the ledger's copy
is made good from the manifest. `origin` and messages hold no data of customers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from onefold_storage.checking import Checked, check
from onefold_storage.clock import Clock
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch, Delivery
from onefold_storage.documents import keep
from onefold_storage.drift import Drift, remember
from onefold_storage.errors import BadInput, OnefoldError
from onefold_storage.evolution import bronze_shape
from onefold_storage.faults import told
from onefold_storage.lake import Lake
from onefold_storage.manifests import APP, committed_seq, read_manifest, write_manifest
from onefold_storage.packages import Package, Packages
from onefold_storage.packing import Packer
from onefold_storage.parts import PartWriter
from onefold_storage.pipelining import in_order, threads
from onefold_storage.schema import FAILED_EVENTS
from onefold_storage.snapshots import state_of
from onefold_storage.suppressor import Lookup, Suppressor

_READ_AGAIN = ("files", "sql")
"""Connectors that read the same place each time: what it held when it was last read is there no more."""


@dataclass(frozen=True)
class _Passed:
    """A batch, its rows that keep the contract and may land, and how many are suppressed."""

    batch: Batch
    checked: Checked
    suppressed: int


@dataclass
class _Counts:
    sent: int = 0
    landed: int = 0
    failed: int = 0
    repeated: int = 0
    suppressed: int = 0
    first: BadRow | None = None

    def add(self, passed: _Passed, landed: int, bad: tuple[BadRow, ...]) -> None:
        batch = passed.batch
        self.sent += batch.rows.num_rows + len(batch.bad) + batch.repeated + batch.suppressed
        self.landed += landed
        self.failed += len(bad)
        self.repeated += batch.repeated
        self.suppressed += batch.suppressed + passed.suppressed
        self.first = self.first or (min(bad, key=lambda b: b.row_id) if bad else None)


class Lander:
    """Lands deliveries into one lake."""

    def __init__(self, lake: Lake, book: Packages, clock: Clock, suppressor: Suppressor) -> None:
        self._lake, self._book, self._clock, self._suppressor = lake, book, clock, suppressor

    def land(self, contract: Contract, delivery: Delivery) -> Package:
        """Land one delivery and return its package; a content already landed is repeated, and changes nothing.

        Raises:
            BadInput: the delivery cannot be read or breaks the contract as a whole; it is held, nothing landed.
            BadContract: the contract does not fit the table that earlier packages made.
        """
        with self._lake.lock(f"land:{contract.id}"), self._lake.keeping(contract.bronze):
            last = self.reconcile(contract.id)
            known = self._book.find(contract.id, delivery.content)
            if known and (contract.rules.delivery != "snapshot" or known.seq == self._book.last_sent(contract.id)):
                return known.as_repeated()
            started = self._clock.now()
            try:
                return self._land(contract, delivery, last + 1, started)
            except OnefoldError as error:
                held = Package(
                    contract.id, None, delivery.content, delivery.origin, 0, 0, 0, 0, 0, started, None, "held",
                    str(error),
                )  # fmt: skip
                self._book.record(held, replaces=contract.rules.connector in _READ_AGAIN)
                raise

    def reconcile(self, source: str) -> int:
        """Bring the ledger's copy up to the lake and return the last committed seq."""
        last = committed_seq(self._lake, source)
        for seq in range(self._book.last_seq(source) + 1, last + 1):
            self._book.record(read_manifest(self._lake, source, seq))
        return last

    @told()
    def _land(self, contract: Contract, delivery: Delivery, seq: int, started: datetime) -> Package:
        shape = bronze_shape(self._lake, contract)
        package = Package(contract.id, seq, delivery.content, delivery.origin, 0, 0, 0, 0, 0, started, started)
        packer = Packer(self._lake, contract.bronze, shape, package)
        failed = self._lake.writer(FAILED_EVENTS.name, partition={"source": contract.id})
        state = state_of(self._lake, contract)
        counts, drift = _Counts(), Drift(contract, apart=delivery.apart)
        lookup = self._suppressor.lookup()

        def passed(batch: Batch) -> _Passed:
            done = self._pass(contract, delivery.origin, lookup, batch)
            if state is None:  # the order of rows does not matter
                packer.write(done.checked.table)
            return done

        with closing(in_order(passed, delivery.batches, threads())) as batches:
            for done_batch in batches:
                rows, bad = done_batch.checked.table, done_batch.checked.bad
                if state and rows.num_rows:
                    rows, repeated, twice = state.fresh(rows)
                    counts.repeated += repeated
                    bad = (*bad, *twice)
                    packer.write(rows)
                drift.note(done_batch.batch, bad)
                self._keep_bad(failed, package, bad)
                counts.add(done_batch, rows.num_rows, bad)
        if seq > 1 and not delivery.apart:  # a first package changes nothing
            drift.hold(delivery.origin)
        vanished = 0
        if state and not counts.failed:  # a bad row may be the one that seems to have vanished
            missing = state.missing()
            if missing and not counts.sent and not contract.rules.may_be_empty:
                raise BadInput(
                    f"{delivery.origin}: has no rows, and {missing:,} stand: nothing was deleted; where that is meant, "
                    "say `may_be_empty: true` in the contract"
                )
            vanished = self._keep_vanished(packer, state.vanished())
        done = Package(
            contract.id, seq, delivery.content, delivery.origin, counts.sent, counts.landed, counts.failed,
            counts.repeated, counts.suppressed, started, self._clock.now(),
            message=_told(counts, vanished, remember(self._lake, contract, drift, package.package_id, started)),
            requests=tuple(delivery.requests),
        )  # fmt: skip
        parts, bad_parts = packer.close(), failed.close()
        write_manifest(self._lake, done, delivery.bookmark() if delivery.bookmark else None)
        if bad_parts or self._lake.exists(FAILED_EVENTS.name):
            with self._lake.lock(FAILED_EVENTS.name):
                self._forget_abandoned(contract.id, seq)
                if bad_parts:
                    app = f"{APP}:{contract.id}"
                    self._lake.commit(FAILED_EVENTS.name, bad_parts, transaction=(app, seq))
        with self._lake.lock(contract.bronze):
            self._lake.commit(contract.bronze, parts, shape=shape, transaction=(APP, seq))
        self._book.record(done, replaces=contract.rules.connector in _READ_AGAIN)
        return done

    def _pass(self, contract: Contract, origin: str, lookup: Lookup, batch: Batch) -> _Passed:
        """Check a batch and leave out who is suppressed; runs in any thread."""
        try:
            checked = check(contract, batch)
        except BadInput as error:
            raise BadInput(f"{origin}: {error}") from error
        rows = checked.table
        gone = lookup.suppressed(contract, rows)
        if gone is not None:
            rows = rows.filter(pc.invert(gone))
        hidden = lookup.suppressed_bad(contract, checked.bad)
        bad = tuple(b for b, listed in zip(checked.bad, hidden, strict=True) if not listed)
        if batch.documents:
            there = {*rows.column("_row_id").to_pylist(), *(b.row_id for b in bad)}
            keep(self._lake, contract.id, [d for d in batch.documents if d.row_id in there])
        suppressed = checked.table.num_rows - rows.num_rows + sum(hidden)
        return _Passed(batch, Checked(rows, bad), suppressed)

    def _keep_vanished(self, packer: Packer, gone: Iterator[pl.DataFrame]) -> int:
        """Deletions are told as rows of their own; they count as nothing sent."""
        count = 0
        for rows in gone:
            if rows.height:
                numbered = rows.with_columns(_row_id=-1 - count - pl.int_range(rows.height, dtype=pl.Int64))
                packer.write(numbered.to_arrow(compat_level=pl.CompatLevel.oldest()), deleted=True)
                count += rows.height
        return count

    def _keep_bad(self, writer: PartWriter, package: Package, bad: tuple[BadRow, ...]) -> None:
        if not bad:
            return
        n = len(bad)
        at = pa.array([package.started_at], FAILED_EVENTS.arrow.field("failed_at").type)
        writer.write(
            pa.table(
                {
                    "package_id": [package.package_id] * n,
                    "row_id": pa.array([b.row_id for b in bad], pa.int64()),
                    "origin": [package.origin] * n,
                    "field": pa.array([b.field for b in bad], pa.string()),
                    "rule": [b.rule for b in bad],
                    "message": [b.message for b in bad],
                    "raw": pa.array([b.raw for b in bad], pa.binary()),
                    "failed_at": pa.repeat(at[0], n),
                }
            )
        )

    def _forget_abandoned(self, source: str, seq: int) -> None:
        """Failed events of a package that reached this seq but was never committed are told anew."""
        if self._lake.transaction(FAILED_EVENTS.name, f"{APP}:{source}") >= seq:
            predicate = f"source = '{source}' AND package_id >= '{source}-{seq:08d}'"
            table = self._lake.handle(FAILED_EVENTS.name)
            self._lake.must_hold(FAILED_EVENTS.name)
            table.delete(predicate)


def _told(counts: _Counts, vanished: int, columns: str | None) -> str | None:
    """What the first bad row is at fault for, what was deleted, and what changed about the columns; rows are counted
    from 1.
    """
    told = [columns] if columns else []
    if vanished:
        told.insert(0, f"rows that are not in it any more, and are deleted: {vanished:,}")
    if counts.first is not None:
        rows = f"{counts.failed:,} of {counts.sent:,} rows are kept as failed events"
        told.insert(0, f"{rows}; the first is {_placed(counts.first)}")
    return "; ".join(told) or None


def _placed(bad: BadRow) -> str:
    """`row 7: …`, or what the message says of the row's place itself, without the file that is named already."""
    row = f"row {bad.row_id + 1}"
    _, itself, rest = bad.message.partition(f": {row} (line ")
    return f"{row} (line {rest}" if itself else f"{row}: {bad.message}"
