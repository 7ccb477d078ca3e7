"""What requests share: opened in the app's lifespan, closed with it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from onefold.api.ingest_body import Bounds as IngestBounds
from onefold.api.ingest_log import EventLog
from onefold.api.law_copying import LawCopying
from onefold.api.rates import Rates
from onefold.serving import Serving, View
from onefold.settings import PlatformSettings
from onefold_storage.clock import Clock
from onefold_storage.contract_watch import WatchedContracts
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.law import Law
from onefold_storage.ledger import Ledger
from onefold_storage.objects import Objects
from onefold_storage.publications import Publications
from onefold_storage.settings import StorageSettings
from onefold_storage.workspace import clock_for

if TYPE_CHECKING:
    from onefold_storage.installation import Installation
    from onefold_storage.lake import Lake


@dataclass(frozen=True)
class Context:
    """The open parts behind the API."""

    settings: PlatformSettings
    clock: Clock
    ledger: Ledger
    hashed: KeyedHash
    serving: Serving
    contracts: WatchedContracts
    events: EventLog
    storage: StorageSettings
    rates: Rates = field(default_factory=Rates)

    @property
    def bounds(self) -> IngestBounds:
        """What a request to ingest may hold."""
        s = self.settings
        return IngestBounds(s.ingest_max_body, s.ingest_max_events, s.ingest_max_depth)

    @property
    def countries(self) -> tuple[str | None, ...]:
        """Whose phone numbers may be meant where no country's code is given, and None for any.

        The one that the settings name, else those of the contracts and of the workspace.
        """
        named = {self.settings.api_country} if self.settings.api_country else self.contracts.countries
        return (*sorted(c for c in named if c), None)

    @cached_property
    def lake(self) -> Lake:
        """The lake's tables, opened when somebody asks what became of events."""
        from onefold_storage.lake import Lake

        return Lake.open(self.storage)

    @cached_property
    def installation(self) -> Installation:
        """The whole installation, with the ledger that is open here, for questions that the lake answers."""
        from onefold_storage.installation import Installation

        found = Installation(self.storage)
        found.__dict__["ledger"] = self.ledger
        return found

    @cached_property
    def law(self) -> Law:
        """The law, in the ledger and in the lake."""
        return Law(self.ledger.access, self.lake.objects, lambda: self.lake.lock("law"), lambda: self.hashed)

    @cached_property
    def law_copying(self) -> LawCopying:
        """Keeps wishes in the lake too, after they were answered."""
        return LawCopying(self._copy_law)

    def _copy_law(self) -> None:
        self.law.copy()

    @classmethod
    def open(cls, storage: StorageSettings, settings: PlatformSettings) -> Context:
        """Open the ledger and look for the current publication; there need not be one yet.

        Nothing is served from a ledger that lacks wishes or erasures which the lake knows of.
        """
        clock = clock_for(storage)
        ledger = Ledger.open(storage.ledger, clock)
        hashed = KeyedHash.at(storage.root / "secret")
        objects = Objects(storage.lake, storage.storage_options)
        law = Law(ledger.access, objects, nullcontext, lambda: hashed)
        publications = Publications(objects)
        cache = settings.publication_cache or storage.root / "publications"
        serving = Serving(publications, ledger.wishes, hashed, cache, law.require)
        serving.follow(settings.api_poll_seconds)
        contracts = WatchedContracts(storage.workspace_folder)
        events = EventLog(storage, ledger, hashed)
        return cls(settings, clock, ledger, hashed, serving, contracts, events, storage)

    def close(self) -> None:
        """Close what was opened."""
        self.serving.close()
        self.ledger.close()


def context(request: Request) -> Context:
    """The context of the app that the request came to."""
    found: Context = request.app.state.context
    return found


def view(found: Annotated[Context, Depends(context)]) -> View:
    """The publication and the wishes as they stand for this request."""
    return found.serving.view()


Shared = Annotated[Context, Depends(context)]
Published = Annotated[View, Depends(view)]
