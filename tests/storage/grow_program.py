"""A program that lands package after package into a lake on S3 until it is told to stop; run by `test_pool_growth.py`.

    python grow_program.py SOURCE FOLDER PAYLOAD

Each package has ROWS rows; the first HEAVY packages have PAYLOAD random characters in each, later ones a few. What
landed is acknowledged in `FOLDER/SOURCE.acks`, a line a
package, synced; what fails (the storage is being restarted) is landed again, as a flow would. It ends after the
package during which `FOLDER/stop` appeared. Settings come from the environment.
"""

from __future__ import annotations

import base64
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from onefold_storage import contracts
from onefold_storage.deliveries import Batch, Delivery
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings

ROWS, HEAVY, LIGHT = 50, 6, 100
CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: {id}
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties: [{{name: id, logicalType: integer, primaryKey: true}}, {{name: value, logicalType: string}}]
customProperties:
  - {{property: onefold, value: {{location: x, delivery: append, lawful_basis: contract, data_use: [service]}}}}
"""


def delivery(source: str, n: int, payload: int) -> Delivery:
    """The n-th delivery of a source; the same whenever it is made."""
    draw, size = random.Random(f"{source}{n}"), payload if n < HEAVY else LIGHT

    def batches() -> Iterator[Batch]:
        ids = range(n * ROWS, (n + 1) * ROWS)
        values = [base64.b64encode(draw.randbytes(size * 3 // 4)).decode() for _ in ids]
        table = pa.table({"id": [str(i) for i in ids], "value": values})
        yield Batch(table, pa.array(range(ROWS), pa.int64()))

    return Delivery(f"{source}-{n}", f"{source}-{n}.csv", batches())


def main(source: str, folder: Path, payload: int) -> None:
    """Land until told to stop."""
    contract = contracts.parse(CONTRACT.format(id=source), "rows.yaml")
    installation, known = Installation(StorageSettings()), folder / f"{source}.acks"
    n = len(known.read_text().split()) if known.exists() else 0
    with (folder / f"{source}.acks").open("a") as acks, (folder / f"{source}.failures").open("a") as failures:
        while not (folder / "stop").exists():
            try:
                installation.lander.land(contract, delivery(source, n, payload))
            except Exception as error:
                failures.write(f"{n} {type(error).__name__}: {error}\n")
                failures.flush()
                time.sleep(0.2)
                installation = Installation(StorageSettings())
                continue
            acks.write(f"{n}\n")
            acks.flush()
            os.fsync(acks.fileno())
            n += 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
