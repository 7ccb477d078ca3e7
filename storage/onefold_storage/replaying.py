"""Replay: failed events that pass now land, exactly once, as a package of their own.

A replay package sends nothing: `sent` is 0, and what lands, is suppressed or repeats is taken from `failed`, which
is negative by as much. So a source's totals still add up, and its `failed` counts the events that are open.

The bronze commit decides. Before it the events that the package takes stand in `replays/<source>/…pending.parquet`
(package and row, nothing of a person); after it they go from the failed events. Killed in between, `settle` does the
rest: it is the first step of every replay and listing, and of maintenance.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import cast

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from onefold_storage.checking import check
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Batch
from onefold_storage.errors import Conflict, NotFound
from onefold_storage.evolution import bronze_shape
from onefold_storage.failed import Chosen, EventId, batches
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.manifests import APP, committed_seq, read_manifest, write_manifest
from onefold_storage.packages import REPLAY, Package
from onefold_storage.packing import Packer
from onefold_storage.parts import Part
from onefold_storage.rewriting import rewrite
from onefold_storage.schema import FAILED_EVENTS
from onefold_storage.snapshots import state_of
from onefold_storage.suppressor import Suppressor

_UNREADABLE = re.compile(r"\\x(?:[0-9a-f]{2})+")
"""How bytes that are no text were kept (`row_text.py`)."""


@dataclass(frozen=True)
class Replayed:
    """What a replay came to. `tried` = landed + repeated + suppressed + failing; `unknown`: repairs of no open event.

    `failing`: events that stay, counted by `rule field` of what they break now.
    """

    source: str
    package_id: str | None = None
    tried: int = 0
    landed: int = 0
    repeated: int = 0
    suppressed: int = 0
    unknown: int = 0
    failing: dict[str, int] = field(default_factory=dict)


def replay(
    installation: Installation, contract: Contract, chosen: Chosen, repairs: Mapping[EventId, bytes] | None = None
) -> Replayed:
    """Check a source's open events against its contract again, and land those that pass.

    `repairs`: rows in place of those that came; then only the events that they name are tried.

    Raises:
        BadContract: the contract does not fit the table.
    """
    with installation.lake.lock(f"land:{contract.id}"):
        settle(installation.lake, contract.id)
        return _Replay(installation, contract, repairs).run(chosen)


def settle(lake: Lake, source: str) -> int:
    """Finish a replay that was cut off after its commit, forget one before it; gives how many events went.

    Hold the source's lock.
    """
    gone = 0
    for key in [k for k in lake.objects.keys(f"{_ROOT}/{source}") if k.endswith(_PENDING)]:
        seq, content = key.rsplit("/", 1)[1].removesuffix(_PENDING).split("-", 1)
        data = lake.objects.get(key) or b""
        if int(seq) <= committed_seq(lake, source) and read_manifest(lake, source, int(seq)).content == content:
            taken = pl.read_parquet(BytesIO(data)).select("package_id", "row_id")
            with lake.lock(FAILED_EVENTS.name):
                gone += rewrite(
                    lake,
                    FAILED_EVENTS.name,
                    lambda rows, taken=taken: _among(rows, taken),  # type: ignore[misc]
                    ["package_id", "row_id"],
                    within={"source": source},
                )
            lake.objects.put(key.replace(_PENDING, ".parquet"), data)
        lake.objects.delete(key)
    return gone


def finish_all(lake: Lake) -> int:
    """Settle every replay that was cut off; one that is under way is left alone. Gives how many events went."""
    gone = 0
    for source in sorted({k.split("/")[1] for k in lake.objects.keys(_ROOT) if k.endswith(_PENDING)}):
        with suppress(Conflict), lake.lock(f"land:{source}", timeout=0.1):
            gone += settle(lake, source)
    return gone


_ROOT = "replays"
_PENDING = ".pending.parquet"


_NONE = pl.DataFrame(schema={"package_id": pl.String, "row_id": pl.Int64})


class _Replay:
    """One replay of one source; its lock is held."""

    def __init__(
        self, installation: Installation, contract: Contract, repairs: Mapping[EventId, bytes] | None
    ) -> None:
        self._lake, self._ledger, self._contract = installation.lake, installation.ledger, contract
        self._repairs, self._at = repairs, installation.clock.now()
        self._listed = Suppressor(installation.ledger.suppression, installation.keyed_hash).lookup()
        self._clock = installation.clock
        last = installation.lander.reconcile(contract.id)
        self._seq = last + 1
        self._shape = bronze_shape(self._lake, contract)  # before what stands is read in its types
        self._state = state_of(self._lake, contract)
        snapshot = contract.rules.delivery == "snapshot"
        self._newest = self._newest_snapshot(last) if snapshot else None
        self._tried = self._landed = self._repeated = self._suppressed = 0
        self._failing: dict[str, int] = {}
        self._taken: list[pl.DataFrame] = []

    def run(self, chosen: Chosen) -> Replayed:
        contract, lake, shape = self._contract, self._lake, self._shape
        digest = hashlib.sha256(f"{contract.id} {self._seq} {self._at.isoformat()}".encode()).hexdigest()
        draft = Package(
            contract.id, self._seq, f"{REPLAY}{digest[:32]}", "replay", 0, 0, 0, 0, 0, self._at, self._at
        )  # fmt: skip
        packer = Packer(lake, contract.bronze, shape, draft)
        meant = Chosen(**(asdict(chosen) | {"source": contract.id}))
        for batch in batches(lake, meant):
            self._try(batch, packer)
        parts = packer.close()
        unknown = len(self._repairs or {}) - self._tried if self._repairs is not None else 0
        result = Replayed(
            contract.id, None, self._tried, self._landed, self._repeated, self._suppressed, unknown, self._failing
        )
        taken = pl.concat([_NONE, *self._taken])
        if not taken.height:
            return result
        origins = taken["package_id"].unique()
        of = origins[0] if len(origins) == 1 else f"{len(origins)} packages"
        done = Package(
            contract.id, self._seq, draft.content, f"replay of {of}", 0, self._landed, -taken.height,
            self._repeated, self._suppressed, self._at, self._clock.now(),
        )  # fmt: skip
        self._commit(done, taken, parts)
        return Replayed(**(asdict(result) | {"package_id": done.package_id}))

    def _commit(self, done: Package, taken: pl.DataFrame, parts: list[Part]) -> None:
        lake = self._lake
        sink = BytesIO()
        taken.write_parquet(sink)
        lake.objects.put(f"{_ROOT}/{done.source}/{done.seq:08d}-{done.content}{_PENDING}", sink.getvalue())
        write_manifest(lake, done)
        with lake.lock(self._contract.bronze):
            lake.commit(self._contract.bronze, parts, shape=self._shape, transaction=(APP, self._seq))
        settle(lake, done.source)
        self._ledger.packages.record(done)

    def _try(self, batch: pl.DataFrame, packer: Packer) -> None:
        """Write the rows of a batch of events that land; note what becomes of the others."""
        if self._repairs is not None:
            names = pl.DataFrame(
                list(self._repairs), schema={"package_id": pl.String, "row_id": pl.Int64}, orient="row"
            )
            batch = batch.join(names, on=["package_id", "row_id"], how="semi", maintain_order="left")
        self._tried += batch.height
        if self._newest is not None:  # the source has told its whole table since: those are answered
            old = batch.filter(pl.col("package_id") < self._newest)
            self._repeated += old.height
            self._taken.append(old.select("package_id", "row_id"))
            batch = batch.filter(pl.col("package_id") >= self._newest)
        given, at = self._rows(batch)
        if not at:
            return
        events = batch[at]
        checked = check(self._contract, Batch(given, pa.array(range(len(at)), pa.int64())))
        for bad in checked.bad:
            self._fails(bad.rule, bad.field)
        rows = checked.table
        listed = self._listed.suppressed(self._contract, rows)
        if listed is not None:
            self._suppressed += self._take(events, rows.filter(listed))
            rows = rows.filter(pc.invert(listed))
        if self._state is not None and rows.num_rows:
            rows = self._without_answered(events, rows)
            fresh, repeated, twice = self._state.fresh(rows)
            for bad in twice:
                self._fails(bad.rule, bad.field)
            self._repeated += repeated
            stay = pa.array([b.row_id for b in twice], pa.int64())
            self._take(events, rows.filter(pc.invert(pc.is_in(rows["_row_id"], stay))))
            rows = fresh
        else:
            self._take(events, rows)
        numbers = pa.array(range(self._landed, self._landed + rows.num_rows), pa.int64())
        packer.write(rows.set_column(rows.column_names.index("_row_id"), "_row_id", numbers))
        self._landed += rows.num_rows

    def _without_answered(self, events: pl.DataFrame, rows: pa.Table) -> pa.Table:
        """Without rows of a source of changes whose key came again with a later package: that row stands."""
        if self._contract.rules.delivery != "changes":
            return rows
        key = list(self._contract.primary_key)
        later = self._lake.scan(self._contract.bronze).group_by(key).agg(_last=pl.col("_package_id").max())
        frame = cast("pl.DataFrame", pl.from_arrow(rows)).select(*key, "_row_id")
        came = frame.with_columns(_came=events["package_id"][frame["_row_id"].to_list()])
        old = came.lazy().join(later, on=key, how="inner").filter(pl.col("_last") > pl.col("_came")).collect()
        answered = pc.is_in(rows["_row_id"], pa.array(old["_row_id"].to_list(), pa.int64()))
        self._repeated += self._take(events, rows.filter(answered))
        return rows.filter(pc.invert(answered))

    def _rows(self, batch: pl.DataFrame) -> tuple[pa.Table, list[int]]:
        """The events' rows as text by column, with every column of the contract, and which events they are."""
        raws = batch["raw"].to_list()
        if self._repairs is not None:
            raws = [self._repairs[name] for name in batch.select("package_id", "row_id").iter_rows()]
        objects = [_object(raw) for raw in raws]
        still = self._unreadable(batch, objects)
        at = [n for n, row in enumerate(objects) if row is not None and n not in still]
        for n, row in enumerate(objects):
            if row is None or n in still:
                self._fails(batch["rule"][n], batch["field"][n])
        names = dict.fromkeys([*self._contract.by_name, *(k for n in at for k in objects[n] or {})])
        texts = {k: pa.array([_text((objects[n] or {}).get(k)) for n in at], pa.string()) for k in names}
        return pa.table(texts), at

    def _unreadable(self, batch: pl.DataFrame, objects: list[dict[str, object] | None]) -> set[int]:
        """Events that no amended contract can help: bytes that are no text, a key that came twice."""
        if self._repairs is not None:
            return set()
        broken = {n for n, row in enumerate(objects) if row and any(map(_is_hexadecimal, row.values()))}
        twice = batch["rule"] == "unique" if self._state is not None else pl.Series([False] * batch.height)
        return broken | set(twice.arg_true())

    def _newest_snapshot(self, last: int) -> str:
        """Package of the last snapshot that the source sent; events of older ones are answered by it."""
        for seq in range(last, 0, -1):
            try:
                package = read_manifest(self._lake, self._contract.id, seq)
            except NotFound:
                break
            if not package.content.startswith(REPLAY):
                return package.package_id
        return ""

    def _take(self, events: pl.DataFrame, rows: pa.Table) -> int:
        """Note that the events behind these rows are closed; gives how many."""
        if rows.num_rows:
            self._taken.append(events[rows["_row_id"].to_pylist()].select("package_id", "row_id"))
        return int(rows.num_rows)

    def _fails(self, rule: str, name: str | None) -> None:
        label = f"{rule} {name}" if name else rule
        self._failing[label] = self._failing.get(label, 0) + 1


def _among(rows: pl.DataFrame, taken: pl.DataFrame) -> pl.Series:
    marked = rows.join(
        taken.with_columns(_gone=True), on=["package_id", "row_id"], how="left", maintain_order="left"
    )
    return marked["_gone"].fill_null(value=False)


def _object(raw: bytes | None) -> dict[str, object] | None:
    try:
        row = orjson.loads(raw or b"")
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _is_hexadecimal(value: object) -> bool:
    return isinstance(value, str) and _UNREADABLE.fullmatch(value) is not None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
