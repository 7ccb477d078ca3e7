"""dlt's dictionaries path, in a process of its own: python landing_dlt.py FILE ROWS FOLDER. Prints what it took."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from landing_rig import metered


def main(path: str, rows: int, folder: str) -> None:
    """Normalise and write the first lines of an NDJSON file as Parquet into a folder."""
    os.environ.update({"RUNTIME__DLTHUB_TELEMETRY": "false", "DATA_WRITER__DISABLE_COMPRESSION": "true"})
    import dlt

    def lines() -> Iterator[list[dict[str, object]]]:
        with Path(path).open() as file:
            while some := list(islice(file, 10_000)):
                yield [json.loads(line) for line in some]

    def first() -> Iterator[list[dict[str, object]]]:
        left = rows
        for some in lines():
            yield some[:left]
            left -= len(some)
            if left <= 0:
                return

    pipeline = dlt.pipeline("peer", pipelines_dir=folder, dataset_name="bronze",
                            destination=dlt.destinations.filesystem(f"file://{folder}/lake"))  # fmt: skip
    with metered() as span:
        pipeline.run(dlt.resource(first, name="emails"), loader_file_format="parquet")
    print(json.dumps(asdict(span)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
