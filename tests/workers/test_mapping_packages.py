"""Each package's rows come into silver once, whatever lands while others are mapped."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from onefold_storage import contracts
from onefold_storage.contracts import Contract
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import CONTACT_RECORDS
from onefold_storage.settings import StorageSettings
from onefold_storage.status import status
from onefold_workers.stages import mapping
from onefold_workers.stages.mapping import map_sources
from onefold_workers.stages.slices import Slice

made = runpy.run_path(str(Path(__file__).parents[1] / "storage" / "small_lake.py"))
LATER = {"key": ["dan-1", "eve-1"], "mail": ["dan@example.org", "eve@example.org"], "may": ["GRANTED", "DENIED"]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """One package of a source has landed; what is mapped is mapped here, by no worker."""

    def here(task: Callable[[Any], Any], chunks: list[Any]) -> list[Any]:
        return [task(c) for c in chunks]

    monkeypatch.setattr(mapping, "spread", here)
    opened = Installation(StorageSettings(home=tmp_path / "home", now=made["NOW"]))
    made["land"](opened, "news", made["NEWS"])
    yield opened
    opened.ledger.close()


def silver(home: Installation) -> list[str]:
    """Record keys of every row that is there, sorted."""
    return sorted(home.lake.scan(CONTACT_RECORDS.name).select("record_key").collect()["record_key"])


@pytest.mark.parametrize("mapped_before", [False, True])
def test_a_package_that_lands_meanwhile_waits_for_the_next_run(
    home: Installation, monkeypatch: pytest.MonkeyPatch, mapped_before: bool
) -> None:
    first, later = ["news:ann-1", "news:cyr-1"], ["news:dan-1", "news:eve-1"]
    if mapped_before:
        map_sources(home, [made["contract"]("news")])
        made["land"](
            home, "news", {k: [f"{v}2" if k == "key" else v for v in vs] for k, vs in made["NEWS"].items()}
        )
        first = sorted([*first, *(f"{k}2" for k in first)])
    listing = mapping.slices

    def late(lake: Lake, table: str, **how: Any) -> list[Slice]:
        """As the drainer of events does: it waits for no flow."""
        monkeypatch.setattr(mapping, "slices", listing)
        made["land"](home, "news", LATER)
        return listing(lake, table, **how)

    monkeypatch.setattr(mapping, "slices", late)
    assert map_sources(home, [made["contract"]("news")]).added["silver/contact_records"] == 2
    assert silver(home) == first
    assert map_sources(home, [made["contract"]("news")]).added["silver/contact_records"] == 2
    assert silver(home) == sorted(first + later)
    assert map_sources(home, [made["contract"]("news")]).added == {}


def _visits(**timed: str) -> Contract:
    document = yaml.safe_load(made["CONTRACTS"]["visits"])
    document["customProperties"][0]["value"]["maps"][0].update(timed)
    return contracts.parse(yaml.safe_dump(document), "visits")


def test_rows_that_are_no_interactions_stand_in_the_status_until_they_are_mapped_anew(home: Installation) -> None:
    timed = _visits(effective_at="note")
    for when in (["2018-01-01T10:00:00Z", "soon", None], ["2018-01-02T10:00:00Z", "later", "2018-01-03T10:00:00Z"]):
        made["land"](home, "visits", {"who": ["1", "2", "3"], "note": when})
        map_sources(home, [timed])
    assert status(home)["untimed"] == {"visits": 3}
    map_sources(home, [timed])
    assert status(home)["untimed"] == {"visits": 3}
    map_sources(home, [_visits()])
    assert status(home)["untimed"] == {}
