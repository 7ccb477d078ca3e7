"""The internet second: eight sources land at once through the product's own flow stage, in Arrow and in NDJSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import landing_data as data
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from distributed import Client
from landing_rig import Rig, Say, Span, load, metered

from onefold_storage.contracts import Contract
from onefold_storage.sieve import marks
from onefold_storage.suppression import Suppressed
from onefold_workers.cluster import cluster
from onefold_workers.stages.landing import Landed, land_sources

LISTED = 5_000
"""Addresses on the suppression list: every 400th that there is, and as many strangers; beside some accounts and phones."""


@dataclass
class Sent:
    """What was handed over for one source: keys of the rows that must be in the lake, and how many must not."""

    keys: list[pa.Array]
    suppressed: int = 0


class Second:
    """Seconds that land in one installation, each with other rows; knows what must be in the lake afterwards."""

    def __init__(self, rig: Rig, scale: float, say: Say) -> None:
        self._rig, self._scale, self._say = rig, scale, say
        self._made = 0
        self.sent = {s.name: Sent([]) for s in data.SOURCES}
        self._suppress()

    def _suppress(self) -> None:
        """Fill the suppression list."""
        strangers = [("email", f"stranger{i}@nowhere.example") for i in range(LISTED // 2)]
        records = [("record", f"crm:{i}") for i in range(LISTED // 2)]
        entries = [(k, v) for k, values in listed().items() for v in values.to_pylist()] + strangers + records
        installation = self._rig.installation()
        keyed = installation.keyed_hash
        installation.ledger.suppression.add(
            [Suppressed(keyed.of(*e), e[0], None, m) for e, m in zip(entries, marks(keyed, entries), strict=True)],
            "erasure",
        )
        installation.ledger.close()
        self._say(f"suppression list: {len(entries):,} entries")

    def prepare(self, kind: str, scale: float | None = None) -> list[Contract]:
        """Write the files of one more second and give the contracts that land them."""
        at, self._made = self._made, self._made + 1
        folder = self._rig.settings.workspace_folder / f"{at}"
        folder.mkdir()
        contracts = []
        for source in data.SOURCES:
            n = max(int(data.SECOND[source.name] * (self._scale if scale is None else scale)), 10)
            table = source.table(n, first=at * 10_000_000)
            path = folder / f"{source.name}.{kind}"
            (write_arrow if kind == "arrow" else write_ndjson)(table, path)
            gone = suppressed(source, table)
            self.sent[source.name].keys.append(table[source.key].filter(pc.invert(gone)).combine_chunks())
            self.sent[source.name].suppressed += pc.sum(gone).as_py() or 0
            contracts.append(source.contract(f"{at}/{path.name}"))
        return contracts

    def land(self, contracts: list[Contract], client: Client) -> Span:
        """Land one second on workers that are up and give what it took."""
        workers = [w["pid"] for w in client.run(lambda: {"pid": __import__("os").getpid()}).values()]
        before = load()
        with metered([*self._rig.pids, *workers]) as span:
            landed = land_sources(self._rig.installation(), contracts)
        self._check(landed)
        self._say(f"  {span}; before it {before}")
        for contract in contracts:
            (self._rig.settings.workspace_folder / contract.rules.location).unlink()
        return span

    def _check(self, landed: list[Landed]) -> None:
        for one in landed:
            if one.errors:
                raise SystemExit(f"{one.source}: {'; '.join(one.errors)}")
            for p in one.packages:
                assert p.sent == p.landed + p.failed + p.repeated + p.suppressed
                assert p.failed == p.repeated == 0, p

    def lost_and_doubled(self) -> tuple[int, int]:
        """Ask the lake for every key that was sent: how many are missing, and how many rows are there too often."""
        installation = self._rig.installation()
        totals = installation.ledger.packages.totals()
        lost = doubled = 0
        for source in data.SOURCES:
            sent = self.sent[source.name]
            expected = pl.from_arrow(pa.chunked_array(sent.keys)).alias("key").to_frame().lazy()
            found = installation.lake.scan(f"bronze/{source.name}").select(key=source.key)
            rows = found.select(pl.len()).collect().item()
            met = expected.join(found.unique(), on="key", how="semi").select(pl.len()).collect().item()
            wanted = sum(len(k) for k in sent.keys)
            lost += wanted - met
            doubled += rows - met
            if totals[source.name].suppressed != sent.suppressed:
                raise SystemExit(
                    f"{source.name}: {totals[source.name].suppressed} suppressed, not {sent.suppressed}"
                )
        installation.ledger.close()
        self._say(f"suppressed: {sum(s.suppressed for s in self.sent.values()):,}, as many as there should be")
        return lost, doubled


@lru_cache(maxsize=1)
def listed() -> dict[str, pa.Array]:
    """What of the data stands on the suppression list, by scheme, in clear."""
    return {
        "email": data.addresses(np.arange(0, data.PEOPLE, 2 * data.PEOPLE // LISTED)),
        "phone": pa.array([f"{n:09d}" for n in range(151_000_000, 151_000_500)]),
        "account": pa.array([f"{n:016x}" for n in range(0, 200_000, 200)]),
    }


def suppressed(source: data.Source, table: pa.Table) -> pa.Array:
    """Which rows carry a listed identifier: told from the values in clear, not by the product."""
    gone = pa.array(np.zeros(table.num_rows, bool))
    for name, kind in source.contract("x").kinds.items():
        values = pc.utf8_slice_codeunits(table[name], 3, 12) if kind == "phone" else table[name]
        wanted = listed().get(name if kind == "external_id" else kind)  # devices and the like are on no list
        if wanted is not None:
            gone = pc.or_(gone, pc.is_in(values, wanted))
    return gone.combine_chunks() if isinstance(gone, pa.ChunkedArray) else gone


def run(second: Second, rounds: int, say: Say) -> dict[str, list[Span]]:
    """Land `rounds` seconds of each kind by turns; the first, small one makes the tables and is not counted."""
    spans: dict[str, list[Span]] = {"arrow": [], "ndjson": []}
    with cluster() as client:
        for kind in ("arrow", "ndjson"):
            second.land(second.prepare(kind, 0.002), client)
        for _ in range(rounds):
            for kind, found in spans.items():
                contracts = second.prepare(kind)
                say(f"the internet second from {kind}:")
                found.append(second.land(contracts, client))
    return spans


def write_arrow(table: pa.Table, path: Path) -> None:
    """An Arrow file, not compressed, in batches of 65,536 rows."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)


def as_sent(table: pa.Table) -> pa.Table:
    """The table with times as a source writes them in text: ISO 8601 in UTC, to the microsecond."""
    for i, f in enumerate(table.schema):
        if pa.types.is_timestamp(f.type):
            table = table.set_column(i, f.name, pc.strftime(table[f.name], "%Y-%m-%dT%H:%M:%SZ"))
    return table


def write_ndjson(table: pa.Table, path: Path) -> None:
    """One JSON object a line, as Polars writes it."""
    frame = pl.from_arrow(as_sent(table))
    assert isinstance(frame, pl.DataFrame)
    frame.write_ndjson(path)
