"""The write-ahead log to bronze: each source's events of a sealed segment are one delivery.

A segment goes when all its sources are committed. A source whose contract does not take its events is held, with
all that comes after them, until the contract is amended; the others go on. Where storage is away, everything waits.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from onefold_storage.contract_watch import WatchedContracts
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch, Delivery, Request
from onefold_storage.errors import BadInput, Conflict, NotFound, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.packages import Package
from onefold_storage.requests import Requests
from onefold_storage.spool import Spool
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import Segment, remove, segments, set_aside, take_over
from onefold_workers.connectors.formats.ndjson import Lines
from onefold_workers.stages.tracked import tracked

ORIGIN = "HTTP"
_STRETCH = 4 << 20
_LOOK_SECONDS = 2.0
_TRY_AGAIN_SECONDS = 30.0
_PROBE = "work/spool.probe"
_TRIES = 3
_SIDE_BY_SIDE = 4  # sources of a segment: most of landing a few events is waiting for storage

_log = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]
"""Told of each segment: `log`, `number`, and by source what became of its events."""


class Drainer:
    """Drains one spool. `own`: the log of a process that is alive and shares its sealed segments."""

    def __init__(self, installation: Installation, own: str | None = None, report: Report = lambda _: None) -> None:
        self._installation, self._own, self._report = installation, own, report
        self._spool = Spool(installation.settings.spool_folder)
        self._contracts = WatchedContracts(installation.settings.workspace_folder)
        self._taken: dict[Path, FileLock] = {}
        self._looked = self._forgot = float("-inf")
        self._tried: dict[str, float] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._side_by_side = ThreadPoolExecutor(_SIDE_BY_SIDE, "drain")

    def step(self) -> bool:
        """Land everything that is sealed; gives whether there was anything.

        Raises:
            Unavailable: storage or the ledger is away; nothing is lost, try again later.
        """
        self._look_for_orphans()
        done = False
        folders = [self._spool.logs / self._own] if self._own else []
        for folder in (*folders, *self._taken):
            for segment in segments(folder):
                self._segment(segment)
                done = True
        for source in self._spool.held_sources():
            done = self._try_held(source) or done
        self._let_go()
        return done

    def close(self) -> None:
        """Let the logs go that were taken over."""
        for lock in self._taken.values():
            lock.release()
        self._taken.clear()
        self._side_by_side.shutdown()

    # logs whose process has ended

    def _look_for_orphans(self) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        for folder in self._spool.log_folders():
            if folder.name != self._own and folder not in self._taken and (lock := take_over(folder)):
                self._taken[folder] = lock
        self._looked = time.monotonic()

    def _let_go(self) -> None:
        for folder, lock in list(self._taken.items()):
            if not segments(folder):
                if not any(p.name != "lock" for p in folder.iterdir()):
                    (folder / "lock").unlink()
                    with suppress(OSError):  # another process has just looked into it, and clears it away
                        folder.rmdir()
                lock.release()
                del self._taken[folder]

    # one segment

    def _segment(self, segment: Segment) -> None:
        try:
            frames = _whole(segment)
        except FileNotFoundError:
            return  # another process had taken the log over and drained it
        by_source: dict[str, list[Frame]] = {}
        for frame in frames:
            by_source.setdefault(frame.source, []).append(frame)
        if len(by_source) == 1:
            outcomes = {source: self._source(segment, source, frames) for source, frames in by_source.items()}
        else:
            waiting = {s: self._side_by_side.submit(self._source, segment, s, f) for s, f in by_source.items()}
            wait(waiting.values())
            outcomes = {source: done.result() for source, done in waiting.items()}
        remove(segment.path)
        self._report({"log": segment.log, "number": segment.number, "sources": outcomes})
        if time.monotonic() - self._forgot > 3600:
            self._installation.ledger.requests.forget(self._installation.settings.ingest_key_days)
            self._forgot = time.monotonic()

    def _source(self, segment: Segment, source: str, frames: list[Frame]) -> dict[str, Any]:
        """Land a source's events or hold them."""
        if not self._spool.held(source):
            landed, why = self._land(segment, source, frames)
            if landed:
                return _told(landed)
        else:
            why = self._spool.why(source)
        self._spool.hold(source, segment, frames, why)
        return {"status": "held", "message": why.get("message")}

    def _try_held(self, source: str) -> bool:
        """Land what is held of a source if its contract has changed, or some time has passed."""
        why = self._spool.why(source)
        waited = time.monotonic() - self._tried.get(source, float("-inf"))
        if waited < _TRY_AGAIN_SECONDS and why.get("contract") == self._contract_hash(source):
            return False
        self._tried[source] = time.monotonic()
        for held in self._spool.held(source):
            frames = [f for f in _whole(held.segment) if f.source == source]
            landed, why = self._land(held.segment, source, frames)
            if landed is None:
                self._spool.explain(source, why)
                return False
            remove(held.segment.path)
            report = {"log": held.segment.log, "number": held.segment.number, "sources": {source: _told(landed)}}
            self._report(report)
        return True

    def _land(self, segment: Segment, source: str, frames: list[Frame]) -> tuple[Package | None, dict[str, Any]]:
        """The package that was committed; or None and why the events have to be held."""
        installation = self._installation
        try:
            contract = self._contracts.get(source)
        except (BadInput, NotFound) as error:
            return None, {"message": str(error), "contract": self._contract_hash(source)}
        try:
            given = delivery(
                contract, segment.content, frames, installation.ledger.requests, installation.keyed_hash
            )
            package = installation.lander.land(contract, given)
        except BadInput as error:
            return None, {"message": str(error), "contract": self._contract_hash(source)}
        except (Unavailable, Conflict):
            raise
        except BaseException as error:  # Polars' panics are no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return None, self._explained(segment, source, error)
        self._failures.pop((segment.content, source), None)
        return package, {}

    def _explained(self, segment: Segment, source: str, error: BaseException) -> dict[str, Any]:
        """Why events cannot land while storage is well; such ones must not keep the others waiting.

        Raises:
            Unavailable: storage is not well, or this was not tried often enough.
        """
        kind = type(error).__name__
        try:
            self._installation.lake.objects.put(_PROBE, b"")
            self._installation.lake.objects.delete(_PROBE)
            self._installation.ledger.wishes.revision()
        except Exception as away:
            raise Unavailable(f"storage is away ({type(away).__name__}): the events wait in the log") from away
        failures = self._failures[segment.content, source] = self._failures.get((segment.content, source), 0) + 1
        if failures < _TRIES:
            raise Unavailable(f"{source}: could not be committed ({kind}): trying again") from error
        _log.error("%s: events cannot be landed (%s); they are held", source, kind)
        said = f"{source}: landing failed {failures} times though storage answers ({kind}); the events are kept"
        return {"message": said, "contract": self._contract_hash(source)}

    def _contract_hash(self, source: str) -> str | None:
        try:
            return hashlib.sha256(self._contracts.get(source).text.encode()).hexdigest()
        except NotFound:
            return None
        except BadInput as error:
            return str(error)


