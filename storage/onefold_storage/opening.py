"""How a table is opened where storage may show less than it holds: past a torn commit, never behind an acknowledged one.

See `torn.py` for the first and `heads.py` for the second. On this machine's disk neither happens.
"""

from __future__ import annotations

import time

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from onefold_storage.errors import NotFound, Unavailable
from onefold_storage.heads import FileHeads, TableHeads
from onefold_storage.objects import Objects
from onefold_storage.settings import patience_of
from onefold_storage.torn import hidden, mend, mend_checkpoint, torn_checkpoint, torn_version, unread

_PAUSE = 0.5
"""Seconds between two looks at a table of which storage shows too little."""


class Opening:
    """Opens the tables below one root. `held`: the caller holds the table's lock."""

    def __init__(self, root: str, options: dict[str, str], objects: Objects, heads: FileHeads | TableHeads) -> None:
        self._root, self._options, self._objects, self._heads = root, options, objects, heads
        self._patience = patience_of(options)

    def newest(self, name: str, kept: DeltaTable | None, *, held: bool) -> DeltaTable:
        """The table as it is now; `kept`: a handle on it that is brought up to date instead.

        A node that has just come back does not give what was written without it until it has found the others: such a
        table is looked at again, for as long as any request to storage is sent again.

        Raises:
            NotFound: there is no such table.
            Unavailable: storage does not show a commit that was made.
        """
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._newest(name, kept, held=held)
            except (Unavailable, DeltaError) as error:
                if (
                    time.monotonic() > end
                    or self._objects.local
                    or not (isinstance(error, Unavailable) or unread(error))
                ):
                    raise
            time.sleep(_PAUSE)

    def _newest(self, name: str, kept: DeltaTable | None, *, held: bool) -> DeltaTable:
        try:
            if kept is None:
                table = self._open(name)
            else:
                kept.update_incremental()
                table = kept
        except TableNotFoundError as error:
            raise NotFound(f"{name}: no such table in the lake") from error
        except DeltaError as error:
            if self._objects.local or not unread(error):
                raise
            table = self._past_torn(name, error, held=held)
        if held:
            self.seen(name, int(table.version()))
        return table

    def at(self, name: str, version: int) -> DeltaTable:
        """The table at a version.

        Raises:
            NotFound: there is no such table, or no such version of it.
        """
        try:
            return self._open(name, version)
        except TableNotFoundError as error:
            raise NotFound(f"{name}: no such table in the lake") from error
        except DeltaError as error:
            newest = int(self.newest(name, None, held=False).version())
            raise NotFound(f"{name}: has no version {version}, the newest is {newest}") from error

    def seen(self, name: str, version: int) -> None:
        """Who holds the table's lock saw this version, or committed it: from here on nothing older is taken for it.

        Raises:
            Unavailable: a newer one was seen before, so that storage does not show a commit that was made.
        """
        if self._objects.local:
            return
        head = self._heads.get(name)
        if head > version:
            raise hidden(name, head)
        if head < version:
            self._heads.put(name, version)

    def _past_torn(self, name: str, error: DeltaError, *, held: bool) -> DeltaTable:
        """The table without a newest commit that was cut off; who holds the lock takes it out of the way."""
        checkpoint = torn_checkpoint(error)
        if checkpoint is not None:
            mend_checkpoint(self._objects, name, checkpoint)
            return self._open(name)
        torn = torn_version(error, self._objects, name)
        if torn is None:
            return self._open(name)
        if self._heads.get(name) >= torn:
            raise hidden(name, torn) from error
        if not torn:  # `Lake.commit` makes the table, over it
            raise NotFound(f"{name}: no such table in the lake") from error
        if held:
            mend(self._objects, name, torn)
            return self._open(name)
        return self._open(name, torn - 1)

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        return DeltaTable(f"{self._root}/{name}", version=version, storage_options=self._options or None)
