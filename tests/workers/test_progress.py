"""Progress of long readings: told from a worker to who waits, counts alone, and no flood."""

from __future__ import annotations

import runpy
import time
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from onefold_storage import contracts
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers import progress
from onefold_workers.stages.landing import land_source, land_sources

_server = runpy.run_path(str(Path(__file__).parent / "connectors" / "crm_server.py"))


def _contract(location: str, connector: str, **options: object) -> contracts.Contract:
    rules = {"connector": connector, "location": location, "options": options}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "people", "version": "1.0.0", "status": "active",
        "schema": [{"name": "people", "properties": [{"name": "id", "logicalType": "integer"}]}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip
    return contracts.parse(orjson.dumps(document).decode(), "people.yaml")


@pytest.mark.needs_dask
def test_a_long_reading_on_a_worker_is_told_while_it_lasts(tmp_path: Path) -> None:
    installation = Installation(StorageSettings(home=tmp_path / "home", now=datetime(2018, 2, 1, tzinfo=UTC)))
    people = [{"id": n, "name": f"Hidden {n}", "updated": ""} for n in range(18)]
    told: list[str] = []
    with _server["serving"](_server["Crm"]({"people": people})) as crm:
        paginator = {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "after"}
        contract = _contract(
            f"{crm.url}/v1/people", "rest", records="data", paginator=paginator, requests_per_second=1.5
        )
        (landed,) = land_sources(installation, [contract], on_rows=told.append)
    assert [p.landed for p in landed.packages] == [18]
    assert any(t.endswith(" rows read") for t in told), told
    assert all(t.startswith("people: ") and t.endswith((" rows read", " rows checked")) for t in told), told


def test_rows_are_told_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "people.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(900_000)))
    contract = _contract("people.csv", "files")
    settings = StorageSettings(home=tmp_path / "home", now=datetime(2018, 2, 1, tzinfo=UTC))
    told: list[str] = []
    began = time.monotonic()
    land_source(settings, contract, tmp_path, told.append)
    assert len(told) <= time.monotonic() - began
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    assert land_source(settings, contract, tmp_path, told.append).packages[0].status == "repeated"
    (tmp_path / "people.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(900_001)))
    told.clear()
    land_source(settings, contract, tmp_path, told.append)
    assert told[-1] == "people: 900,001 rows checked"
