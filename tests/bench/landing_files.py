"""One large file at a time, beside the peers: CSV and NDJSON through all guarantees, pyarrow alone with none, dlt.

The peers get what suits them best: pyarrow both cores, Parquet without dictionaries and with the same compression,
to the same bucket; dlt a plain folder, the Parquet writer, no telemetry.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import landing_data as data
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from landing_rig import Rig, Say, Span, best, load, metered
from landing_second import as_sent, suppressed, write_ndjson
from pyarrow import csv as arrow_csv
from pyarrow import fs
from pyarrow import json as arrow_json
from pyarrow import parquet as pq

from onefold_workers.stages.landing import land_source

ROWS = 1_000_000
"""Rows of each file."""
DLT_ROWS = 60_000
"""Rows that dlt gets of them; its rate does not depend on it."""
_EMAILS = data.SOURCES[0]


class Files:
    """The source `emails`, as `csv_emails` and `ndjson_emails`, of which more rows land each round."""

    def __init__(self, rig: Rig, scale: float, say: Say) -> None:
        self._rig, self._rows, self._say, self._made = rig, max(int(ROWS * scale), 1000), say, 0
        self.sent: dict[str, list[pa.ChunkedArray]] = {"csv_emails": [], "ndjson_emails": []}

    def run(self, rounds: int) -> dict[str, float]:
        """Land by turns with the peers; the figures, each from the round that others disturbed least."""
        found: dict[str, list[Span]] = {}
        for kind in ("csv", "ndjson"):  # opens what is opened once, and makes the tables
            self._land(kind, self._file(kind, 1000))
        for _ in range(rounds):
            for kind, peer in (("csv", _pyarrow_csv), ("ndjson", _pyarrow_ndjson)):
                path = self._file(kind, self._rows)
                found.setdefault(kind, []).append(self._land(kind, path))
                found.setdefault(f"pyarrow {kind}", []).append(self._peer(kind, path, peer))
                if kind == "ndjson":
                    found.setdefault("dlt", []).append(self._dlt(path))
                path.unlink()
        rates = {k: self._rows / best(v).wall for k, v in found.items() if k != "dlt"}
        rates["dlt"] = min(DLT_ROWS, self._rows) / best(found["dlt"]).wall
        return {
            "csv_rows_per_s": round(rates["csv"]),
            "ndjson_rows_per_s": round(rates["ndjson"]),
            "csv_vs_pyarrow": round(rates["csv"] / rates["pyarrow csv"], 2),
            "ndjson_vs_pyarrow": round(rates["ndjson"] / rates["pyarrow ndjson"], 2),
            "ndjson_vs_dlt": round(rates["ndjson"] / rates["dlt"], 1),
        }

    def lost_and_doubled(self) -> tuple[int, int]:
        """As `Second.lost_and_doubled`, for these two sources."""
        installation, lost, doubled = self._rig.installation(), 0, 0
        for name, keys in self.sent.items():
            sent = (
                pl.from_arrow(pa.chunked_array([c for k in keys for c in k.chunks])).alias("key").to_frame().lazy()
            )
            found = installation.lake.scan(f"bronze/{name}").select(key=_EMAILS.key)
            rows = found.select(pl.len()).collect().item()
            met = sent.join(found.unique(), on="key", how="semi").select(pl.len()).collect().item()
            lost, doubled = lost + sum(map(len, keys)) - met, doubled + rows - met
        return lost, doubled

    def _file(self, kind: str, rows: int) -> Path:
        table = _EMAILS.table(rows, first=2_000_000_000 + self._made * 10_000_000, seed=self._made)
        path = self._rig.settings.workspace_folder / f"emails{self._made}.{kind}"
        (write_csv if kind == "csv" else write_ndjson)(table, path)
        self.sent[f"{kind}_emails"].append(table[_EMAILS.key].filter(pc.invert(suppressed(_EMAILS, table))))
        self._made += 1
        return path

    def _land(self, kind: str, path: Path) -> Span:
        contract = data.Source(f"{kind}_emails", _EMAILS.columns, _EMAILS.rows).contract(path.name)
        with metered(self._rig.pids) as span:
            landed = land_source(self._rig.settings, contract, self._rig.settings.workspace_folder)
        if landed.errors or landed.packages[0].failed:
            raise SystemExit(f"{landed}")
        self._say(f"  {kind} landed: {span}; {load()}")
        return span

    def _peer(self, kind: str, path: Path, read: Callable[[Path], pa.Table]) -> Span:
        output = self._output(f"{path.stem}.parquet")
        with metered(self._rig.pids) as span, output as file:
            pq.write_table(read(path), file, compression="zstd", compression_level=1, use_dictionary=False)
        self._say(f"  {kind} by pyarrow: {span}; {load()}")
        return span

    def _output(self, name: str) -> pa.NativeFile:
        settings = self._rig.settings
        if not settings.s3_endpoint:
            return pa.OSFile(str(self._rig.work / name), "wb")
        assert settings.s3_secret_key
        endpoint = settings.s3_endpoint.removeprefix("http://")
        bucket = fs.S3FileSystem(
            access_key=settings.s3_access_key, secret_key=settings.s3_secret_key.get_secret_value(),
            endpoint_override=endpoint, scheme="http", region=settings.s3_region,
        )  # fmt: skip
        return bucket.open_output_stream(f"onefold/peer/{name}")

    def _dlt(self, path: Path) -> Span:
        with tempfile.TemporaryDirectory(dir=self._rig.work) as folder:
            done = subprocess.run(
                [sys.executable, str(Path(__file__).with_name("landing_dlt.py")), str(path), str(DLT_ROWS), folder],
                capture_output=True, text=True, check=False, env=os.environ | {"HOME": folder},
            )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"dlt: {done.stderr.strip()[-2000:]}")
        span = Span(**json.loads(done.stdout.splitlines()[-1]))
        self._say(f"  ndjson by dlt, {DLT_ROWS:,} rows: {span}; {load()}")
        return span


def write_csv(table: pa.Table, path: Path) -> None:
    """A CSV file with quotes where they are needed, times as ISO 8601 in UTC."""
    frame = pl.from_arrow(as_sent(table))
    assert isinstance(frame, pl.DataFrame)
    frame.write_csv(path, quote_style="necessary")


def _pyarrow_csv(path: Path) -> pa.Table:
    return arrow_csv.read_csv(path, read_options=arrow_csv.ReadOptions(block_size=4 << 20))


def _pyarrow_ndjson(path: Path) -> pa.Table:
    return arrow_json.read_json(path, read_options=arrow_json.ReadOptions(block_size=4 << 20))
