"""What requests share: opened in the app's lifespan, closed with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from onefold.serving import Serving, View
from onefold.settings import PlatformSettings
from onefold_storage.clock import Clock
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.ledger import Ledger
from onefold_storage.objects import Objects
from onefold_storage.publications import Publications
from onefold_storage.settings import StorageSettings
from onefold_storage.workspace import clock_for


@dataclass(frozen=True)
class Context:
    """The open parts behind the API."""

    settings: PlatformSettings
    clock: Clock
    ledger: Ledger
    hashed: KeyedHash
    serving: Serving

    @classmethod
    def open(cls, storage: StorageSettings, settings: PlatformSettings) -> Context:
        """Open the ledger and look for the current publication; there need not be one yet."""
        clock = clock_for(storage)
        ledger = Ledger.open(storage.ledger, clock)
        hashed = KeyedHash.at(storage.root / "secret")
        publications = Publications(Objects(storage.lake, storage.storage_options))
        cache = settings.publication_cache or storage.root / "publications"
        serving = Serving(publications, ledger.wishes, hashed, cache)
        serving.follow(settings.api_poll_seconds)
        return cls(settings, clock, ledger, hashed, serving)

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
