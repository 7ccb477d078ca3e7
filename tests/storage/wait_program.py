"""A program that lands one package and stops in the middle until a file appears; run by `test_maintenance.py`.

Run with the globals `home`, `go` (the file it waits for) and `at` (the file it makes when parts lie uncommitted), or
with `kill`: then it compacts `bronze/log` and kills itself before the commit.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from onefold_storage import compaction, contracts, landing
from onefold_storage.deliveries import BadRow, Batch, Delivery
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: {id}
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties: [{{name: id, logicalType: integer, primaryKey: true}}, {{name: value, logicalType: number}}]
customProperties:
  - {{property: onefold, value: {{location: x, lawful_basis: contract, data_use: [service]}}}}
"""
ROWS = 1000


def land(home: str, go: str, at: str) -> None:
    """Land a package with failed events; wait when every part is written and none is committed."""
    write_manifest = landing.write_manifest

    def waits(*arguments: Any) -> None:
        Path(at).touch()
        while not Path(go).exists():
            time.sleep(0.01)
        write_manifest(*arguments)

    landing.write_manifest = waits
    installation = Installation(StorageSettings(home=Path(home), now=datetime(2018, 1, 1, tzinfo=UTC)))
    ids = pa.array([str(n) for n in range(ROWS)])
    bad = (BadRow(ROWS, "csv", "too many fields", b"?"),)
    batch = Batch(pa.table({"id": ids, "value": ids}), pa.array(range(ROWS), pa.int64()), bad)
    contract = contracts.parse(CONTRACT.format(id="log"), "log.yaml")
    installation.lander.land(contract, Delivery("waits", "log.csv", iter([batch])))
    installation.ledger.close()


def die(home: str) -> None:
    """Compact, and end without a word when the parts are written and noted, before the commit."""

    def killed(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    installation = Installation(StorageSettings(home=Path(home), now=datetime(2018, 1, 1, tzinfo=UTC)))
    compaction.CommitProperties = killed  # type: ignore[assignment,misc]
    compaction.compact(installation.lake, "bronze/log")


if "home" in globals():
    os.environ.update(globals()["env"])
    if "kill" in globals():
        die(globals()["home"])
    else:
        land(globals()["home"], globals()["go"], globals()["at"])
