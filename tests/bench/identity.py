"""Identity resolution beside Splink on DuckDB: same file, same blocking rules, then each with its own best.

Run by `make bench-identity`; `--records` for a smaller file, `--grow 10` for one ten times as large without the peer.
The last line is one JSON object. Times are wall clock from file to clusters, ours with starting the workers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # one thread in whoever coordinates, as in each worker

import people
import polars as pl
import psutil
import pyarrow.parquet as pq

from onefold_workers.cluster import cluster, shared_folder, spread
from onefold_workers.identity import IdentityModel, Resolution, pairwise_quality, resolve
from onefold_workers.identity.blocking import Rule, derive_rules
from onefold_workers.identity.coding import code_people, forget
from onefold_workers.identity.desk import InFolder
from onefold_workers.identity.incremental import Added, resolve_more
from onefold_workers.identity.keeping import Kept
from onefold_workers.identity.pairing import ROW_BITS, RULE_BITS, find_candidates
from onefold_workers.settings import WorkerSettings

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".tools" / "splink" / "bin" / "python"
NEW = 10_000
# The peer's `SAME`: exact values of the same columns.
SAME = tuple(
    Rule("+".join(keys), keys)
    for keys in (
        ("email",),
        ("phone",),
        ("given_name", "family_name"),
        ("family_name", "birth_date"),
        ("given_name", "birth_date"),
        ("family_name", "postcode"),
    )
)


def say(text: str) -> None:
    """Progress, beside the result."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@contextmanager
def watched_memory() -> Iterator[Callable[[], int]]:
    """The largest sum of resident memory over this process and all that it started, MB."""
    most, done, me = [0], threading.Event(), psutil.Process()

    def look() -> None:
        while not done.wait(0.2):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            most[0] = max(most[0], total)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: most[0] >> 20
    finally:
        done.set()
        thread.join()


def ours(file: Path, folder: Path, rules: tuple[Rule, ...] | None, workers: int) -> tuple[Resolution, float, float]:
    """The resolution, and seconds: of starting the workers, and from the file to the clusters."""
    started = time.monotonic()
    with cluster(WorkerSettings(dask_workers=workers)), shared_folder(folder) as scratch:
        up = time.monotonic()
        found = resolve(pl.read_parquet(file), rules=rules, run_tasks=spread, scratch=scratch)
        found.clusters.write_parquet(folder / "ours.parquet")
        done = time.monotonic()
    return found, up - started, done - up


def splinks(file: Path, folder: Path, which: str) -> dict[str, float]:
    """Seconds of each of the peer's steps."""
    command = [str(PYTHON), str(HERE / "identity_peer.py"), str(file), str(folder), which]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    seconds: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds


def best_f1(folder: Path, which: str, truth: pl.DataFrame) -> float:
    """The peer's F1 at the threshold that suits it best, which a user could not know."""
    files = sorted(folder.glob(f"splink_{which}_*.parquet"))
    return max(pairwise_quality(pl.read_parquet(f), truth).f1 for f in files)


def beside(file: Path, folder: Path, truth: pl.DataFrame) -> dict[str, float]:
    """Both on the same rules, then each on its own."""
    out: dict[str, float] = {}
    for which, rules in (("same", SAME), ("own", None)):
        name = "" if which == "same" else "own_"
        say(f"Splink, {which} rules")
        with watched_memory() as most:
            peer = splinks(file, folder, which)
            out[f"splink_{name}rss_mb"] = most()
        out[f"splink_{name}seconds"], out[f"splink_{name}f1"] = peer["all"], best_f1(folder, which, truth)
        say(f"Splink: {peer} F1 {out[f'splink_{name}f1']:.4f}; now ours, {which} rules")
        with watched_memory() as most:
            found, start, seconds = ours(file, folder, rules, 2)
            out[f"{name}rss_mb"] = most()
        out[f"{name}seconds"], out[f"{name}start_s"] = seconds + start, start
        out[f"{name}f1"] = pairwise_quality(found.clusters, truth).f1
        out[f"{name}ratio"] = out[f"{name}seconds"] / out[f"splink_{name}seconds"]
        say(f"ours: {seconds:.1f} s and {start:.1f} s to start, F1 {out[f'{name}f1']:.4f}")
    return out


