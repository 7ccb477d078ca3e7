"""Follows the pointer object and swaps publications atomically; lays the live wishes over the current one."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from onefold.serving.objections import Objections
from onefold.serving.ranking import Lists
from onefold.serving.snapshot import Snapshot
from onefold_storage.errors import Conflict, OnefoldError, Unavailable
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.publications import SERVING_FILE, Publications
from onefold_storage.wishes import Wishes

_log = logging.getLogger(__name__)

_PATIENCE = 5.0


@dataclass(frozen=True)
class View:
    """What one request sees from beginning to end: a publication, its lists, and the wishes that stand."""

    snapshot: Snapshot
    lists: Lists
    objections: Objections


class Serving:
    """The current publication. A new one is opened beside the old and takes its place in one assignment."""

    def __init__(
        self,
        publications: Publications,
        wishes: Wishes,
        hashed: KeyedHash,
        cache: Path,
        lawful: Callable[[], None] | None = None,
    ) -> None:
        """`lawful`: asked before a publication is served; raises `Conflict` where wishes were forgotten."""
        self._publications, self._lawful = publications, lawful
        self._wishes = wishes
        self._hashed = hashed
        self._cache = cache
        self._current: tuple[Snapshot, Lists] | None = None
        self._objections: Objections | None = None
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem: str | None = None
        """Why the pointer's publication is not served, where it is not."""

    @property
    def version(self) -> str | None:
        """The version that is served; None before the first."""
        current = self._current
        return current[0].version if current else None

    def refresh(self) -> bool:
        """Look at the pointer and open what it names; gives whether something changed.

        The last good one stays where the new one cannot be served, and goes where the pointer was taken away.
        """
        try:
            pointer = self._publications.pointer()
            if pointer is None:
                return self._withdrawn()
            if pointer.version == self.version:
                self.problem = None
                return False
            if self._lawful is not None:
                self._lawful()
            publication = self._publications.get(pointer.version)
            files = self._publications.fetch(publication, self._cache)
            snapshot = Snapshot(files[SERVING_FILE], publication, self._hashed)
        except Exception as error:
            problem = str(error) if isinstance(error, OnefoldError) else type(error).__name__
            if problem != self.problem:
                _log.error("the current publication cannot be served, the last one stays: %s", problem)
            self.problem = problem
            if isinstance(error, Conflict):  # nobody may be contacted by a list that forgot who objected
                self._current, self._objections = None, None
            return False
        self._current, self._objections, self.problem = (snapshot, Lists(snapshot)), None, None
        _log.info("serving publication %s", publication.version)
        return True

    def _withdrawn(self) -> bool:
        """Nothing is published (any more): an erasure withdraws what may hold the erased, so nothing is served."""
        changed = self._current is not None
        self._current, self._objections, self.problem = None, None, None
        shutil.rmtree(self._cache, ignore_errors=True)
        if changed:
            _log.warning("the publication was withdrawn; nothing is served until the next one")
        return changed

    def follow(self, seconds: float) -> None:
        """Look at the pointer now, and every so many seconds, in a thread of its own.

        Returns when the first look is done, or takes long: storage that is away keeps no API from starting.
        """
        looked = threading.Event()
        given = (seconds, looked)
        self._thread = threading.Thread(target=self._loop, args=given, name="onefold-serving", daemon=True)
        self._thread.start()
        looked.wait(_PATIENCE)

    def _loop(self, seconds: float, looked: threading.Event) -> None:
        self.refresh()
        looked.set()
        while not self._stop.wait(seconds):
            self.refresh()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)

    def view(self) -> View:
        """The publication and the wishes as they stand at this moment.

        Raises:
            Unavailable: nothing was published yet.
        """
        current = self._current
        if current is None:
            raise Unavailable(
                "nothing is published yet: run `onefold refresh`, then ask again"
                if self.problem is None
                else "the publication cannot be served: see the log of the API"
            )
        snapshot, lists = current
        return View(snapshot, lists, self._laid_over(snapshot))

    def _laid_over(self, snapshot: Snapshot) -> Objections:
        """The wishes as they stand now; only what was recorded since the last request is read and resolved."""
        known = self._objections
        if known is not None and known.snapshot is snapshot and known.revision == self._wishes.revision():
            return known
        with self._reading:  # one reads, the others wait for what it has found
            known = self._objections
            if known is None or known.snapshot is not snapshot:
                known = Objections(snapshot, self._wishes.standing())
            elif known.revision != self._wishes.revision():
                later = self._wishes.after(known.standing)
                known = Objections(snapshot, later or self._wishes.standing(), known if later else None)
            self._objections = known
            return known
