"""GET /static/{name}: the style and the icon, from the package."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from onefold_storage.errors import NotFound

router = APIRouter()

_FOLDER = Path(__file__).parent / "static"
_FILES = {"onefold.css": "text/css", "icon.svg": "image/svg+xml"}


@router.get("/static/{name}")
def static(name: str) -> Response:
    """One of the two files there are."""
    if name not in _FILES:
        raise NotFound("no such file")
    return FileResponse(_FOLDER / name, media_type=_FILES[name], headers={"Cache-Control": "public, max-age=300"})
