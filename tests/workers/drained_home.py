"""An installation that takes events of `clicks` and `views`, and its drainer; run by path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from onefold_storage.installation import Installation
from onefold_storage.schema import FAILED_EVENTS
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Spool
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import Writer
from onefold_workers.stages.draining import Drainer

NOW = datetime(2018, 1, 1, tzinfo=UTC)
COLUMNS: dict[str, Any] = {
    "id": {"logicalType": "integer", "required": True},
    "mail": {"logicalType": "string", "customProperties": [{"property": "onefold", "value": {"kind": "email"}}]},
}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation that takes events of `clicks` and `views`."""
    made = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    folder = made.settings.workspace_folder / "contracts"
    folder.mkdir(parents=True)
    (folder.parent / "onefold.yaml").write_text("name: test\n")
    for source in ("clicks", "views"):
        declare(made, source)
    yield made
    made.ledger.close()


def declare(installation: Installation, source: str, **changes: Any) -> None:
    """Write a contract of events."""
    properties = [{"name": n, **(changes.get(n) or c)} for n, c in COLUMNS.items()]
    value = {"connector": "http", "lawful_basis": "contract", "data_use": ["service"]}
    document = {
        "kind": "DataContract", "apiVersion": "v3.1.0", "id": source, "version": "1.0.0", "status": "active",
        "schema": [{"name": source, "logicalType": "object", "properties": properties}],
        "customProperties": [{"property": "onefold", "value": value}],
    }  # fmt: skip
    path = installation.settings.workspace_folder / "contracts" / f"{source}.yaml"
    path.write_text(yaml.safe_dump(document))


@pytest.fixture
def drainer(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Drainer]]:
    """`drainer()`: a fresh one, as after a restart, which looks for logs and contracts at once."""
    monkeypatch.setattr("onefold_workers.stages.draining._LOOK_SECONDS", -1.0)
    monkeypatch.setattr("onefold_storage.contract_watch._SECONDS", -1.0)
    made: list[Drainer] = []

    def fresh(**more: Any) -> Drainer:
        for one in made:
            one.close()
        made.append(Drainer(installation, **more))
        return made[-1]

    yield fresh
    for one in made:
        one.close()


def spooled(installation: Installation, *groups: list[Frame]) -> Writer:
    """A log with these groups, a segment each, whose process has ended."""
    writer = Writer(Spool(installation.settings.spool_folder).logs)
    for frames in groups:
        writer.append(frames)
        writer.seal()
    writer.close()
    return writer


def clicks(*ids: int, source: str = "clicks", **more: Any) -> Frame:
    """A request with these events."""
    body = b"\n".join(b'{"id":%d,"mail":"person%d@example.org"}' % (n, n) for n in ids)
    return Frame(source, body, len(ids), **more)


def landed(installation: Installation, source: str = "clicks") -> list[int]:
    """Ids in bronze, in order."""
    if not installation.lake.exists(f"bronze/{source}"):
        return []
    return installation.lake.scan(f"bronze/{source}").sort("_package_id", "_row_id").collect()["id"].to_list()


def failed(installation: Installation) -> list[tuple[str, int, str]]:
    """Failed events as (source, row, rule)."""
    rows = installation.lake.scan(FAILED_EVENTS.name).sort("package_id", "row_id").collect()
    return rows.select("source", "row_id", "rule").rows()