def _whole(segment: Segment) -> tuple[Frame, ...]:
    """What is whole of a segment; damage is said and set aside."""
    found = segment.read()
    if found.damaged:
        _log.error("%s: %d bytes are damaged; set aside as .damaged, the rest lands", segment.path, found.damaged)
        set_aside(segment.path, found.frames)
    return found.frames


def delivery(
    contract: Contract, content: str, frames: list[Frame], requests: Requests, keyed: KeyedHash
) -> Delivery:
    """A source's events of a segment; read under the source's lock, which decides who landed a key first."""
    named: list[Request] = []
    if contract.rules.connector == "tracking":
        batches = tracked(contract, frames, requests, keyed, named, ORIGIN)
    else:
        batches = _batches(contract, frames, requests, named)
    return Delivery(content, ORIGIN, batches, apart=True, requests=named)


def _batches(contract: Contract, frames: list[Frame], requests: Requests, named: list[Request]) -> Iterator[Batch]:
    known = {k: r.request for k, r in requests.find(contract.id, {f.key for f in frames if f.key}).items()}
    lines = Lines(ORIGIN, tuple(contract.by_name))
    waiting: list[bytes] = []
    first = after = size = 0
    for frame in frames:
        special = _known(frame, known)
        if special is None and frame.key:
            named.append(Request(frame.key, frame.digest or "", frame.first, frame.events))
            known[frame.key] = named[-1]
        if waiting and (special or frame.first != after or size > _STRETCH or frame.erased):
            yield lines.batch(b"\n".join(waiting), first)
            waiting, size = [], 0
        if special:
            yield special
        elif frame.erased:
            yield from _without_erased(lines, frame)
        else:
            first = first if waiting else frame.first
            waiting.append(frame.body)
            size += len(frame.body)
            after = frame.first + frame.events
    if waiting:
        yield lines.batch(b"\n".join(waiting), first)


def _known(frame: Frame, known: dict[str, Request]) -> Batch | None:
    """What to do with a request whose key came before; None for a new one."""
    earlier = known.get(frame.key) if frame.key else None
    if earlier is None:
        return None
    if earlier.body == frame.digest:
        return _nothing(repeated=frame.events)
    said = "the idempotency key was used before, with other events; send these again under a key of their own"
    bad = tuple(BadRow(n, "idempotency_key", said, raw) for n, raw in frame.lines())
    return _nothing(bad, suppressed=frame.events - len(bad))


def _without_erased(lines: Lines, frame: Frame) -> Iterator[Batch]:
    """The events of a frame from which some were erased."""
    for at, raw in frame.lines():
        yield lines.batch(raw, at)
    yield _nothing(suppressed=len(frame.erased))


def _nothing(bad: tuple[BadRow, ...] = (), *, repeated: int = 0, suppressed: int = 0) -> Batch:
    return Batch(pa.table({}), pa.array([], pa.int64()), bad, repeated, suppressed)


def _told(package: Package) -> dict[str, Any]:
    counts = ("sent", "landed", "failed", "repeated", "suppressed")
    return {"status": "committed", "package_id": package.package_id, **{c: getattr(package, c) for c in counts}}