def speedup(file: Path, folder: Path, times: int = 5) -> dict[str, float]:
    """One worker of one thread beside two of them, taking turns, medians."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(times):
        for workers in (1, 2):
            taken[workers].append(ours(file, folder, None, workers)[2])
        say(f"turn {turn + 1}: one worker {taken[1][-1]:.1f} s, two {taken[2][-1]:.1f} s")
    one, two = (statistics.median(taken[n]) for n in (1, 2))
    return {"one_worker_s": one, "two_workers_s": two, "two_worker_speedup": one / two}


def added(file: Path, later: Path, folder: Path) -> dict[str, float]:
    """New records into the resolved base: all of it from files, and compared with a whole run under the model."""
    with cluster(WorkerSettings(dask_workers=2)), shared_folder(folder) as scratch:
        base = resolve(pl.read_parquet(file), run_tasks=spread, scratch=scratch, keep=True)
        assert base.kept is not None
        table, facts = base.kept.table()
        table.write_parquet(folder / "kept.parquet", compression="uncompressed")
        base.edges.write_parquet(folder / "edges.parquet")
        (folder / "model.json").write_text(base.model.to_json())
        del table, base

        def fetch(keys: pl.Series) -> pl.DataFrame:
            return pl.scan_parquet(file).filter(pl.col("record_key").is_in(keys.implode())).collect()

        taken, found = [], None
        for _ in range(3):
            started = time.monotonic()
            kept = Kept.of(pq.read_table(folder / "kept.parquet"), facts)
            known = pl.read_parquet(folder / "edges.parquet")
            model = IdentityModel.from_json((folder / "model.json").read_text())
            nobody = pl.Series([], dtype=pl.String)
            found = resolve_more(kept, known, pl.read_parquet(later), nobody, fetch, model)
            assert found is not None
            pl.DataFrame({"key": found.kept.keys, "cluster": found.kept.cluster}).write_parquet(
                folder / "more.parquet"
            )
            taken.append(time.monotonic() - started)
        say(f"added {NEW} records in {taken}")
        whole = pl.concat([pl.read_parquet(file), pl.read_parquet(later)])
        anew = resolve(whole, model=model, run_tasks=spread, scratch=scratch)
    return {"incremental_s": statistics.median(taken), "incremental_same": float(_same(found, anew))}


def _same(found: Added, anew: Resolution) -> bool:
    mine = pl.DataFrame({"record_key": found.kept.keys, "cluster": found.kept.cluster}).sort("record_key")
    first = pl.col("record_key").min().over("cluster")
    return mine.select("record_key", first.alias("c")).equals(anew.clusters.select("record_key", first.alias("c")))


def recall(records: pl.DataFrame, truth: pl.DataFrame, folder: Path) -> float:
    """Share of the true pairs that blocking brings together."""
    stored = code_people(records, None, InFolder(str(folder)), map)
    rules = derive_rules(stored.open(), 3.0)
    budget = min(max(3.0 * 200_000 / stored.size, 0.8), 3.0)
    candidates = find_candidates(stored, rules, budget, map)
    who = truth.with_row_index("row").sort("truth", "row")
    pairs = who.join(who, on="truth").filter(pl.col("row") < pl.col("row_right"))
    packed = pairs.select((pl.col("row").cast(pl.UInt64) * (1 << ROW_BITS) + pl.col("row_right")).alias("p"))[
        "p"
    ].to_numpy()
    hit = None
    for handle in candidates.handles:
        keys = stored.desk.get(handle) >> RULE_BITS
        at = keys.searchsorted(packed).clip(max=max(len(keys) - 1, 0))
        found = (keys[at] == packed) if len(keys) else packed < 0
        hit = found if hit is None else hit | found
    forget()
    return float(hit.mean()) if hit is not None else 0.0


def grow(records: int, times: int, folder: Path) -> dict[str, float]:
    """The same work on a base `times` as large: seconds, memory, and the true pairs that blocking still brings."""
    out: dict[str, float] = {"records": records * times}
    for name, size in (("base", records), ("grown", records * times)):
        file = folder / f"{name}.parquet"
        made, truth = people.customers(size)
        made.write_parquet(file)
        truth.write_parquet(folder / f"{name}_truth.parquet")
        del made, truth
        say(f"{size:,} records")
        with watched_memory() as most:
            found, start, seconds = ours(file, folder, None, 2)
            out[f"{name}_rss_mb"], out[f"{name}_s"] = most(), seconds + start
        known = pl.read_parquet(folder / f"{name}_truth.parquet")
        out[f"{name}_f1"] = pairwise_quality(found.clusters, known).f1
        out[f"{name}_pairs"] = found.report["pairs"]
        del found
        say(json.dumps(out))
        out[f"{name}_blocking_recall"] = recall(pl.read_parquet(file), known, folder)
        say(json.dumps(out))
    out["times_as_long"] = out["grown_s"] / out["base_s"]
    return out


def main() -> None:
    """Run what the arguments ask for; the last line is the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--grow", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-identity-") as name:
        folder = Path(name)
        if chosen.grow:
            result = grow(chosen.records, chosen.grow, folder)
        else:
            made, truth = people.customers(chosen.records + NEW)
            file, later = folder / "records.parquet", folder / "later.parquet"
            made.head(chosen.records).write_parquet(file)
            made.tail(NEW).write_parquet(later)
            say(f"{chosen.records:,} records; {os.getloadavg()[0]:.1f} processes want this machine already")
            result = {"records": chosen.records, **beside(file, folder, truth.head(chosen.records))}
            result |= added(file, later, folder)
            result |= speedup(file, folder, chosen.turns)
    print(json.dumps({k: round(v, 4) for k, v in result.items()}))


if __name__ == "__main__":
    main()
