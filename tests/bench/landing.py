"""How fast sources land with all guarantees, beside the peers, in one run: `make bench-landing`.

    python tests/bench/landing.py [--scale 1] [--rounds 5] [--gigabytes 5] [--seconds 10] [--only second,files,…]

Everything lands in one MinIO process that runs beside on the same cores, and is counted there at the end. The last
line is one JSON object; `README.md` beside this file says what each figure is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ingest
from landing_files import Files
from landing_memory import measure as memory
from landing_rig import Rig, best, load, rig
from landing_second import Second
from landing_second import run as land_seconds

PARTS = ("second", "files", "ingest", "memory")


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def main() -> None:
    """Run the parts and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of the rows; below 1 for a quick look")
    parser.add_argument("--rounds", type=int, default=5, help="of each; the one that others disturbed least counts")
    parser.add_argument("--gigabytes", type=float, default=5.0, help="size of the large CSV file")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each kind of load over HTTP")
    parser.add_argument("--only", default=",".join(PARTS), help="some of the parts")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and files go, whoever ends it
    work = Path(tempfile.mkdtemp(prefix="onefold-bench-"))
    started = time.perf_counter()
    try:
        with rig(work) as found:
            say(f"{platform.machine()}, {os.cpu_count()} cores, {load()}; the lake: {found.where}")
            figures = run(found, chosen)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"{time.perf_counter() - started:.0f} s in all; {load()}")
    say(json.dumps(figures))


def run(found: Rig, chosen: argparse.Namespace) -> dict[str, Any]:
    """The parts one after another; what was lost and doubled is summed over all of them."""
    parts = chosen.only.split(",")
    figures: dict[str, Any] = {}
    lost = doubled = 0
    second = Second(found, chosen.scale, say)  # and the suppression list, by which files are judged too
    if "second" in parts:
        spans = land_seconds(second, chosen.rounds, say)
        for kind, name in (("arrow", "internet_second"), ("ndjson", "internet_second_ndjson")):
            quickest = best(spans[kind])
            figures[f"{name}_s"] = round(quickest.wall, 2)
            figures[f"{name}_cpu_s"] = round(quickest.own + quickest.others, 2)
        lost, doubled = second.lost_and_doubled()
    if "files" in parts:
        files = Files(found, chosen.scale, say)
        figures |= files.run(chosen.rounds)
        lost, doubled = _sum((lost, doubled), files.lost_and_doubled())
    if "ingest" in parts:
        say("events over HTTP:")
        taken = ingest.measure(found.work / "ingest", _environment(found), chosen.seconds)
        say(f"  {json.dumps(taken)}; {load()}")
        lost, doubled = _sum((lost, doubled), (taken.pop("lost"), taken.pop("doubled")))
        figures |= taken
    if "memory" in parts:
        figures["rss_mb_large_csv"], *missed = memory(found, chosen.gigabytes, say)
        figures["rss_mb_large_csv"] = round(figures["rss_mb_large_csv"])
        lost, doubled = _sum((lost, doubled), (missed[0], missed[1]))
    return figures | {"lost": lost, "doubled": doubled}


def _environment(found: Rig) -> dict[str, str]:
    """The lake of the HTTP part: a folder of its own in the same bucket."""
    settings = found.settings
    (found.work / "ingest").mkdir()
    if not settings.s3_endpoint or not settings.s3_access_key or not settings.s3_secret_key:
        return {}
    return {
        "ONEFOLD_LAKE_URL": "s3://onefold/ingest",
        "ONEFOLD_S3_ENDPOINT": settings.s3_endpoint,
        "ONEFOLD_S3_ACCESS_KEY": settings.s3_access_key,
        "ONEFOLD_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
    }


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


if __name__ == "__main__":
    sys.exit(main())
