"""Lands an MQTT source again and again, until it is killed; run by `test_mqtt.py` with the global `given`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onefold_storage import contracts
from onefold_storage.settings import StorageSettings
from onefold_workers.stages.landing import land_source

given: dict[str, Any] = globals()["given"]
contract = contracts.parse(given["contract"], "devices.yaml")
folder = Path(given["folder"])
Path(given["ready"]).touch()
while True:
    land_source(StorageSettings(home=folder / "home"), contract, folder)
