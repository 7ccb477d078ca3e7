"""What the tests of this floor share."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Makers of real media files: `make.photo()`, `make.wav()`, `make.mp4()`, `make.pdf()`, …"""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "media" / "makers.py")))
