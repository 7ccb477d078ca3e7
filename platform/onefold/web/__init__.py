"""The pages: server-rendered, without JavaScript and without anything from elsewhere.

A browser signs in with an API key and sees what the key's scopes allow.
"""

from __future__ import annotations

from fastapi import FastAPI

from onefold.web import documentation, pages, static

__all__ = ["install"]


def install(app: FastAPI) -> None:
    """Add the pages, their style and the API's documentation to the app."""
    for room in (pages, documentation, static):
        app.include_router(room.router, include_in_schema=False)
