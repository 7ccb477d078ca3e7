"""What the connectors' tests share: contracts made on the spot, and everything that came out of a location."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from onefold_storage.contracts import Contract, parse
from onefold_storage.deliveries import BadRow, Delivery
from onefold_workers import connectors
from onefold_workers.connectors import _patience


@dataclass(frozen=True)
class Read:
    """All of one delivery: good rows by their place, bad rows, and the batches' tables."""

    content: str
    origin: str
    rows: dict[int, dict[str, Any]]
    bad: list[BadRow]
    tables: list[pa.Table]

    @property
    def values(self) -> list[dict[str, Any]]:
        """Good rows in order."""
        return [self.rows[i] for i in sorted(self.rows)]

    @property
    def rules(self) -> dict[int, str]:
        """The rule each bad row broke, by its place."""
        return {b.row_id: b.rule for b in self.bad}


def _contract(
    location: str,
    connector: str = "files",
    columns: tuple[str, ...] = ("a", "b"),
    primary: tuple[str, ...] = (),
    **options: Any,
) -> Contract:
    return _parsed(json.dumps([location, connector, columns, primary, options]))


@lru_cache
def _parsed(asked: str) -> Contract:
    location, connector, columns, primary, options = json.loads(asked)
    properties = [{"name": c, "logicalType": "string", "primaryKey": c in primary} for c in columns]
    rules = {"connector": connector, "location": location, "options": options}
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "trial",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "trial", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }
    return parse(yaml.safe_dump(document), "trial.yaml")


def read_delivery(delivery: Delivery) -> Read:
    """Read a delivery to its end and hold it against its own promises."""
    rows: dict[int, dict[str, Any]] = {}
    bad: list[BadRow] = []
    tables = []
    for batch in delivery.batches:
        assert batch.row_ids.type == pa.int64()
        assert len(batch.row_ids) == batch.rows.num_rows
        found = dict(zip(batch.row_ids.to_pylist(), batch.rows.to_pylist(), strict=True))
        assert not rows.keys() & found.keys()
        rows |= found
        bad += batch.bad
        tables.append(batch.rows)
    places = [*rows, *(b.row_id for b in bad)]
    assert sorted(places) == list(range(len(places))), "every row has its own place, counted from 0"
    return Read(delivery.content, delivery.origin, rows, bad, tables)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not answer is asked again at once."""
    monkeypatch.setattr(_patience, "WAITS_S", (0.01, 0.01))


@pytest.fixture
def contract() -> Callable[..., Contract]:
    """`contract(location, connector, columns, primary, **options)`."""
    return _contract


@pytest.fixture
def read_all(tmp_path: Path) -> Callable[..., list[Read]]:
    """Everything at a location below `tmp_path`; arguments as for `contract`."""

    def read(location: str, connector: str = "files", **more: Any) -> list[Read]:
        found = connectors.deliveries(_contract(location, connector, **more), tmp_path)
        return [read_delivery(d) for d in found]

    return read


@pytest.fixture
def read_bytes(tmp_path: Path, read_all: Callable[..., list[Read]]) -> Callable[..., Read]:
    """`read_bytes(data, name, **options)`: what comes out of one file with these bytes."""

    def read(data: bytes, name: str = "file.csv", **options: Any) -> Read:
        (tmp_path / name).write_bytes(data)
        return read_all(name, **options)[0]

    return read
