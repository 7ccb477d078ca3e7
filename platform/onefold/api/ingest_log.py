"""The write-ahead log of this process: requests that wait at the same time share one write and one fsync.

Everything but the write itself happens on the event loop, so nothing needs a lock; a thread of its own writes and
syncs. Segments are sealed when they are large or not quite a second old, and drained by another process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from onefold.api.ingest_drain import DrainProcess
from onefold.api.ingest_keys import OTHER_EVENTS, UncommittedKeys
from onefold_storage.errors import Conflict, Full, OnefoldError, Unavailable
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.ledger import Ledger
from onefold_storage.receipts import Receipt
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Depth, Spool
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import Writer

_log = logging.getLogger(__name__)

_SEAL_SECONDS = 0.7  # with the commit, well within two seconds
_SEAL_BYTES = 16 << 20
_GROUP_BYTES = 16 << 20
_QUEUE_BYTES = 256 << 20
_TICK = 0.1
_BEHIND = 2
_REMEMBERED = 50


@dataclass(eq=False)
class _Waiting:
    frame: Frame
    written: asyncio.Future[Receipt]
    at_once: bool
    number: int = 0
    error: OnefoldError | None = None
    receipt: Receipt | None = None


@dataclass
class Figures:
    """For monitoring."""

    events: int = 0
    refused: int = 0
    groups: int = 0
    committed: int = 0
    failed: int = 0
    problem: str | None = None
    depth: Depth = field(default_factory=lambda: Depth(0, 0, 0.0, {}))
    suppressed: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)

    def tracked(self, suppressed: Mapping[str, int], withheld: Mapping[str, int]) -> None:
        """Count tracking events that are not kept, and those kept without their person, by reason."""
        self.suppressed.update(suppressed)
        self.withheld.update(withheld)


class EventLog:
    """Takes events of sources, durably."""

    def __init__(self, settings: StorageSettings, ledger: Ledger, keyed: KeyedHash) -> None:
        self._settings, self._ledger, self._keyed = settings, ledger, keyed
        self.spool = Spool(settings.spool_folder)
        self.figures = Figures()
        self._writer = Writer(self.spool.logs)
        self._thread = ThreadPoolExecutor(1, "spool")
        self._drainer = DrainProcess(settings, self._writer.id, self._heard)
        self._loop = asyncio.get_running_loop()
        self._queue: list[_Waiting] = []
        self._writing = False
        self._queued = 0
        self._keys = UncommittedKeys()
        self._outcomes: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._waited: set[int] = set()
        self._sealed: set[int] = set()
        self._begun = 0.0
        self._grown = 0
        self._ticker: asyncio.Task[None] | None = None
        if self.spool.log_folders() or self.spool.held_sources():
            self._start()

    async def add(self, frame: Frame, *, at_once: bool = False) -> Receipt:
        """Keep a request's events; they are in the log for good when this returns.

        `at_once`: somebody waits for the commit. A request whose key is known gets the receipt of the first.

        Raises:
            Full: the log is at its bound, or its volume is. Unavailable: the volume takes no writes.
            Conflict: the key was used before, with other events.
        """
        first = self._keys.first(frame)
        if first is not None:
            return await asyncio.shield(first)
        self._bound(frame)
        waiting = _Waiting(frame, self._loop.create_future(), at_once)
        self._keys.begin(frame, waiting.written)
        self._queue.append(waiting)
        self._queued += len(frame.body)
        if not self._writing:
            self._write()
        return await asyncio.shield(waiting.written)

    async def outcome(self, receipt: Receipt, seconds: float) -> dict[str, Any] | None:
        """What became of the segment a receipt of this process names, by source; None when it takes longer."""
        waiting = self._outcomes.get(receipt.number)
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), seconds) if waiting else None
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Write what waits, seal, and give the drainer some seconds."""
        while self._writing or self._queue:
            await asyncio.sleep(0.01)
        if self._ticker:
            self._ticker.cancel()
        await self._loop.run_in_executor(self._thread, self._writer.close)
        await asyncio.to_thread(self._drainer.close)
        self._thread.shutdown()

    # writing

    def _bound(self, frame: Frame) -> None:
        if self._queued > _QUEUE_BYTES:
            raise Unavailable("the volume of the log is slower than events come in: send again in a moment")
        most, depth = self._settings.spool_max_bytes, self.figures.depth
        wanted = depth.total + self._grown + len(frame.body)
        if wanted > most:
            self.figures.refused += 1
            raise Full(f"the log of events is full ({most} bytes, ONEFOLD_SPOOL_MAX_BYTES): storage is behind")
        if depth.held.get(frame.source, 0) + len(frame.body) > most // 2:
            self.figures.refused += 1
            raise Full(f"{frame.source}: its events are held until its contract is amended, and fill half the log")

    def _write(self) -> None:
        group, size = 0, 0
        while group < len(self._queue) and size < _GROUP_BYTES:
            size += len(self._queue[group].frame.body)
            group += 1
        batch, self._queue = self._queue[:group], self._queue[group:]
        self._writing = True
        self._grown += size + 128 * group
        self._loop.run_in_executor(self._thread, self._written, batch).add_done_callback(self._done)

    def _written(self, batch: list[_Waiting]) -> list[_Waiting]:
        """In the writer's thread: look the keys up, write the rest, sync."""
        self._look_up(batch)
        new = [w for w in batch if w.error is None and w.receipt is None]
        if new:
            try:
                places = self._writer.append([w.frame for w in new])
            except Exception as error:
                unknown = Unavailable(f"the log of events failed ({type(error).__name__})")
                refused = error if isinstance(error, OnefoldError) else unknown
                _log.error("events were refused: %s", refused)
                for w in new:
                    w.error = refused
                return batch
            for w, (number, first) in zip(new, places, strict=True):
                w.number = number
                f = w.frame
                w.receipt = Receipt(f.source, f.events, f.key, self._writer.id, number, first)
        return batch

    def _look_up(self, batch: Sequence[_Waiting]) -> None:
        """Requests whose key has landed before; where the ledger is away, the drainer will find them."""
        by_source: dict[str, list[_Waiting]] = {}
        for w in batch:
            if w.frame.key:
                by_source.setdefault(w.frame.source, []).append(w)
        for source, some in by_source.items():
            try:
                known = self._ledger.requests.find(source, {w.frame.key for w in some if w.frame.key})
            except Exception:
                return
            for w in some:
                found = known.get(w.frame.key or "")
                if found and found.request.body != w.frame.digest:
                    w.error = Conflict(OTHER_EVENTS)
                elif found:
                    w.receipt = Receipt(source, found.request.events, found.request.key)

    def _done(self, written: asyncio.Future[list[_Waiting]]) -> None:
        batch = written.result()
        self._writing = False
        self.figures.groups += 1
        for w in batch:
            self._settle(w)
        if self._queue:
            self._write()
        self._start()
        self._seal_if_due()

    def _settle(self, w: _Waiting) -> None:
        self._queued -= len(w.frame.body)
        if w.number:
            self.figures.events += w.frame.events
            self._begun = self._begun or time.monotonic()
            self._keys.keep(w.frame, w.number)
            if w.at_once:
                self._waited.add(w.number)
                self._outcomes.setdefault(w.number, self._loop.create_future())
        else:
            self._keys.drop(w.frame)
        if w.error:
            self.figures.refused += 1
            self._begun = self._begun if self._writer.size else 0.0
            w.written.set_exception(w.error)
            w.written.exception()  # the request that waits raises its own
        else:
            assert w.receipt is not None
            w.written.set_result(w.receipt)

    # sealing and draining

    def _start(self) -> None:
        self._drainer.start()
        if self._ticker is None:
            self._ticker = self._loop.create_task(self._tick())

    async def _tick(self) -> None:
        looked = 0.0
        while True:
            await asyncio.sleep(_TICK)
            self._seal_if_due()
            if time.monotonic() - looked > 1.0:
                looked = time.monotonic()
                try:
                    self.figures.depth, self._grown = await asyncio.to_thread(self.spool.depth), 0
                except OSError as error:
                    _log.error("the volume of the log cannot be looked at (%s)", error.strerror)

    def _seal_if_due(self) -> None:
        """Seal what is old, large, or waited for; not more often than is drained, unless it is large."""
        if not self._begun or self._writing:
            return
        age, number = time.monotonic() - self._begun, self._writer.number
        due = age >= _SEAL_SECONDS or number in self._waited
        if self._writer.size < _SEAL_BYTES and not (due and len(self._sealed) < _BEHIND):
            return
        self._begun, self._writing = 0.0, True
        self._sealed.add(number)
        self._loop.run_in_executor(self._thread, self._seal, number).add_done_callback(self._was_sealed)

    def _seal(self, number: int) -> int | None:
        """In the writer's thread: seal; the number where there was nothing to seal."""
        try:
            return None if self._writer.seal() else number
        except OSError as error:
            _log.error("a segment could not be sealed (%s)", error.strerror)
            return number

    def _was_sealed(self, sealed: asyncio.Future[int | None]) -> None:
        nothing = sealed.result()
        if nothing is not None:
            self._sealed.discard(nothing)
        self._writing = False
        self._drainer.kick()
        if self._queue:
            self._write()

    def _heard(self, said: dict[str, Any]) -> None:
        """In the thread that hears the drainer."""
        self._loop.call_soon_threadsafe(self._drained, said)

    def _drained(self, said: dict[str, Any]) -> None:
        if "problem" in said:
            self.figures.problem = said["problem"]
            return
        for outcome in said["sources"].values():
            self.figures.committed += outcome.get("landed", 0)
            self.figures.failed += outcome.get("failed", 0)
        number = said["number"]
        if said["log"] != self._writer.id:
            return
        self._sealed.discard(number)
        self._waited.discard(number)
        self._keys.committed(number)
        waiting = self._outcomes.get(number)
        if waiting and not waiting.done():
            waiting.set_result(said["sources"])
        for old in [n for n in self._outcomes if n < number - _REMEMBERED]:
            del self._outcomes[old]
        self._seal_if_due()
