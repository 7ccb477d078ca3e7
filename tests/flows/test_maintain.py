"""The maintain flow on a real server: recorded as a run, deployed, and a refresh afterwards has nothing to do again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from onefold_flows.deployments import FLOWS, deployment
from onefold_flows.server import PrefectServer
from onefold_flows.settings import FlowsSettings
from onefold_storage import compaction
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import cluster

pytestmark = [pytest.mark.needs_prefect, pytest.mark.needs_dask]

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: people
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties:
      - {name: id, logicalType: string, primaryKey: true}
      - {name: mail, logicalType: string, customProperties: [{property: onefold, value: {kind: email}}]}
      - {name: name, logicalType: string, customProperties: [{property: onefold, value: {kind: family_name}}]}
customProperties:
  - {property: onefold, value: {location: "people*.csv", lawful_basis: contract, data_use: [service], country: GB}}
"""


@pytest.fixture
def workers() -> Iterator[None]:
    """Workers for all the flows of a test: each would start its own."""
    with cluster():
        yield


@pytest.mark.usefixtures("workers")
def test_nothing_is_computed_again_because_of_maintenance(
    prefect_server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onefold_flows.integrate import integrate
    from onefold_flows.land import land
    from onefold_flows.maintain import maintain

    assert prefect_server.api_url
    assert deployment("maintain", FLOWS["maintain"], FlowsSettings().schedules["maintain"]).name == "maintain"
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(compaction, "FEWEST", 2)
    workspace = tmp_path / "home" / "workspace"
    (workspace / "contracts").mkdir(parents=True)
    (workspace / "onefold.yaml").write_text("name: test\n")
    (workspace / "contracts" / "people.yaml").write_text(CONTRACT)
    for n in range(3):
        (workspace / f"people{n}.csv").write_text(f"id,mail,name\n{n},p{n}@example.com,Smith\n")
        land()
        integrate()
    installation = Installation(StorageSettings())
    lake = installation.lake
    versions = {n: lake.version(n) for n in lake.names()}
    facts = maintain(retention_hours=0)
    compacted = {t["table"] for t in facts["tables"] if t["compacted"]}
    assert {"bronze/people", "silver/contact_records"} <= compacted
    assert installation.ledger.runs.last("maintain").facts == facts
    after = {n: lake.version(n) for n in lake.names()}
    assert {n for n in after if after[n] != versions[n]} == compacted
    assert land()["repeated"] == 3
    again = integrate()
    assert again["mapped"] == {}
    assert again["rebuilt"] in (False, 0)
    assert {n: lake.version(n) for n in lake.names()} == after, "a table was written again"
    (workspace / "people9.csv").write_text("id,mail,name\n9,p9@example.com,Jones\n")
    land()
    assert integrate()["mapped"]["silver/contact_records"] == 1, "only what is new is mapped"
    assert lake.rows("silver/contact_records") == 4
    installation.ledger.close()
