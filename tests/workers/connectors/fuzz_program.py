"""A campaign of damaged files, each landed into a real lake: `fuzz_program.py FIRST COUNT FOLDER`.

For each file: either it is refused in one clear line and nothing has landed, or sent = landed + failed + repeated +
suppressed, and bronze and the failed events have grown by as many rows. Prints a JSON object at the end; before each
file its seed goes to `FOLDER/seed`, so that a process that dies says at what.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

from fuzz_files import FORMATS, fuzzed

from onefold_storage.contracts import Contract, parse
from onefold_storage.errors import OnefoldError
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.connectors import deliveries
from onefold_workers.connectors.formats import _input

LAKE = 100
"""Files a lake: its log does not grow for ever."""
CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: {id}
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties:
      - {{name: a, logicalType: integer, primaryKey: {keyed}}}
      - {{name: b, logicalType: string, customProperties: [{{property: onefold, value: {{kind: full_name}}}}]}}
      - {{name: c, logicalType: number}}
customProperties:
  - property: onefold
    value: {{location: "{name}", options: {{max_row_bytes: 20000, max_bytes: 4000000}}, delivery: {delivery},
            lawful_basis: contract, data_use: [service]}}
"""


def contract(name: str, *, keyed: bool) -> Contract:
    """The contract of one format: plain, or with a key and delivery `changes`."""
    said = {
        "id": f"{name.split('.')[1]}_{'keyed' if keyed else 'plain'}",
        "name": name,
        "keyed": str(keyed).lower(),
    }
    return parse(CONTRACT.format(**said, delivery="changes" if keyed else "append"), name)


def rows(lake: object, name: str) -> int:
    return lake.rows(name) if lake.exists(name) else 0  # type: ignore[attr-defined]


def main(first: int, count: int, folder: Path) -> dict[str, object]:
    """Land the files; raises AssertionError where one is not accounted for."""
    totals: Counter[str] = Counter()
    installation = None
    names = [n for n in FORMATS for _ in range(1 if n == "x.xlsx" else 6)]  # a workbook takes a process each
    random.Random(1).shuffle(names)
    for seed in range(first, first + count):
        (folder / "seed").write_text(str(seed))
        if installation is None or (seed - first) % LAKE == 0:
            shutil.rmtree(folder / "home", ignore_errors=True)
            installation = Installation(StorageSettings(home=folder / "home"))
        file, rng = fuzzed(seed, tuple(names)), random.Random(seed)
        (folder / file.name).write_bytes(file.data)
        _input.CHUNK = rng.choice([50, 1000, 4 << 20])
        made = contract(file.name, keyed=rng.random() < 0.3)
        before = rows(installation.lake, made.bronze), rows(installation.lake, "bronze/failed_events")
        totals["files"] += 1
        try:
            delivery = next(iter(deliveries(made, folder)))
            package = installation.lander.land(made, delivery)
        except OnefoldError as error:
            totals["refused"] += 1
            totals[type(error).__name__] += 1
            assert "\n" not in str(error), seed
            assert len(str(error)) < 2000, seed
            grown = rows(installation.lake, made.bronze), rows(installation.lake, "bronze/failed_events")
            assert grown == before, (seed, "a refused file left rows")
            continue
        after = rows(installation.lake, made.bronze), rows(installation.lake, "bronze/failed_events")
        parts = package.landed + package.failed + package.repeated + package.suppressed
        assert package.sent == parts, (seed, package)
        if package.status != "repeated":
            assert (after[0] - before[0], after[1] - before[1]) == (package.landed, package.failed), (seed, package)
        if file.lines is not None:
            assert package.sent == file.lines, (seed, package.sent, file.lines)
        for what in ("sent", "landed", "failed", "repeated"):
            totals[what] += getattr(package, what)
    status = Path("/proc/self/status")
    peak = next((int(s.split()[1]) for s in status.read_text().splitlines() if s.startswith("VmHWM")), 0) >> 10
    return {**totals, "peak_mb": peak}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
