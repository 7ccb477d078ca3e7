"""Lands a source once, or is killed at it; run by `test_each_source.py` with the global `given`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onefold_storage import contracts
from onefold_storage.settings import StorageSettings
from onefold_workers.stages.landing import land_source

given: dict[str, Any] = globals()["given"]
os.environ.update(given["environment"])
settings = StorageSettings(now=datetime(2018, 2, 1, tzinfo=UTC), **given["settings"])
contract = contracts.parse(given["contract"], "people.yaml")
Path(given["ready"]).touch()
land_source(settings, contract, Path(given["folder"]))
