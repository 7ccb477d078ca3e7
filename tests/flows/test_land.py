"""The land flow: events that were sent over HTTP and still wait are told of, for nobody reads them from a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from onefold_flows.server import PrefectServer
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Spool
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import Writer
from onefold_workers.stages.draining import Drainer

pytestmark = [pytest.mark.needs_prefect, pytest.mark.needs_dask]

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: web_visits
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties:
      - {name: visit, logicalType: string}
customProperties:
  - {property: onefold, value: {connector: http, lawful_basis: contract, data_use: [service]}}
"""


def test_events_that_wait_in_the_log_are_told_of(
    prefect_server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onefold_flows.land import land

    assert prefect_server.api_url
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    workspace = tmp_path / "home" / "workspace"
    (workspace / "contracts").mkdir(parents=True)
    (workspace / "onefold.yaml").write_text("name: test\n")
    (workspace / "contracts" / "web_visits.yaml").write_text(CONTRACT)
    settings = StorageSettings()
    writer = Writer(Spool(settings.spool_folder).logs)
    writer.append([Frame("web_visits", b'{"visit":"1"}\n{"visit":"2"}\n', 2), Frame("gone", b"{}\n", 1)])
    writer.append([Frame("web_visits", b'{"visit":"3"}\n', 1)])
    writer.close()
    (note,) = land(["web_visits"])["notes"]
    assert note.startswith("web_visits: 3 events wait in the log") and "onefold spool drain" in note
    drainer = Drainer(Installation(settings), report=lambda _: None)
    drainer.step()
    drainer.close()
    assert land(["web_visits"])["notes"] == []
