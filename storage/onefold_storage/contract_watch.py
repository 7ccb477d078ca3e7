"""The workspace's contracts as they stand now, for processes that go on for days: read again when a file changes."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from onefold_storage import contracts
from onefold_storage.contracts import Contract
from onefold_storage.errors import BadContract, NotFound
from onefold_storage.workspace import Workspace

_SECONDS = 1.0

_Stamp = tuple[int, int, int]


class WatchedContracts:
    """Contracts of a workspace's folder; a change is seen within a second. Threads may share it."""

    def __init__(self, workspace: Path) -> None:
        self._workspace, self._folder = workspace, workspace / "contracts"
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._files: dict[Path, tuple[_Stamp, Contract | BadContract]] = {}
        self._country: str | None = None
        self._good: dict[str, Contract] = {}
        self._broken: dict[str, BadContract] = {}
        self._last: dict[str, Contract] = {}

    def get(self, source: str) -> Contract:
        """The contract of a source.

        Raises:
            NotFound: there is none. BadContract: it is not valid, or two have this id.
        """
        self.look()
        if source in self._broken:
            raise self._broken[source]
        if source in self._good:
            return self._good[source]
        raise NotFound(
            f"{source}: no contract of the workspace has this id; one is made with `onefold source draft`"
        )

    def last(self, source: str) -> Contract:
        """As `get`; but where a contract is not valid now, the last one that was since this process began."""
        try:
            return self.get(source)
        except BadContract:
            if source in self._last:
                return self._last[source]
            raise

    @property
    def countries(self) -> set[str]:
        """Whose phone numbers the sources hold without a country's code."""
        self.look()
        named = {self._country, *(c.rules.country for c in self._good.values())}
        return {country for country in named if country}

    @property
    def fresh(self) -> bool:
        """Whether the next question is answered without a look at the files."""
        return time.monotonic() - self._looked < _SECONDS

    def look(self) -> None:
        """Look at the files, unless that was just done."""
        if self.fresh:
            return
        with self._lock:
            if not self.fresh:
                self._read()
                self._looked = time.monotonic()

    def _read(self) -> None:
        with suppress(NotFound, BadContract):  # what it said last stands
            self._country = Workspace.open(self._workspace).settings.country
        files: dict[Path, tuple[_Stamp, Contract | BadContract]] = {}
        for path in sorted(self._folder.glob("*.yaml")):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
            known = self._files.get(path)
            files[path] = known if known and known[0] == stamp else (stamp, _contract(path))
        good: dict[str, Contract] = {}
        broken: dict[str, BadContract] = {}
        for path, (_, found) in files.items():
            if isinstance(found, BadContract):
                broken[self._named(path)] = found
            elif found.id in good:
                broken[found.id] = BadContract(f"{path}: id: {found.id!r} is the id of another contract too")
            else:
                good[found.id] = found.with_country(self._country)
        self._files, self._good, self._broken = files, good, broken
        self._last |= {k: v for k, v in good.items() if k not in broken}

    def _named(self, path: Path) -> str:
        """Whose contract a file is that is not valid: what it was before, else what its name says."""
        known = self._files.get(path)
        return known[1].id if known and isinstance(known[1], Contract) else path.stem


def _contract(path: Path) -> Contract | BadContract:
    try:
        return contracts.read(path)
    except BadContract as error:
        return error
