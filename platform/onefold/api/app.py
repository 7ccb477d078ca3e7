"""The app: built in a function, so that two with different settings can live in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from onefold import web
from onefold.api import (
    consents,
    customers,
    documents,
    errors,
    health,
    identity,
    ingest,
    interactions,
    metrics,
    models,
    scores,
    search,
    segments,
    sources,
    tracking,
    webhooks,
)
from onefold.api.auth import KeyRing
from onefold.api.bounds import Bounds
from onefold.api.context import Context
from onefold.api.direct import Direct
from onefold.settings import PlatformSettings
from onefold_storage.settings import StorageSettings

_RESOURCES = (
    customers,
    search,
    interactions,
    documents,
    scores,
    consents,
    segments,
    models,
    sources,
    ingest,
    tracking,
    webhooks,
    identity,
    health,
    metrics,
)
_TAGS = [
    {
        "name": "customers",
        "description": "Golden records: profile, scores, offers and permissions of one customer.",
    },
    {"name": "scores", "description": "Ranked lists of those who may be contacted; segments; models."},
    {"name": "identity", "description": "Why who is who, what people decide about it, and what it was on a date."},
    {"name": "consents", "description": "What people want, in force from the next request on."},
    {"name": "sources", "description": "What each source brought, and how fresh it is."},
    {"name": "ingest", "description": "Events in: safe when answered, landed exactly once."},
    {"name": "tracking", "description": "Events of web pages and apps, as existing SDKs send them."},
    {"name": "operation", "description": "For load balancers and monitoring."},
]
_ABOUT = """
Results of onefold: one golden record per customer, scores with their reasons, and whether a customer may be
contacted. Every route but `/health` needs a key with a scope, sent as `Authorization: Bearer …` or `X-API-Key: …`
(`onefold key create NAME --scope …`). Identifiers and names travel in bodies, never in URLs. Errors have one shape:
`{"error": {"code", "message", "field"}}`.
"""


def create_app(storage: StorageSettings | None = None, settings: PlatformSettings | None = None) -> FastAPI:
    """The API and the pages over one installation; settings are read from the environment where none are given."""
    storage, settings = storage or StorageSettings(), settings or PlatformSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.context = Context.open(storage, settings)
        app.state.metrics.follow(app.state.context.events.figures)
        try:
            yield
        finally:
            await app.state.context.events.close()
            app.state.context.close()

    app = FastAPI(
        title="onefold",
        version=version("onefold"),
        description=_ABOUT,
        openapi_tags=_TAGS,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.keys = KeyRing()
    app.state.metrics = metrics.Metrics()
    errors.install(app)
    for resource in _RESOURCES:
        app.include_router(resource.router)
    web.install(app)
    app.add_middleware(Direct, paths=(ingest.DIRECT, *tracking.DIRECT, webhooks.DIRECT))
    app.add_middleware(
        Bounds, most=settings.api_max_body, ingest=settings.ingest_max_body, observe=app.state.metrics.observe
    )
    return app
