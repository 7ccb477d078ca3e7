"""An installation: the lake, the ledger, the workspace and the clock that belong together.

Cheap to open, so that each worker process opens its own from the same settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from onefold_storage.clock import Clock
from onefold_storage.errors import Conflict
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.lake import Lake
from onefold_storage.landing import Lander
from onefold_storage.law import Law
from onefold_storage.ledger import Ledger
from onefold_storage.objects import Objects
from onefold_storage.settings import StorageSettings
from onefold_storage.suppressor import Suppressor
from onefold_storage.workspace import Workspace, clock_for

FLOW = "flow"
"""Name of the lock that a flow's stage holds while it works, and an erasure too: neither may undo the other."""


@dataclass(frozen=True)
class Installation:
    """Everything that one set of settings names; each part is opened when it is first used."""

    settings: StorageSettings

    def __repr__(self) -> str:
        return f"Installation({self.settings.lake!r})"

    @cached_property
    def clock(self) -> Clock:
        """The one clock."""
        return clock_for(self.settings)

    @cached_property
    def lake(self) -> Lake:
        """The lake."""
        return Lake.open(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, brought to the newest schema.

        Raises:
            Conflict: it lacks wishes or erasures that the lake knows of; see `law.py`.
        """
        ledger = Ledger.open(self.settings.ledger, self.clock)
        try:
            self.law_of(ledger).require_if_there()
        except Conflict:
            ledger.close()
            raise
        return ledger

    @cached_property
    def law(self) -> Law:
        """The law, in the ledger and in the lake."""
        return self.law_of(self.ledger)

    def law_of(self, ledger: Ledger, *, restoring: bool = False) -> Law:
        """The law that a ledger and this lake hold, whether they agree or not."""
        return Law(
            ledger.access,
            self.lake.objects,
            lambda: self.lake.lock("law"),
            lambda: self.keyed_hash,
            backups=self._backups if self.settings.backup_url else None,
            restoring=restoring,
        )

    def _backups(self) -> Objects:
        url = (self.settings.backup_url or "").rstrip("/").removeprefix("file://")
        return Objects(url, self.settings.backup_options_for(url))

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace.

        Raises:
            NotFound: there is none yet.
        """
        return Workspace.open(self.settings.workspace_folder)

    @cached_property
    def keyed_hash(self) -> KeyedHash:
        """The keyed hash of this installation."""
        return KeyedHash.at(self.settings.root / "secret")

    @cached_property
    def lander(self) -> Lander:
        """What lands deliveries.

        Raises:
            Conflict: as `ledger`, which may have been opened long ago.
        """
        if "ledger" in vars(self):
            self.law.require_if_there()
        suppressor = Suppressor(self.ledger.suppression, self.keyed_hash)
        return Lander(self.lake, self.ledger.packages, self.clock, suppressor)
