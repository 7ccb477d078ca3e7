"""The lake: Delta tables on object storage. Read a version, append, replace, commit.

Workers write parts (`parts.py`); one committer per table puts them into the log in one transaction, under the
table's lock, after it has checked that each is there, whole and of the right schema (delta-rs checks none of it).
Handles are opened fresh or brought up to date under the lock: a stale one overwrites nothing and misses transaction
versions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from onefold_storage.errors import BadInput, NotFound
from onefold_storage.faults import told
from onefold_storage.heads import FileHeads, TableHeads, heads_for
from onefold_storage.locks import AdvisoryLocks, FileLocks, StillHeld, locks_for
from onefold_storage.objects import Objects
from onefold_storage.opening import Opening
from onefold_storage.partitions import split
from onefold_storage.parts import Part, PartWriter, conform
from onefold_storage.schema import TABLES
from onefold_storage.settings import StorageSettings, reading_options
from onefold_storage.shapes import TableShape, check, declared
from onefold_storage.torn import log_key, unread

INPUTS = "onefold.inputs"
_LAYERS = ("bronze", "silver", "identity", "gold", "registry")


class Lake:
    """Every table below one root. Cheap to make; holds no handle open."""

    def __init__(
        self,
        root: str,
        storage_options: dict[str, str],
        locks: FileLocks | AdvisoryLocks,
        heads: FileHeads | TableHeads,
    ) -> None:
        self.root = root
        self.options = storage_options
        self._reading = reading_options(storage_options)
        self.objects = Objects(root, storage_options)
        self.heads = heads
        self._opening = Opening(root, storage_options, self.objects, heads)
        self._locks = locks
        self._held: dict[str, StillHeld] = {}
        self._kept = _Kept()

    @classmethod
    def open(cls, settings: StorageSettings) -> Lake:
        """The lake that the settings name."""
        folder = settings.root / "locks"
        locks, heads = locks_for(settings.ledger, folder), heads_for(settings.ledger, folder)
        return cls(settings.lake, settings.storage_options, locks, heads)

    @contextmanager
    def lock(self, name: str, timeout: float = 600.0) -> Iterator[None]:
        """Hold a table's writer lock, or another name's; waits `timeout` seconds at most.

        Raises:
            Conflict: another process held it all that time.
            Unavailable: it was lost on the way.
        """
        with self._locks.hold(name, timeout) as still_held:
            self._held[name] = self._kept.held[name] = still_held
            try:
                yield
            finally:
                del self._held[name], self._kept.held[name]

    def must_hold(self, name: str) -> None:
        """Refuse to change a table whose lock this lake does not hold; asked right before each change.

        Object storage does not stand in for the lock: on a cluster of several pools two conditional puts of one new
        key may both succeed, each in a pool of its own, and one of two commits is lost. The locks that this thread
        holds around the table's are asked as well: what they guard may be another's by now.

        Raises:
            RuntimeError: the caller forgot the lock.
            Unavailable: a lock was lost since it was taken, which costs a round trip a lock to find out.
        """
        if name not in self._held:
            raise RuntimeError(f"{name}: is written to without its lock; wrap it in `with lake.lock({name!r})`")
        for still_held in {**self._kept.held, name: self._held[name]}.values():
            still_held()

    # reading

    @told()
    def handle(self, name: str, version: int | None = None) -> DeltaTable:
        """A fresh handle on a table.

        Raises:
            NotFound: there is no such table, or no such version of it.
        """
        if version is not None:
            return self._opening.at(name, version)
        table = self._opening.newest(name, self._kept.tables.get(name), held=name in self._kept.held)
        if name in self._kept.tables:
            self._kept.tables[name] = table
        return table

    def found(self, name: str) -> DeltaTable | None:
        """A fresh handle on a table, None where it does not exist: one look instead of `exists` and another."""
        try:
            return self.handle(name)
        except NotFound:
            return None

    @contextmanager
    def keeping(self, name: str) -> Iterator[None]:
        """Inside, this thread opens the table once, and afterwards asks only for what was committed since.

        Opening costs a request for every commit since the last checkpoint.
        """
        if name in self._kept.tables:
            yield
            return
        self._kept.tables[name] = None
        try:
            yield
        finally:
            del self._kept.tables[name]

    @told()
    def exists(self, name: str) -> bool:
        """Whether the table has been created."""
        if self._kept.tables.get(name) is not None:
            return True
        if not self.objects.local:  # delta-rs would stop every thread of this process until storage answers
            return self.objects.holds(f"{name}/_delta_log")
        return DeltaTable.is_deltatable(f"{self.root}/{name}")

    def version(self, name: str) -> int:
        """The table's newest version; -1 where it does not exist."""
        table = self.found(name)
        return int(table.version()) if table else -1

    @told()
    def rows(self, name: str) -> int:
        """Rows of the newest version; 0 where the table does not exist."""
        table = self.found(name) if self.exists(name) else None
        return int(table.count()) if table else 0

    def names(self) -> list[str]:
        """Every table, by layer."""
        found = [f"{a}/{b}" for a in _LAYERS for b in self.objects.folders(a)]
        found += [f"gold/features/{b}" for b in self.objects.folders("gold/features")]
        return [n for n in found if n != "gold/features" and self.exists(n)]

    def scan(self, name: str, version: int | None = None) -> pl.LazyFrame:
        """A lazy frame over a table; an absent table with a declared shape is empty."""
        table = None
        if self.exists(name):
            table = self.found(name) if version is None else self.handle(name, version)
        if table is None:
            if name not in TABLES:
                raise NotFound(f"{name}: no such table in the lake")
            return pl.LazyFrame(schema=pl.Schema(TABLES[name].arrow))
        return pl.scan_delta(table, storage_options=self._reading, use_pyarrow=False)

    def read(self, name: str, columns: Sequence[str] | None = None, version: int | None = None) -> pa.Table:
        """A table, or some of its columns, as Arrow. For tables that are small by nature."""
        lazy = self.scan(name, version)
        return self.frame_to_arrow(name, (lazy.select(columns) if columns else lazy).collect())

    def frame_to_arrow(self, name: str, frame: pl.DataFrame) -> pa.Table:
        """A Polars frame in the Arrow types that the table declares, or has where no declaration is fixed."""
        table = frame.to_arrow()
        if name not in TABLES and not self.exists(name):
            return table
        schema = TABLES[name].arrow if name in TABLES else self.shape(name).schema
        return table.cast(pa.schema([schema.field(n) for n in table.column_names]))

    @told()
    def files(self, name: str) -> list[str]:
        """Paths or URLs of the Parquet objects of the newest version, sorted."""
        return sorted(self.handle(name).file_uris()) if self.exists(name) else []

    @told()
    def standing(self, name: str, version: int | None = None) -> list[tuple[str, dict[str, str | None]]]:
        """Path below the table and partition of each Parquet object of a version, sorted."""
        actions = pa.table(self.handle(name, version).get_add_actions()).to_pylist()
        return sorted((str(a["path"]), dict(a.get("partition") or {})) for a in actions)

    def inputs(self, name: str) -> str | None:
        """The fingerprint of the inputs that the table was last computed from; None when it is long ago."""
        if not self.exists(name):
            return None
        for commit in self.handle(name).history(10):
            if INPUTS in commit:
                return str(commit[INPUTS])
        return None

    @told()
    def transaction(self, name: str, app: str) -> int:
        """The last version that `app` committed to the table; -1 where there is none."""
        table = self.found(name)
        found = table.transaction_version(app) if table else None
        return -1 if found is None else int(found)

    def committed_at(self, name: str) -> datetime | None:
        """Wall-clock time of the newest commit, for people; not the platform's clock."""
        if not self.exists(name):
            return None
        stamp = self.handle(name).history(1)[0].get("timestamp")
        return datetime.fromtimestamp(stamp / 1000).astimezone() if stamp else None

    # writing

    def writer(
        self, name: str, *, shape: TableShape | None = None, partition: dict[str, str | None] | None = None
    ) -> PartWriter:
        """A writer of parts of one partition of a table; nothing is visible before `commit`."""
        form = shape or declared(name)
        fields = [f for f in form.schema if f.name not in form.partition_by]
        return PartWriter(self.objects, name, pa.schema(fields), statistics=form.statistics, partition=partition)

    def parts(self, name: str, rows: pa.Table, *, shape: TableShape | None = None) -> list[Part]:
        """Write rows as parts, split by the table's partition columns; checks required columns.

        Raises:
            BadInput: a required column holds null, or the rows do not fit the schema.
        """
        form = shape or declared(name)
        rows = conform(rows, form.schema, name)
        for column in form.required:
            if rows.column(column).null_count:
                raise BadInput(f"{name}.{column}: is required, found null")
        written: list[Part] = []
        for values, piece in split(rows, form.partition_by):
            writer = self.writer(name, shape=form, partition=values)
            writer.write(piece)
            written += writer.close()
        return written

    @told()
    def commit(
        self,
        name: str,
        parts: Iterable[Part],
        *,
        shape: TableShape | None = None,
        replace: dict[str, str] | bool = False,
        transaction: tuple[str, int] | None = None,
        inputs: str | None = None,
    ) -> int:
        """Put parts into the table in one transaction and return the new version. Hold the table's lock.

        `replace`: True for the whole table, or the partition to replace as `{column: value}`.
        `transaction`: (app, version) that makes the commit idempotent for the caller.
        `inputs`: fingerprint of what the rows were computed from, for `inputs()`.

        Raises:
            Unavailable: a part is not there or not whole, or the lock was lost.
            BadInput: a part has another schema, or is of another partition than the one replaced.
        """
        self.must_hold(name)
        form = shape or declared(name)
        listed = list(parts)
        for part in listed:
            check(self.objects, name, part, form)
            if isinstance(replace, dict) and part.partition != replace:
                raise BadInput(
                    f"{name}/{part.path}: is of another partition than {replace}, which it would replace"
                )
        table = self._create(name, form)
        modified = 0
        adds: list[AddAction | RemoveAction] = [
            AddAction(p.path, p.size, p.partition, modified, True, p.stats) for p in listed
        ]
        properties = CommitProperties(
            custom_metadata={INPUTS: inputs} if inputs else None,
            app_transactions=[Transaction(*transaction)] if transaction else None,
        )
        filters = [(k, "=", v) for k, v in replace.items()] if isinstance(replace, dict) else None
        self.must_hold(name)  # looking at the parts takes time
        try:
            table.create_write_transaction(
                adds,
                "overwrite" if replace else "append",
                form.schema,
                list(form.partition_by) or None,
                partition_filters=filters,
                commit_properties=properties,
            )
        except CommitFailedError:
            if not self._committed(name, listed, transaction):
                raise
        table.update_incremental()
        version = int(table.version())
        self._opening.seen(name, version)
        self.objects.sync(log_key(name, version))
        return version

    def append(self, name: str, rows: pa.Table, *, inputs: str | None = None) -> int:
        """Add rows to a table in one commit and return the version; no rows, no commit."""
        with self.lock(name):
            if not rows.num_rows and self.exists(name):
                return self.version(name)
            return self.commit(name, self.parts(name, rows), inputs=inputs)

    def replace(
        self,
        name: str,
        rows: pa.Table,
        *,
        where: dict[str, str] | None = None,
        inputs: str | None = None,
        shape: TableShape | None = None,
    ) -> int:
        """Replace a table, or one partition of it, in one commit and return the version."""
        with self.lock(name):
            parts = self.parts(name, rows, shape=shape)
            return self.commit(name, parts, replace=where or True, inputs=inputs, shape=shape)

    @told()
    def shape(self, name: str) -> TableShape:
        """The shape of a table that is there, read from its log."""
        table = self.handle(name)
        metadata = table.metadata()
        statistics = str(metadata.configuration.get("delta.dataSkippingStatsColumns") or "")
        schema = pa.schema(table.schema().to_arrow())
        return TableShape(schema, tuple(metadata.partition_columns), tuple(c for c in statistics.split(",") if c))

    def _create(self, name: str, form: TableShape) -> DeltaTable:
        present = self.found(name)
        if present:
            return present
        try:
            table = _new(f"{self.root}/{name}", form, self.options or None)
        except CommitFailedError:  # the answer to the commit was lost, and delta-rs met its own on asking again
            made = self.found(name)
            if made is None:
                raise
            return made
        except DeltaError as error:
            if self.objects.local or not unread(error):
                raise
            with TemporaryDirectory() as folder:  # over a first commit that was cut off, as `torn.py` has it
                _new(folder, form)
                self.objects.put_new(log_key(name, 0), (Path(folder) / log_key(".", 0)).read_bytes())
            return self.handle(name)
        self.objects.sync(log_key(name, 0))
        return table

    def _committed(self, name: str, parts: Sequence[Part], transaction: tuple[str, int] | None) -> bool:
        """Whether a commit that failed is in the log all the same: storage did it, and its answer was lost.

        delta-rs asks again, meets its own commit, and takes it for another writer's; the lock says there is none.
        """
        if parts:  # their names are unique
            return {path for path, _ in self.standing(name)} >= {p.path for p in parts}
        return transaction is not None and self.transaction(name, transaction[0]) >= transaction[1]


def _new(url: str, form: TableShape, options: dict[str, str] | None = None) -> DeltaTable:
    return DeltaTable.create(
        url,
        form.schema,
        mode="ignore",
        partition_by=list(form.partition_by) or None,
        configuration={
            "delta.dataSkippingStatsColumns": ",".join(form.statistics),
            "delta.checkpointInterval": "20",  # opening costs a request for every commit since the last one
            "delta.logRetentionDuration": "interval 2 days",
            "delta.deletedFileRetentionDuration": "interval 1 days",
        },
        storage_options=options,
    )


class _Kept(threading.local):
    """What a thread keeps: handles by table, None for one that it has not opened yet; and the locks that it holds."""

    def __init__(self) -> None:
        self.tables: dict[str, DeltaTable | None] = {}
        self.held: dict[str, StillHeld] = {}
