"""The memory of landing one large CSV file: the peak of a process of its own, libraries included.

python tests/bench/landing_memory.py land FILE     lands FILE into the installation that the environment names
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import landing_data as data
from landing_files import write_csv
from landing_rig import Rig, Say

GB = 1 << 30
_SOURCE = "large_emails"
_CHUNK_ROWS = 500_000


def measure(rig: Rig, gigabytes: float, say: Say) -> tuple[float, int, int]:
    """Peak in MB of landing that much CSV; and rows lost and doubled, by counting."""
    path = rig.settings.workspace_folder / "large.csv"
    rows = _write(path, int(gigabytes * GB))
    secret = rig.settings.s3_secret_key
    environment = os.environ | {"ONEFOLD_HOME": str(rig.settings.home)}
    if rig.settings.lake_url and secret:
        environment |= {
            "ONEFOLD_LAKE_URL": rig.settings.lake_url,
            "ONEFOLD_S3_ENDPOINT": rig.settings.s3_endpoint or "",
            "ONEFOLD_S3_ACCESS_KEY": rig.settings.s3_access_key or "",
            "ONEFOLD_S3_SECRET_KEY": secret.get_secret_value(),
        }
    done = subprocess.run(
        [sys.executable, __file__, "land", path.name], env=environment, capture_output=True, text=True, check=False
    )
    path.unlink()
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found = json.loads(done.stdout.splitlines()[-1])
    say(f"{gigabytes:g} GB of CSV, {rows:,} rows in {found['seconds']:.1f} s: peak {found['peak_mb']:.0f} MB")
    installation = rig.installation()
    there = installation.lake.rows(f"bronze/{_SOURCE}") + found["suppressed"]
    return found["peak_mb"], max(rows - there, 0), max(there - rows, 0)


def _write(path: Path, size: int) -> int:
    """A file of about that size, of one chunk again and again; gives its rows."""
    write_csv(data.SOURCES[0].table(min(_CHUNK_ROWS, max(size // 150, 1))), path)
    header, _, body = path.read_bytes().partition(b"\n")
    lines, times = body.count(b"\n"), max(round(size / len(body)), 1)
    with path.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(times):
            file.write(body)
    return lines * times


def _land(name: str) -> None:
    import time

    from onefold_storage.settings import StorageSettings
    from onefold_workers.stages.landing import land_source

    settings = StorageSettings()
    source = data.Source(_SOURCE, data.SOURCES[0].columns, data.SOURCES[0].rows)
    start = time.perf_counter()
    landed = land_source(settings, source.contract(name), settings.workspace_folder)
    if landed.errors or landed.packages[0].failed:
        raise SystemExit(f"{landed}")
    # VmHWM is this program's own; ru_maxrss begins with the size of the process that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(s.split()[1]) for s in status if s.startswith("VmHWM")) / 1024
    facts = {"peak_mb": peak, "seconds": time.perf_counter() - start, "suppressed": landed.packages[0].suppressed}
    print(json.dumps(facts))


if __name__ == "__main__":
    _land(sys.argv[2])
